"""What a datasheet asks and the tables answer: instances, images of each protein, splits, missing values, anomalies.

Belongs here: counting over published tables, in D4D's words. Does not belong here: what the release states itself
(`d4d`). Every answer says over which tables it was counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.findings import Finding
from cm4ai_assets.integration.summaries import NOT_PUBLISHED, not_published
from cm4ai_assets.publication import d4d_origins
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import IF_FIELDS, IF_QUALITY
from cm4ai_assets.tables.integration import PROTEINS, SIDES, SPLITS
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, SECMS_PROTEINS
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.tables.screen import PERTURB_CELLS
from cm4ai_assets.tables.targets import PERTURB_TARGETS

Item = dict[str, Any]
Rows = Callable[[str], pl.LazyFrame]
"""Name of a published table to its rows, of all conditions."""

_FLAGS: Final = ("defects", "flags", "deviations")
"""Columns that say what is to be known of a row, in words that the table lists."""


@dataclass(frozen=True)
class _Kind:
    """One kind of instance: the table whose rows they are, in the words of the field."""

    table: str
    instance_type: str
    data_topic: str
    label: str | None = None


_INSTANCES: Final = (
    _Kind(IF_FIELDS.name, "Field of view of confocal microscopy: four channels, one of them the protein of interest",
          "Immunofluorescence", "Antibody of the green channel, with its genes and proteins"),
    _Kind(IF_CELLS.name, "Nucleus in a field of view, segmented here", "Immunofluorescence"),
    _Kind(SECMS_PROTEINS.name, "Protein group in one replicate of size exclusion chromatography", "SEC-MS proteomics"),
    _Kind(APMS_INTERACTIONS.name, "Scored pair of bait and prey", "AP-MS proteomics"),
    _Kind(APMS_RUNS.name, "Annotated raw run of affinity purification", "AP-MS proteomics"),
    _Kind(PERTURB_CELLS.name, "Single cell under a CRISPRi perturbation", "Perturb-seq",
          "Guides and target of the cell"),
    _Kind(PERTURB_TARGETS.name, "Perturbed gene, with the pooled profile of its cells", "Perturb-seq"),
)  # fmt: skip


def answers(
    release: Release, published: Collection[str], findings: Iterable[tuple[str, str | None, Finding]] = ()
) -> dict[str, list[Item]]:
    """Slot of D4D to what the tables answer.

    Args:
        release: The release.
        published: Names of its tables.
        findings: What checks found, with table and condition.
    """
    rows = release.table
    found = {
        "instances": [_instance(rows, kind) for kind in _INSTANCES if kind.table in published],
        "subpopulations": [*_by_condition(rows, published), *_by_protein(rows, published)],
        "splits": _splits(rows) if SPLITS.name in published else [],
        "missing_data_documentation": [
            *(_missing(rows, name) for name in sorted(published)),
            *(_withheld(rows) if RELEASE_FILES.name in published else []),
        ],
        "anomalies": [*_flagged(rows, published), *_found(findings)],
        "sampling_strategies": _sampling(rows) if IF_FIELDS.name in published else [],
        "relationships": _coverage(rows) if PROTEINS.name in published else [],
        "preprocessing_strategies": d4d_origins.processing(rows, published),
        "raw_data_sources": d4d_origins.raw_data(rows, published),
    }
    return {slot: items for slot, items in found.items() if items}


def _counted(*names: str) -> dict[str, str]:
    return {"source_caveats": f"Counted over {', '.join(names)}."}


def _instance(rows: Rows, kind: _Kind) -> Item:
    table = tables.table(kind.table)
    missing = _missing_of_fields(rows) if kind.table == IF_FIELDS.name else {}
    return {
        "name": kind.table,
        "description": table.description,
        "instance_type": kind.instance_type,
        "data_topic": kind.data_topic,
        "counts": _height(rows(kind.table)),
        "label": kind.label is not None,
        **({"label_description": kind.label} if kind.label else {}),
        **({"missing_information": [_missing_info(missing)]} if missing else {}),
        **_counted(kind.table),
    }


def _missing_info(missing: Mapping[str, str]) -> Item:
    return {"missing": list(missing), "why_missing": list(missing.values()), **_counted(IF_FIELDS.name)}


def _missing_of_fields(rows: Rows) -> dict[str, str]:
    """What fields lack, each with the reason."""
    counts = rows(IF_FIELDS.name).select(
        fields=pl.len(),
        antibody=pl.col("antibody_id").is_null().sum(),
        genes=((pl.col("ensembl_gene_ids").list.len() == 0) & ~pl.col("is_control").fill_null(value=False)).sum(),
        channels=(~pl.col("is_complete")).sum(),
        tensor=pl.col("tensor_index").is_null().sum(),
    ).collect().row(0, named=True)  # fmt: skip
    of = f"of {counts['fields']:,} fields"
    said = {
        f"Antibody {of}: {counts['antibody']:,}": "The manifest does not say which antibody they show.",
        f"Genes {of}: {counts['genes']:,}": "No Ensembl gene is published for their antibody, or it is not known.",
        f"A channel {of}: {counts['channels']:,}": "Not all four channels are published exactly once.",
        f"Place in the tensor {of}: {counts['tensor']:,}": "See the defects of if_fields.",
    }
    return {text: why for text, why in said.items() if not text.endswith(": 0")}


def _withheld(rows: Rows) -> list[Item]:
    """Published files whose bytes are not public: withheld, and not missing."""
    closed = rows(RELEASE_FILES.name).filter(pl.col("access") != "public").sort("file_id").collect()
    return [
        {
            "name": row["label"],
            "missing_data_patterns": "The bytes of this published file are not public.",
            "missing_data_causes": f"Access: {row['access']}"
            + (f", available on {row['available_on']}." if row["available_on"] else "."),
            **_counted(RELEASE_FILES.name),
        }
        for row in closed.iter_rows(named=True)
    ]


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _by_condition(rows: Rows, published: Collection[str]) -> list[Item]:
    if IF_FIELDS.name not in published:
        return []
    counts = dict(rows(IF_FIELDS.name).group_by("condition").len().collect().iter_rows())
    said = ", ".join(f"{one} {counts[one]:,}" for one in map(str, CONDITIONS) if one in counts)
    return [
        {
        "name": "conditions",
        "identification": "Treatment of the cells",
        "distribution": f"Fields of view: {said}",
        "subpopulation_elements_present": True,
        **_counted(IF_FIELDS.name),
    }]  # fmt: skip


def _by_protein(rows: Rows, published: Collection[str]) -> list[Item]:
    """Fields of view of every gene or protein that images show, by condition."""
    if PROTEINS.name not in published:
        return []
    columns = {str(one): f"if_fields_{one}" for one in CONDITIONS}
    shown = rows(PROTEINS.name).filter(pl.col("has_if")).sort("gene").select("gene", "symbol", *columns.values())
    return [_protein(row, columns) for row in shown.collect().iter_rows(named=True)]


def _protein(row: Mapping[str, Any], columns: Mapping[str, str]) -> Item:
    said = ", ".join(f"{one} {row[name]:,}" for one, name in columns.items() if row[name] is not None)
    return {
        "id": row["gene"],
        "name": row["symbol"] or row["gene"],
        "distribution": f"Fields of view: {said or 'not published'}",
        **_counted(PROTEINS.name),
    }


def _splits(rows: Rows) -> list[Item]:
    sides = rows(SPLITS.name).group_by("scheme", "scheme_version").agg(
        *((pl.col("split") == side).sum().alias(side) for side in SIDES),
        pl.col("reason").drop_nulls().value_counts(sort=True, name="fields").alias("none"),
        pl.col("group").n_unique().alias("groups"),
    )  # fmt: skip
    return [_split(row) for row in sides.sort("scheme").collect().iter_rows(named=True)]


def _split(row: Mapping[str, Any]) -> Item:
    placed = ", ".join(f"{side} {row[side]:,}" for side in SIDES)
    reasons = sorted((one["reason"], one["fields"]) for one in row["none"])
    none = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
    return {
        "name": row["scheme"],
        "split_details": f"Fields of view: {placed}; on no side: {none or 'none'}. No gene, protein or antibody is on "
        f"two sides. Version {row['scheme_version']} of the schemes.",
        **_counted(SPLITS.name),
    }


def _missing(rows: Rows, name: str) -> Item:
    """Share of nulls in every column that has some: nulls are the one form of a missing value."""
    frame = rows(name)
    nullable = [column.name for column in tables.table(name).columns if column.nullable]
    present = [column for column in nullable if column in frame.collect_schema().names()]
    counts = frame.select(pl.len().alias("_"), *(pl.col(one).null_count() for one in present)).collect()
    total, nulls = counts["_"][0], {one: counts[one][0] for one in present}
    said = ", ".join(f"{one} {count:,}" for one, count in nulls.items() if count)
    return {
        "name": name,
        "missing_data_patterns": f"Nulls in {total:,} rows: {said or 'none'}.",
        "missing_data_causes": "What a null of a column means stands in the description of the column.",
        "handling_strategy": "Left null; nothing is imputed.",
        **_counted(name),
    }


def _flagged(rows: Rows, published: Collection[str]) -> list[Item]:
    """How many rows of each table carry each of its flags."""
    found = []
    for name in sorted(published):
        for column in (one for one in tables.table(name).columns if one.name in _FLAGS and one.allowed):
            counts = rows(name).select(pl.col(column.name).explode().drop_nulls().alias("flag")).collect()["flag"]
            for flag, count in sorted(counts.value_counts(name="rows").iter_rows()):
                details = f"{count:,} of {_height(rows(name)):,} rows carry {flag} in {column.name}."
                found.append({"name": f"{name}: {flag}", "anomaly_details": details, **_counted(name)})
    return [*found, *_of_quality(rows, published)]


def _of_quality(rows: Rows, published: Collection[str]) -> list[Item]:
    if IF_QUALITY.name not in published:
        return []
    counts = rows(IF_QUALITY.name).select(pl.len(), pl.col("is_saturated", "is_empty").sum()).collect().row(0)
    total, saturated, empty = counts
    details = f"Of {total:,} channels of fields of view {saturated:,} are saturated and {empty:,} are empty."
    return [{"name": "if_quality", "anomaly_details": details, **_counted(IF_QUALITY.name)}]


def _found(findings: Iterable[tuple[str, str | None, Finding]]) -> list[Item]:
    return [
        {
            "name": ": ".join(filter(None, (table, condition, found.check))),
            "anomaly_details": found.summary,
            "source_caveats": f"Found by the check {found.check} of {table}.",
        }
        for table, condition, found in findings
        if not found.passed
    ]


def _sampling(rows: Rows) -> list[Item]:
    wells = rows(IF_FIELDS.name).group_by("condition", "plate", "well").len().collect()
    fewest, most = (int(count) for count in wells.select(fewest=pl.min("len"), most=pl.max("len")).row(0))
    item = {
        "name": IF_FIELDS.name,
        "description": f"{wells.height:,} wells with {fewest} to {most} published fields of view each, on "
        f"{wells['plate'].n_unique()} plates. How the fields of a well were chosen is not published.",
    }
    return [{**item, **_counted(IF_FIELDS.name)}]


def _coverage(rows: Rows) -> list[Item]:
    """How many genes each modality measures; null where a modality is not published."""
    names = [name for name in PROTEINS.polars_schema.names() if name.startswith("has_")]
    shown = rows(PROTEINS.name).select(names).collect()
    absent = {f"has_{one}" for one in not_published(shown)}
    said = [
        f"{name.removeprefix('has_')} {NOT_PUBLISHED if name in absent else f'{int(shown[name].sum()):,}'}"
        for name in names
    ]
    everywhere = shown.filter(pl.all_horizontal(names)).height
    details = f"Of {shown.height:,} genes or proteins, by modality: {', '.join(said)}; in all: {everywhere:,}."
    return [{"name": PROTEINS.name, "relationship_details": details, **_counted(PROTEINS.name)}]
