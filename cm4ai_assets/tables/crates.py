"""Tables of the release's own metadata: what its crates and datasheets claim. Claims only: the archive's word wins."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.schema import Column, Rule, Table

# What an edge states, read from its source to its target. `crates.vocabulary` maps the crates' keys to these.
RELATION_NAMES = (
    "used_dataset",
    "used_sample",
    "used_instrument",
    "used_software",
    "used_treatment",
    "used_model",
    "used_by",
    "stained_with",
    "cell_line",
    "generated",
    "generated_by",
    "derived_from",
    "input",
    "output",
    "has_part",
    "part_of",
    "about",
    "conforms_to",
    "has_schema",
    "evidence_graph",
    "summary_statistics",
    "disease",
)
ENTITY_DEFECTS = (
    "not_an_object",  # an element of @graph that is no JSON object; kept in `extra`
    "unreadable",  # no JSON at all; its text is kept in `extra`
    "json_mended",  # readable only after repair
    "unexpected_form",  # a known key with a value of no known form; kept in `extra`
    "outside_graph",  # the root is the outer object, not an element of @graph (2024)
    "no_id",
    "no_type",
    "duplicate_id",  # the crate gives this id to more than one entity
    "bad_digest",  # a digest that is none; kept in `extra`
    "digests_differ",  # one kind of digest stated twice, differently; the second is kept in `extra`
    "bad_size",
    "bad_date",
)
EMBARGO_PLACES = ("contentUrl", "url", "description")
DATASHEET_KINDS = ("d4d", "crate_root", "landing_page")
DATASHEET_TOPICS = (
    "title",
    "license",
    "terms",
    "prohibited_use",
    "embargo",
    "contact",
    "citation",
    "doi",
    "version",
    "date",
    "file",
)
USAGE = (
    "views",
    "views_unique",
    "downloads",
    "downloads_unique",
    "citations",
    "references",
    "classic_downloads",
)
DEVIATIONS = (
    "not_utf8",  # bytes that are no UTF-8
    "banner",  # a line of a tool's output, not of the datasheet
    "quoted",  # prose with a colon that YAML would read as a mapping; read as the text it is
    "unparsed",  # a line that could not be read; its text is the value
    "duplicate_key",
    "too_deep",  # nested or repeated beyond what a datasheet can be
    "repeated",  # an alias that is not followed: the document repeats more by aliases than a datasheet can
    "yes_no_text",  # prose where a yes or no belongs
    "unknown_slot",
    "missing_slot",
    "wrong_type",
    "wrong_pattern",
    "not_in_enum",
    "not_json",
)

CRATE_ENTITIES = Table(
    name="crate_entities",
    description="One row per entity of each RO-Crate of the release, normalized, with what could not be understood.",
    partitioning=Partitioning.RELEASE,
    key=("crate_file", "position"),
    own_columns=(
        Column("crate_file", pl.String(), "File the crate was read from; a member of a ZIP as zip!member."),
        Column("position", pl.Int32(), "Position in @graph, from 0; -1 for a root that is the outer object (2024)."),
        Column("crate_id", pl.String(), "Normalized id of the crate's root; null where it names none.", nullable=True),
        Column("entity_id", pl.String(), "Id, normalized: bare ARK, DOI at doi.org, else as stated.", nullable=True),
        Column("stated_id", pl.String(), "Id, verbatim.", nullable=True),
        Column(
            "entity_type", pl.String(), "The specific type, without its namespace: the last one stated.", nullable=True
        ),
        Column("types", pl.List(pl.String()), "All types without their namespaces, in the stated order."),
        Column("stated_types", pl.List(pl.String()), "All types, verbatim."),
        Column("additional_types", pl.List(pl.String()), "additionalType and metadataType, verbatim."),
        Column("is_crate", pl.Boolean(), "A crate itself, or the stub of one: typed ROCrate, or the root."),
        Column("is_root", pl.Boolean(), "The root of the crate this row was read from."),
        Column("name", pl.String(), "Name.", nullable=True),
        Column("description", pl.String(), "Description.", nullable=True),
        Column("version", pl.String(), "Version as stated.", nullable=True),
        Column("license", pl.String(), "Licence as stated, usually a URL.", nullable=True),
        Column("keywords", pl.List(pl.String()), "Keywords."),
        Column("authors", pl.List(pl.String()), "Authors: names or ids; lists with semicolons are split."),
        Column("run_by", pl.String(), "Who ran a computation or an experiment.", nullable=True),
        Column("command", pl.String(), "Command of a computation.", nullable=True),
        Column("content_urls", pl.List(pl.String()), "Where the content is claimed to be; embargo markers left out."),
        Column("urls", pl.List(pl.String()), "Pages about the entity; embargo markers left out."),
        Column("is_embargoed", pl.Boolean(), "The crate says that the content is under embargo."),
        Column("embargo_stated_in", pl.List(pl.String()), "Where it says so.", allowed=EMBARGO_PLACES),
        Column(
            "content_size",
            pl.Int64(),
            "Claimed size, units read as powers of 1024 as the crates' own totals do; null if unreadable.",
            unit="bytes",
            nullable=True,
        ),
        Column("stated_content_size", pl.String(), "Claimed size, verbatim.", nullable=True),
        Column("format", pl.String(), "Format as stated.", nullable=True),
        Column("encoding_format", pl.String(), "Encoding format as stated.", nullable=True),
        Column("md5", pl.String(), "Claimed MD5. Often stale: nothing is verified with it.", nullable=True),
        Column("sha256", pl.String(), "Claimed SHA-256. Nothing is verified with it.", nullable=True),
        *(
            column
            for name, text in (
                ("date_published", "Publication date"),
                ("date_created", "Date of creation (of a computation) or performance (of an experiment)"),
                ("date_modified", "Date of modification"),
            )
            for column in (
                Column(name, pl.Date(), f"{text}; null if unreadable.", nullable=True),
                Column(f"stated_{name}", pl.String(), f"{text}, verbatim.", nullable=True),
            )
        ),
        Column(
            "identifiers",
            pl.List(pl.Struct({"name": pl.String(), "value": pl.String()})),
            "Further identifiers with the scheme they name: antibody, Ensembl, UniProt, RRID, DOI.",
        ),
        Column(
            "metadata_file",
            pl.String(),
            "Where a stub says its own crate file is. Not the archive's file name.",
            nullable=True,
        ),
        Column("defects", pl.List(pl.String()), "What is wrong with the entity.", allowed=ENTITY_DEFECTS),
        Column("extra", pl.String(), "Every key without a column, as a JSON object, values verbatim.", nullable=True),
        Column("extra_keys", pl.Int32(), "Number of keys in `extra`."),
    ),
    rules=(
        Rule("extra_counted", "extra has as many keys as counted",
             lambda: pl.col("extra").is_null() == (pl.col("extra_keys") == 0)),
        Rule("embargo_has_place", "an embargo is stated somewhere",
             lambda: pl.col("is_embargoed") == (pl.col("embargo_stated_in").list.len() > 0)),
    ),
    source="ro-crate-metadata.json files of the release, loose and inside its ZIPs",
)  # fmt: skip

CRATE_EDGES = Table(
    name="crate_edges",
    description="One row per reference from one entity of a crate to another: what was used, generated, contained.",
    partitioning=Partitioning.RELEASE,
    key=("crate_file", "position", "key", "target_index"),
    own_columns=(
        Column("crate_file", pl.String(), "File the crate was read from; a member of a ZIP as zip!member."),
        Column("position", pl.Int32(), "Position of the stating entity in @graph."),
        Column("source_id", pl.String(), "Normalized id of the stating entity; null if it has none.", nullable=True),
        Column("relation", pl.String(), "Relation, one word for all its spellings.", allowed=RELATION_NAMES),
        Column("key", pl.String(), "Key that states it, verbatim."),
        Column("target_index", pl.Int32(), "Position among the targets of this key, from 0."),
        Column("target_id", pl.String(), "Normalized id of the target."),
        Column("stated_target", pl.String(), "Id of the target, verbatim."),
        Column("target_known", pl.Boolean(), "Some crate of this release describes the target."),
    ),
    source="ro-crate-metadata.json files of the release, loose and inside its ZIPs",
)

RELEASE_DATASHEET = Table(
    name="release_datasheet",
    description="The release's datasheets (D4D, crate root, landing page) as one list of fields, with deviations.",
    partitioning=Partitioning.RELEASE,
    key=("source", "row"),
    own_columns=(
        Column("source", pl.String(), "File the statement was read from."),
        Column("row", pl.Int32(), "Number of the statement in its source, from 0."),
        Column("source_kind", pl.String(), "What the source is.", allowed=DATASHEET_KINDS),
        Column("field", pl.String(), "Path of the field: creators[0].name."),
        Column("value", pl.String(), "Value as text; null where none is stated.", nullable=True),
        Column(
            "value_type",
            pl.String(),
            "Type of the value as the source writes it; absent for a field that should be there.",
            allowed=("string", "boolean", "number", "date", "null", "object", "list", "absent"),
        ),
        Column(
            "truth",
            pl.Boolean(),
            "For yes and no: what is stated; null for prose that says neither, and for other fields.",
            nullable=True,
        ),
        Column(
            "topics",
            pl.List(pl.String()),
            "What the statement is about, where that has to survive into everything published later.",
            allowed=DATASHEET_TOPICS,
        ),
        Column("line", pl.Int32(), "Line in the source, from 1; null where lines mean nothing.", nullable=True),
        Column("deviations", pl.List(pl.String()), "How the statement deviates from its format.", allowed=DEVIATIONS),
        Column("detail", pl.String(), "The deviations in words.", nullable=True),
    ),
    rules=(
        Rule("deviation_explained", "a deviation is explained in words",
             lambda: (pl.col("deviations").list.len() == 0) | pl.col("detail").is_not_null()),
    ),
    source="D4D files, crate roots and the landing page's JSON-LD",
)  # fmt: skip

# Belongs to no release: it holds every snapshot of every dataset.
USAGE_METRICS = Table(
    name="usage_metrics",
    description="Views, downloads and citations of the datasets over time, as the services counted them each month.",
    partitioning=Partitioning.NONE,
    key=("snapshot_month", "doi", "service", "metric", "period"),
    own_columns=(
        Column("snapshot_month", pl.Date(), "First day of the month in which the services were asked."),
        Column("observed_at", pl.Datetime("us", "UTC"), "When they were asked."),
        Column("doi", pl.String(), "Persistent id of the dataset, with its scheme."),
        Column("service", pl.String(), "Who counted.", allowed=("dataverse", "datacite")),
        Column(
            "metric",
            pl.String(),
            "What was counted; classic_downloads is the archive's own count, all others follow Make Data Count.",
            allowed=USAGE,
        ),
        Column("period", pl.String(), "Month or year that was counted; null for all time.", nullable=True),
        Column("value", pl.Int64(), "The count; null where the service has none or did not answer.", nullable=True),
        Column(
            "status",
            pl.String(),
            "reported: there is a count. no_data: the service says it has none. unavailable: no usable answer.",
            allowed=("reported", "no_data", "unavailable"),
        ),
        Column("detail", pl.String(), "Why there is no count, in the service's words or ours.", nullable=True),
        Column("links", pl.List(pl.String()), "What was counted, where the service names it: citing works."),
    ),
    rules=(
        Rule("value_if_reported", "there is a count exactly if one was reported",
             lambda: (pl.col("status") == "reported") == pl.col("value").is_not_null()),
    ),
    source="Dataverse Make Data Count and DataCite",
)  # fmt: skip

TABLES = (CRATE_ENTITIES, CRATE_EDGES, RELEASE_DATASHEET, USAGE_METRICS)
