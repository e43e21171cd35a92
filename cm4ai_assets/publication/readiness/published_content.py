"""The release as published, graded: characterization, explainability, and the parts of ethics that files show.

Belongs here: statistics, schemas, quality, datasheet, digests, terms of access. Does not belong here: criteria about
texts alone (`wording`), sustainability and computability (`published_use`).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.identifiers import DOI
from cm4ai_assets.publication.readiness import known, wording
from cm4ai_assets.publication.readiness.grading import Fact, Grade, graded
from cm4ai_assets.publication.readiness.published import Published
from cm4ai_assets.updates.credit import licence_name

_CONVENTION = (
    r"(?:missing|absent|empty|unknown) (?:values?|cells?|entries|data)[^.]{0,60}"
    r"(?:encod|represent|written|denot|shown|left|as) "
)
_QUALITY = r"quality control|\bQC\b|quality.assurance|\bFDR\b|false discovery|filtered (?:for|by|on)"
_OPEN = ("public",)


def statistics(found: Published) -> Grade:
    """2.b: what the variables look like, and how a missing value does."""
    convention = found.described.fact("missing", "how missing values are written", like=_CONVENTION,
                                      lacking="one stated way in which missing values are written")  # fmt: skip
    summarized = found.described.related(found.data, "summary_statistics")
    return graded(
        "2.b",
        [convention],
        [Fact(0 < found.data.height == summarized, f"{summarized:,} of {found.data.height:,} datasets have summary "
              "statistics", "crate_edges: relation = summary_statistics", "statistics of every dataset")],
    )  # fmt: skip


def standards(found: Published) -> Grade:
    """2.c: schemas, and terms bound to what they describe."""
    formats = _formats(found)
    tabular = found.data.filter(pl.col("format").str.contains(r"(?i)tsv|csv|tab|txt|parquet"))
    with_schema = found.described.related(tabular, "has_schema")
    untyped = [one for one in formats if known.UNTYPED_FORMATS.search(one)]
    schemas = found.described.of_type("Schema")
    bound = found.described.naming(known.VOCABULARY, "Schema") + found.described.naming(
        known.VOCABULARY, "BioChemEntity", "Sample"
    )
    claimed = "".join(found.described.fields(r"^evi:schemaCount$")[:1])
    return graded(
        "2.c",
        [
            Fact(schemas.height > 0, f"{schemas.height:,} schemas are described",
                 "crate_entities: entity_type = Schema",
                 "a schema for every class of formats"),
            Fact(tabular.height == with_schema, f"{with_schema:,} of {tabular.height:,} tables name a schema",
                 "crate_edges: relation = has_schema, of entities whose format is a table", "a schema of every table"),
        ],
        [
            Fact(bound > 0, f"{bound:,} schemas, samples and molecules name a term of a standard vocabulary",
                 "crate_entities: Schema, BioChemEntity, Sample", "terms of vocabularies bound to data elements"),
            Fact(not untyped, f"formats without a schema of their own: {', '.join(untyped) or 'none'}",
                 "crate_entities: format", "a schema for these formats"),
        ],
        [Fact(True, f"the crates claim {claimed} schemas", "release_datasheet: evi:schemaCount")] if claimed else [],
    )  # fmt: skip


def _formats(found: Published) -> list[str]:
    """Classes of formats, as the crates state them."""
    stated = found.data["format"].drop_nulls().unique().to_list()
    return sorted({*stated, *found.described.fields(r"^evi:formats")})


def quality(found: Published) -> Grade:
    """2.e: whether anybody looked at it, and how."""
    texts = [
        one for topic in ("quality", "processing", "limitation", "abstract") for one in found.described.said(topic)
    ]
    documented = found.described.texts["text"].str.contains(f"(?i){_QUALITY}").sum()
    stated = found.described.statements.filter(pl.col("value").str.contains(f"(?i){_QUALITY}"))
    linked = stated.filter(pl.col("value").str.contains(rf"https?://|{DOI.pattern}"))
    return graded(
        "2.e",
        [Fact(stated.height + documented > 0, f"{stated.height:,} statements and {documented:,} entities speak of "
              "quality control", f"release_datasheet: value ~ {_QUALITY}; crate_entities: extra",
              "a description of the quality control")],
        [Fact(linked.height > 0, f"{linked.height:,} of these link a protocol or software", "release_datasheet: value",
              "a link to the protocol or software of the quality control")],
        [Fact(True, f"{len(texts):,} statements on processing and limits were searched", "release_datasheet")],
    )  # fmt: skip


def documented(found: Published) -> Grade:
    """3.a: a datasheet for machines and one for people."""
    machine = found.described.statements.filter(pl.col("source_kind").is_in(["d4d", "crate_root"]))
    pages = found.files.filter(pl.col("label").str.contains(r"(?i)datasheet.*\.html?$|datasheet.*\.pdf$"))
    inside = found.described.statements.filter(pl.col("source").str.contains(r"(?i)\.zip!"))
    readable = pages.height > 0 or inside.height > 0
    both = (
        Fact(machine.height > 0, f"{machine.height:,} statements of datasheets for machines",
             "release_datasheet: source_kind = d4d, crate_root", "a machine-readable datasheet"),
        Fact(readable, f"{pages.height:,} datasheets to read among the files"
             + ("; the metadata come in a ZIP with their pages" if inside.height else ""),
             "release_files: label ~ datasheet", "a datasheet to read"),
    )  # fmt: skip
    either = Fact(any(fact.holds for fact in both), "a datasheet for machines, or for people",
                  "release_datasheet, release_files", "a datasheet")  # fmt: skip
    parts = [
        found.described.fact(topic, topic, sentences=True)
        for topic in ("composition", "collection", "processing", "limitation", "use")
    ]
    return graded("3.a", [either], [*both, *parts])


def fit_for_purpose(found: Published) -> Grade:
    """3.b: what it is for, and what not."""
    return wording.fit_for_purpose(found.described)


def verifiable(found: Published) -> Grade:
    """3.c: digests of the files at the archive, and of what the crates describe."""
    files = found.files
    with_digest = files.height - files["digest"].null_count()
    data = found.data.filter(~pl.col("is_embargoed"))
    hashed = data.filter(pl.col("md5").is_not_null() | pl.col("sha256").is_not_null()).height
    claimed = [found.described.fields(rf"^evi:{name}$") for name in ("entitiesWithChecksums", "totalEntities")]
    claims = [f"the crates claim digests of {claimed[0][0]} of {claimed[1][0]} entities"] if all(claimed) else []
    short = [claim for claim in claims if claimed[0][0] != claimed[1][0]]
    return graded(
        "3.c",
        [Fact(with_digest + hashed > 0, f"{with_digest:,} of {files.height:,} files at the archive have a digest",
              "release_files: digest", "digests")],
        [
            Fact(files.height == with_digest, f"{files.height - with_digest:,} files at the archive have none",
                 "release_files: digest is null", "digests of all files"),
            Fact(data.height == hashed and not short, "; ".join([(f"{hashed:,} of {data.height:,} datasets in the "
                 "crates that are not under embargo have a digest"), *claims]),
                 "crate_entities: md5, sha256 of Dataset; release_datasheet: evi:entitiesWithChecksums",
                 "a digest of every dataset that the crates describe"),
        ],
    )  # fmt: skip


def disseminated(found: Published) -> Grade:
    """4.c: who may do what with it."""
    licences = sorted({licence_name(one) for one in found.files["license"].drop_nulls()})
    closed = found.files.filter(~pl.col("access").is_in(_OPEN))
    undated = closed.filter(pl.col("available_on").is_null())
    return graded(
        "4.c",
        [Fact(bool(licences) or bool(found.described.said("access")),
              f"licences {', '.join(licences) or 'none'}; {len(found.described.said('access')):,} terms of access",
              "release_files: license; release_datasheet: topic terms", "a licence or terms of access")],
        [
            found.described.fact("prohibited", "prohibited uses", sentences=True),
            found.described.fact("access", "terms of use", sentences=True),
            Fact(undated.is_empty(), f"{closed.height:,} of {found.files.height:,} files are not public, "
                 f"{undated.height:,} of them without a day on which they will be",
                 "release_files: access, available_on",
                 "open access, or who grants it and when"),
            found.described.fact("contact", "a contact", lacking="a contact for access"),
        ],
    )  # fmt: skip
