"""The beginning of a report: the release at a glance, and what is delivered of it and what is not."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.conditions import Condition
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.publication.blocks import (
    Content,
    Definitions,
    Facts,
    Inline,
    Link,
    Mono,
    Note,
    Section,
    Table,
    Text,
    table_of,
)
from cm4ai_assets.publication.report.subject import Subject, delivered_tables
from cm4ai_assets.references import Kind
from cm4ai_assets.storage.registry import TEST_PREFIX
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.vocabulary import MODALITY_NAMES, Modality

_COUNTED = (
    ("if_fields", "fields of view"),
    ("if_antibodies", "rows of antibody manifests"),
    ("if_cells", "nuclei"),
    ("secms_proteins", "SEC-MS protein groups, all replicates"),
    ("apms_interactions", "AP-MS bait-prey pairs"),
    ("perturb_cells", "Perturb-seq cells"),
    ("perturb_targets", "perturbed targets"),
    ("proteins", "genes and proteins over all modalities"),
)


def at_a_glance(subject: Subject, beside: Sequence[str] = ()) -> Section:
    """Title, DOI, version, dates, licence, and the numbers that matter."""
    synthetic = subject.origin.doi.startswith(TEST_PREFIX)
    note = "This release is synthetic: it comes from an embedded archive for tests, and nothing in it was measured."
    warnings = sum(one.warns for one in subject.checked)
    return Section(
        "At a glance",
        (
            *([Note(note)] if synthetic else []),
            Facts(_numbers(subject)),
            Definitions([*_identity(subject), *_files(beside)]),
            *([Text(_verdict(subject, warnings))] if subject.checked else []),
        ),
    )


def _files(beside: Sequence[str]) -> list[tuple[str, Content]]:
    """The files beside the page, each a link for who has them all."""
    pieces: list[Inline] = []
    for name in beside:
        pieces += [", ", Link(name, name)] if pieces else [Link(name, name)]
    return [("Beside this page", pieces)] if pieces else []


def _numbers(subject: Subject) -> list[tuple[str, Content]]:
    rows: dict[str, int] = {}
    for one in subject.delivery:
        if one.kind is Kind.TABLE:
            rows[one.name] = rows.get(one.name, 0) + (one.rows or 0)
    found: list[tuple[str, Content]] = [(label, rows[name]) for name, label in _COUNTED if name in rows]
    files = subject.frame(RELEASE_FILES.name)
    if files is not None:
        size = size_in_words(int(files["size"].sum()))
        found = [("files published", files.height), ("published", size), *found]
    return [*found, ("delivered here", size_in_words(sum(one.size for one in subject.delivery)))]


def _identity(subject: Subject) -> list[tuple[str, Content]]:
    origin, record = subject.origin, subject.record
    found: list[tuple[str, Content]] = [
        ("DOI", Link(origin.doi, f"https://doi.org/{origin.doi.removeprefix('doi:')}")),
        ("Version", origin.version),
        ("Release key", Mono(subject.key)),
        ("Licence", [origin.license, ": see ", Link("what each licence covers", "#licences")]),
        ("Conditions with images", ", ".join(subject.conditions_of("if_fields")) or "none"),
    ]
    if record is not None:
        found[2:2] = [("Dataset first published", record.published), ("This version published", _day(subject))]
    return found


def _day(subject: Subject) -> Content:
    record = subject.record
    return None if record is None or record.released is None else record.released.date()


def _verdict(subject: Subject, warnings: int) -> Content:
    asked = f"{len(subject.checked):,} checks were evaluated over the published tables; "
    outcome = f"{warnings:,} of them warn. " if warnings else "none of them warns. "
    return [asked, outcome, Link("What they found", "#anomalies-and-contradictions"), "."]


def delivery(subject: Subject) -> Section:
    """What the archive publishes by modality, what is delivered of it, and what is not, with the reasons."""
    return Section("What is in it", (_published(subject), _delivered(subject), *_not_delivered(subject)))


def _published(subject: Subject) -> Section:
    files = subject.frame(RELEASE_FILES.name)
    if files is None:
        return Section("Published files", (Text(subject.why_not(RELEASE_FILES.name)),))
    by = files.group_by("modality", "cell_line", "file_condition").agg(
        pl.len().alias("files"), pl.col("size").sum(), (pl.col("access") != "public").sum().alias("not public")
    )
    named = pl.col("modality").replace({**MODALITY_NAMES, Modality.RELEASE: "the release itself"})
    rows = by.sort("modality", "cell_line", "file_condition", nulls_last=True).with_columns(named)
    rows = rows.rename({"file_condition": "condition"})
    table = table_of(rows, "Published files by modality, cell line and condition", shown=60, absent="of none")
    return Section("Published files", (table,))


def _delivered(subject: Subject) -> Section:
    rows = []
    for name in delivered_tables(subject):
        parts = [one for one in subject.delivery if one.kind is Kind.TABLE and one.name == name]
        stores = [one for one in subject.delivery if one.kind is not Kind.TABLE and one.name == name]
        there = {one.partition.condition for one in parts}
        conditions = [str(condition) for condition in Condition if condition in there]
        rows.append(
            (
                Mono(name),
                _first_sentence(tables.table(name).description),
                ", ".join(conditions) or "all together",
                sum(one.rows or 0 for one in parts),
                size_in_words(sum(one.size for one in (*parts, *stores))),
                f"{len(stores):,} stores" if len(stores) > 1 else "1 store" if stores else "-",
            )
        )
    columns = ["table", "what it is", "conditions", "rows", "size", "beside it"]
    intro = (
        "Tables are Parquet files; image tensors, labels of nuclei and profiles are Zarr stores beside them. Every "
        "published table has passed its schema: columns, types, keys and row rules."
    )
    return Section("Delivered here", (Text(intro), Table("Tables, and the stores beside them", columns, rows)))


def _not_delivered(subject: Subject) -> list[Section]:
    there = delivered_tables(subject)
    missing = [one.name for one in tables.ALL if one.partitioning is not Partitioning.NONE and one.name not in there]
    rows = [(Mono(name), subject.why_not(name)) for name in missing]
    if not rows:
        return []
    return [Section("Not delivered", (Table("Tables that are not there, and why", ["table", "why"], rows),))]


def _first_sentence(text: str) -> str:
    head = text.partition(". ")[0]
    return head if head.endswith(".") else f"{head}."
