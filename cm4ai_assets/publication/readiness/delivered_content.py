"""The release as it is delivered here, graded: characterization, explainability, digests, terms.

Belongs here: statistics, schemas, quality control, datasheet, digests, terms of access. Does not belong here: criteria
about texts alone (`wording`), sustainability and computability (`delivered_use`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from cm4ai_assets.publication.readiness import known, wording
from cm4ai_assets.publication.readiness.delivery import D4D, Delivery, listed
from cm4ai_assets.publication.readiness.grading import Fact, Grade, graded
from cm4ai_assets.tables.publication import CROISSANT, DATASHEET_REPORT

QUALITY_TABLES = {
    "images": ("if_quality",),
    "proteomics": ("secms_proteins", "apms_runs"),
    "perturbation": ("perturb_cells", "cellranger_metrics"),
}
"""Group of data to the tables that hold what its quality control measured."""


def statistics(found: Delivery) -> Grade:
    """2.b: one null, and statistics of every column."""
    tables = [one for one in found.items if one.table is not None]
    unclean = {f"{one.table} {one.partition}: {name}": rows for one in found.summaries for name, rows in
               one.unclean.items()}  # fmt: skip
    summarized = {(one.table, one.partition) for one in found.summaries}
    whole = [one for one in tables if (one.name, str(one.partition)) in summarized]
    columns = sum(len(one.columns) for one in found.summaries)
    return graded(
        "2.b",
        [
            Fact(bool(tables), f"{len(tables):,} tables, {sum(one.rows or 0 for one in tables):,} rows", "the tables",
                 "tables"),
            Fact(not unclean, f"{len(unclean):,} columns write a missing value as something else than null"
                 + "".join(f"; {name}" for name in list(unclean)[:3]), "summary.json: unclean",
                 "null for every missing value"),
        ],
        [Fact(0 < len(tables) == len(whole), f"statistics of {columns:,} columns in {len(whole):,} of {len(tables):,} "
              "tables", "summary.json", "statistics of every column of every table")],
    )  # fmt: skip


def standards(found: Delivery) -> Grade:
    """2.c: the schema in every file, and what its columns mean elsewhere."""
    tables = [one for one in found.items if one.table is not None]
    differing = [one.path for one in tables if found.differing.get(one.path, "")]
    stores = [one for one in found.items if one.table is None]
    untyped = [one.path for one in stores if not any(file.path.endswith("zarr.json") for file in one.files)]
    bound = _bound(found.croissant)
    return graded(
        "2.c",
        [
            Fact(bool(tables) and not differing,
                 f"{len(differing):,} of {len(tables):,} Parquet files differ from their "
                 "schema", "Parquet footers against docs/data-dictionary.md", "the described schema in every table"),
            Fact(not untyped, f"{len(untyped):,} of {len(stores):,} stores have no Zarr metadata",
                 "zarr.json of the stores", "Zarr metadata of every store"),
        ],
        [Fact(bound > 0, f"{bound:,} columns in Croissant are bound to a term of a standard vocabulary",
              "croissant.json: recordSet.field.equivalentProperty, dataType", "columns bound to vocabularies")],
    )  # fmt: skip


def _bound(croissant: Mapping[str, Any]) -> int:
    """Fields of record sets that state a term of a vocabulary."""
    fields = [field for one in listed(croissant, "recordSet") for field in listed(one, "field")]
    return sum(known.VOCABULARY.search(str({key: value for key, value in field.items() if key not in
               {"source", "description", "name", "@id"}})) is not None for field in fields)  # fmt: skip


def quality(found: Delivery) -> Grade:
    """2.e: quality control of every modality that is delivered, with the run that did it."""
    names = {one.name for one in found.items}
    groups = sorted({one.group for one in found.items} & set(QUALITY_TABLES))
    measured = {group: [name for name in QUALITY_TABLES[group] if name in names] for group in groups}
    without = [group for group, there in measured.items() if not there]
    unknown = [one.path for one in found.items if one.making is None and one.name in
               {name for there in measured.values() for name in there}]  # fmt: skip
    return graded(
        "2.e",
        [Fact(any(measured.values()), "; ".join(f"{group}: {', '.join(there) or 'nothing'}" for group, there in
              measured.items()) or "no data", "the tables", "tables of what quality control measured")],
        [
            Fact(not without, f"data without quality control: {', '.join(without) or 'none'}", "as above",
                 f"quality control of {', '.join(without)}"),
            found.described.fact("quality", "quality control and anomalies in the datasheet", sentences=True,
                                 lacking="a description of the quality control in the datasheet"),
            Fact(not unknown, f"{len(unknown):,} of these tables were made by software that is not recorded",
                 "registry/makings: software", "the software of the quality control"),
        ],
    )  # fmt: skip


def documented(found: Delivery) -> Grade:
    """3.a: the datasheet for machines, and the page for people."""
    machine = found.documents.get(DATASHEET_REPORT.name, {}).get(D4D, b"")
    both = (
        Fact(bool(machine), f"{D4D} has {len(machine):,} bytes", "document datasheet_report", "a D4D datasheet"),
        Fact("</html>" in found.page, f"the page has {len(found.page):,} characters", "document datasheet_report: "
             "index.html", "a page to read"),
    )  # fmt: skip
    either = Fact(
        any(fact.holds for fact in both), "a datasheet for machines, or for people", "as below", "a datasheet"
    )
    parts = [
        found.described.fact(topic, topic, sentences=True)
        for topic in ("composition", "collection", "processing", "limitation", "use")
    ]
    return graded("3.a", [either], [*both, *parts])


def fit_for_purpose(found: Delivery) -> Grade:
    """3.b: uses, and the published prohibitions word for word."""
    return wording.fit_for_purpose(found.described, carried=[_carried(found, "prohibited")])


def _carried(found: Delivery, topic: str) -> Fact:
    """What was published on a topic stands unchanged in the documents."""
    said = found.published.described.substantive(topic)
    here = "\n".join([*found.described.said(topic), *found.described.said("access")])
    lost = [one for one in said if _words(one) not in _words(here)]
    return Fact(not lost,
    f"{len(said) - len(lost):,} of {len(said):,} published statements on {topic} uses are carried "
                "over word for word", "release_datasheet against the documents",
                "the published terms, unchanged")  # fmt: skip


def _words(text: str) -> str:
    return " ".join(text.split()).lower()


def verifiable(found: Delivery) -> Grade:
    """3.c: digests in the metadata, which are those of the files."""
    items = found.items
    in_crate = [one for one in items if found.recorded(one, found.crate_digests)]
    in_croissant = [one for one in items if found.recorded(one, found.croissant_digests)]
    files = sum(len(one.files) for one in items) + sum(map(len, found.documents.values()))
    return graded(
        "3.c",
        [Fact(bool(in_crate or in_croissant),
              f"{len(in_crate):,} of {len(items):,} tables and stores are in the crates "
              f"with the SHA-256 that was recorded, {len(in_croissant):,} in Croissant",
              "ro-crate-metadata.json, croissant.json: sha256 against registry/sha256", "digests in the metadata")],
        [
            Fact(0 < len(items) == len(in_crate),
                 f"{len(items) - len(in_crate):,} are not in the crates, or with other "
                 "digests", "as above", "the recorded digest of everything in the crates"),
            Fact(found.sampled > 0 and not found.altered,
                 f"{len(found.altered):,} of {found.sampled:,} files that were "
                 f"read again (of {files:,}) are altered" + "".join(f"; {one}" for one in found.altered[:3]),
                 "the stored bytes against registry/sha256", "files that are what was recorded"),
        ],
    )  # fmt: skip


def disseminated(found: Delivery) -> Grade:
    """4.c: the published terms, and everything that is withheld."""
    open_files = found.published.files.filter(pl.col("access") == "public").height
    closed = found.published.files.filter(pl.col("access") != "public")
    unnamed = [one for one in closed["label"] if one not in found.page and one not in found.crate_text]
    return graded(
        "4.c",
        [Fact(bool(found.described.said("license")), f"{len(found.described.said('license')):,} statements on the "
              "licence", found.described.place, "a licence or terms of access")],
        [
            _carried(found, "prohibited"),
            found.described.fact("prohibited", "prohibited uses", sentences=True),
            found.described.fact("access", "terms of use", sentences=True),
            Fact(not unnamed,
                 f"{open_files:,} published files are public; of {closed.height:,} others the documents do "
                 f"not say {len(unnamed):,}", "release_files: access; index.html and ro-crate-metadata.json",
                 "what is withheld, and until when"),
            found.described.fact("contact", "a contact", lacking="a contact for access"),
        ],
    )  # fmt: skip


def tables_of(found: Delivery) -> dict[str, set[str]]:
    """Record sets of Croissant by name, each with the names of its fields."""
    if CROISSANT.name not in found.documents:
        return {}
    return {
        str(one.get("name", one.get("@id", ""))): {str(field.get("name", field.get("@id", ""))).rpartition("/")[2]
                                                   for field in listed(one, "field")}
        for one in listed(found.croissant, "recordSet")
    }  # fmt: skip
