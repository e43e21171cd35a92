"""What the quality checks say about proteomics tables, as plain data: one function per check.

Belongs here: checks that warn. Does not belong here: what stops publication (`problems`, the table schemas), the
defects themselves, which are found where the tables are made, comparing replicates (`correlation`), and Dagster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.proteomics.correlation import PairCorrelation, as_frame
from cm4ai_assets.proteomics.names import UNKNOWN_CONDITION
from cm4ai_assets.proteomics.problems import HARMLESS, Defect
from cm4ai_assets.proteomics.secms import Package, Reading

# Below this median correlation two replicates share less than a shape: half of what they do is something else.
LEAST_CORRELATION = 0.5
# A shift is believed when it makes the median correlation better by this much.
SHIFT_GAIN = 0.05
# Replicates of one quantity whose medians differ by more than this are not in one unit.
SCALE_FACTOR = 10.0

_PROTEIN_DEFECTS = ("negative_quantity", "non_numeric_quantity", "never_quantified", "id_count_mismatch")
_SOURCE = ("replicate_id", "protein_group", "source_file", "source_line")


def tables_present(packages: Sequence[Package]) -> Finding:
    """The archives hold tables. Protects from a release whose ZIPs are named like data and hold metadata only."""
    rows = pl.DataFrame(
        [(p.archive, len(p.tables), len(p.others), list(p.accessions)) for p in packages],
        schema={"archive": pl.String(), "tables": pl.Int32(), "others": pl.Int32(), "accessions": pl.List(pl.String)},
        orient="row",
    )
    tables = int(rows["tables"].sum())
    empty = rows.filter(pl.col("tables") == 0)
    told = "; ".join(
        f"{archive} holds {others} files and no table" + (f", and names {', '.join(names)}" if names else "")
        for archive, _, others, names in empty.iter_rows()
    )
    return Finding(
        "tables_present",
        passed=empty.is_empty() and tables > 0,
        summary=f"{told}." if told else f"{tables} tables in {rows.height} archives.",
        rows=rows,
        counts={"tables": tables, "archives_without": empty.height},
    )


def tables_usable(reading: Reading) -> Finding:
    """Each table could be used. Protects from analysing the replicates that are left as if they were all."""
    found = reading.unusable
    summary = f"{len(found)} tables were left out: {found[0]}." if found else "Every table was used."
    return Finding("tables_usable", not found, summary, _defect_rows(found), {"unusable": len(found)})


def samples_known(reading: Reading) -> Finding:
    """Each table tells what it is of. Protects from replicates counted twice, or under a condition that was guessed."""
    unknown = [(r.replicate_id, ", ".join(r.sample.flags)) for r in reading.replicates if r.sample.flags]
    unknown += [(table, UNKNOWN_CONDITION) for table in reading.unplaced]
    unknown += [(r.replicate_id, "another table claims the same") for r in reading.replicates if "#" in r.replicate_id]
    return Finding(
        "samples_known",
        passed=not unknown,
        summary=f"{len(unknown)} samples are not fully known." if unknown else f"{len(reading.replicates)} samples.",
        rows=pl.DataFrame(unknown, schema={"table": pl.String(), "unknown": pl.String()}, orient="row").head(
            ROWS_SHOWN
        ),
        counts={"samples": len(reading.replicates), "unknown": len(unknown)},
    )


def text_sound(reading: Reading) -> Finding:
    """Each line and value was read as it stands there. Protects from lines and numbers that went missing unnoticed."""
    harmful = [defect for defect in reading.defects if defect.kind not in HARMLESS]
    return Finding(
        "text_sound",
        passed=not harmful,
        summary=f"{len(harmful)} defects, the first: {harmful[0]}."
        if harmful
        else "Every line and value was readable.",
        rows=_defect_rows(sorted(reading.defects, key=lambda defect: defect.kind in HARMLESS)),
        counts=Counter(defect.kind for defect in reading.defects),
    )


def windows_aligned(proteins: pl.DataFrame) -> Finding:
    """Replicates were measured in the same fractions. Protects from taking the n-th column for the n-th fraction.

    `shift_by_position`: how far a replicate is off the first of its cells if columns are matched by position.
    """
    columns = ("first_fraction", "last_fraction", "measured_fractions")
    family = ("cell_line", "cell_type")
    rows = proteins.group_by("replicate_id", maintain_order=True).agg(pl.col(*family, *columns).first())
    rows = rows.with_columns(
        (pl.col("last_fraction") - pl.col("first_fraction") + 1 - pl.col("measured_fractions")).alias("gaps"),
        (pl.col("first_fraction") - pl.col("first_fraction").first().over(family)).alias("shift_by_position"),
    )
    windows = rows.select(*family, "first_fraction", "last_fraction").unique(maintain_order=True)
    shared = windows.group_by(family, maintain_order=True).agg(
        pl.len(), pl.col("first_fraction").max(), pl.col("last_fraction").min()
    )
    several = shared.filter(pl.col("len") > 1)
    gaps = rows.filter(pl.col("gaps") > 0).height
    told = "; ".join(
        f"{line or 'unknown'} ({kind or 'unknown'}): {count} windows, which share F{begin:02d} to F{end:02d}"
        for line, kind, count, begin, end in several.iter_rows()
    )
    return Finding(
        "windows_aligned",
        passed=several.is_empty() and not gaps,
        summary=(f"{told}." if told else "Replicates of the same cells have the same window.")
        + (f" {gaps} replicates lack fractions within." if gaps else ""),
        rows=rows.head(ROWS_SHOWN),
        counts={"windows": windows.height, "cells_with_several": several.height, "replicates_with_gaps": gaps},
    )


def elution_aligned(pairs: Sequence[PairCorrelation]) -> Finding:
    """Equal fraction numbers mean equal sizes. Protects from replicates whose fractions were counted from elsewhere."""
    bad = [pair for pair in pairs if pair.shift and (pair.shifted_median or 0) - (pair.median or 0) >= SHIFT_GAIN]
    most = max((abs(pair.shift) for pair in bad), default=0)
    return Finding(
        "elution_aligned",
        passed=not bad,
        summary=f"{len(bad)} of {len(pairs)} pairs of replicates agree better when shifted, by up to {most} fractions.",
        rows=as_frame(bad).head(ROWS_SHOWN),
        counts={"pairs": len(pairs), "shifted": len(bad)},
    )


def replicates_correlate(pairs: Sequence[PairCorrelation]) -> Finding:
    """Replicates look alike. Protects from a swapped file, a failed separation, a wrong label."""
    bad = [pair for pair in pairs if pair.median is None or pair.median < LEAST_CORRELATION]
    worst = min((pair.median for pair in pairs if pair.median is not None), default=None)
    return Finding(
        "replicates_correlate",
        passed=not bad,
        summary=f"{len(bad)} of {len(pairs)} pairs of replicates have a median correlation below {LEAST_CORRELATION}"
        + ("." if worst is None else f"; the lowest is {worst:.2f}."),
        rows=as_frame(pairs).sort("median", nulls_last=False).head(ROWS_SHOWN),
        counts={"pairs": len(pairs), "uncorrelated": len(bad)},
    )


def groups_unique(proteins: pl.DataFrame) -> Finding:
    """A protein group stands in a replicate once. Protects from counting or averaging it twice."""
    bad = proteins.filter(pl.col("occurrence") > 0)
    return Finding(
        "groups_unique",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {proteins.height} protein groups repeat another of the same replicate.",
        rows=bad.select(*_SOURCE, "occurrence").head(ROWS_SHOWN),
        counts={"groups": proteins.height, "repeated": bad.height},
    )


def quantities_sound(proteins: pl.DataFrame) -> Finding:
    """Quantities are numbers, not below zero, and identifiers fit the members. Protects sums and joins."""
    counts = {kind: proteins.filter(pl.col("defects").list.contains(kind)).height for kind in _PROTEIN_DEFECTS}
    bad = proteins.filter(pl.col("defects").list.set_intersection(list(_PROTEIN_DEFECTS)).list.len() > 0)
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return Finding(
        "quantities_sound",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {proteins.height} protein groups have a defect{f': {told}' if told else ''}.",
        rows=bad.select(*_SOURCE, "defects").head(ROWS_SHOWN),
        counts=counts,
    )


def scale_consistent(proteins: pl.DataFrame) -> Finding:
    """Replicates are in one unit. Protects from averages over quantities of which some are scaled or logarithms."""
    middle = pl.col("median_apex").median().over("quantity_kind")
    rows = _scales(proteins).with_columns((pl.col("median_apex") / middle).alias("factor"))
    return _scale_finding("scale_consistent", rows, "the other replicates")


def scale_unchanged(before: pl.DataFrame, now: pl.DataFrame) -> Finding:
    """Replicates are in the unit of the release before. Protects from comparing releases whose units differ."""
    old = _scales(before).select("replicate_id", "quantity_kind", pl.col("median_apex").alias("median_before"))
    rows = _scales(now).join(old, on=["replicate_id", "quantity_kind"], maintain_order="left")
    rows = rows.with_columns((pl.col("median_apex") / pl.col("median_before")).alias("factor"))
    return _scale_finding("scale_unchanged", rows, "the release before")


def _scales(proteins: pl.DataFrame) -> pl.DataFrame:
    """The scale of each replicate: the median of the apexes of its groups, and the largest."""
    apex = pl.col("apex_quantity")
    keys = ("replicate_id", "quantity_kind")
    return proteins.group_by(keys, maintain_order=True).agg(
        apex.median().alias("median_apex"), apex.max().alias("largest")
    )


def _scale_finding(check: str, rows: pl.DataFrame, other: str) -> Finding:
    bad = rows.filter(~pl.col("factor").is_between(1 / SCALE_FACTOR, SCALE_FACTOR))
    return Finding(
        check,
        passed=bad.is_empty(),
        summary=f"The quantities of {bad.height} of {rows.height} replicates are more than {SCALE_FACTOR:g} times off "
        f"those of {other}.",
        rows=rows.head(ROWS_SHOWN),
        counts={"replicates": rows.height, "off": bad.height},
    )


def _defect_rows(defects: Sequence[Defect]) -> pl.DataFrame:
    rows: list[Mapping[str, object]] = [defect.as_row() for defect in defects[:ROWS_SHOWN]]
    return (
        pl.DataFrame(rows, schema=["kind", "file", "line", "column", "detail"], orient="row")
        if rows
        else pl.DataFrame()
    )


def interactions_sound(interactions: pl.DataFrame) -> Finding:
    """Pairs, ids, counts and scores have their form and fit together. Protects networks from false nodes and edges."""
    bad = interactions.filter(pl.col("defects").list.len() > 0)
    counts = dict(bad.select(pl.col("defects").explode().value_counts()).unnest("defects").iter_rows())
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    return Finding(
        "interactions_sound",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {interactions.height} bait-prey pairs have a defect{f': {told}' if told else ''}.",
        rows=bad.select("bait_symbol", "prey", "source_file", "source_line", "defects").head(ROWS_SHOWN),
        counts={"pairs": interactions.height, **counts},
    )


def runs_sound(runs: pl.DataFrame) -> Finding:
    """Runs are annotated, once, and passed their quality control. Protects from scoring failed or unknown runs."""
    bad = runs.filter((pl.col("defects").list.len() > 0) | ~pl.col("qc_passed").fill_null(value=False))
    failed = runs.filter(~pl.col("qc_passed")).height
    return Finding(
        "runs_sound",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {runs.height} runs have a defect or failed their quality control ({failed}).",
        rows=bad.select("raw_file", "tagged_line", "treatment_label", "qc_passed", "defects").head(ROWS_SHOWN),
        counts={"runs": runs.height, "failed_qc": failed},
    )


def runs_deposited(runs: pl.DataFrame, files: pl.DataFrame) -> Finding:
    """Annotated runs and deposited raw files are the same. Protects from annotations of files that nobody can get."""
    named = runs.select("accession", pl.col("raw_file").alias("name")).drop_nulls("name")
    raw = files.filter(pl.col("kind") == "raw_run", pl.col("accession").is_in(named["accession"].implode()))
    absent = named.join(raw, on="name", how="anti").with_columns(pl.lit("no raw file").alias("problem"))
    extra = raw.select("accession", "name").join(named, on="name", how="anti")
    rows = pl.concat([absent, extra.with_columns(pl.lit("no annotation").alias("problem"))])
    return Finding(
        "runs_deposited",
        passed=rows.is_empty(),
        summary=f"{absent.height} of {named.height} annotated runs have no raw file in the deposit; {extra.height} raw "
        "files have no annotation.",
        rows=rows.head(ROWS_SHOWN),
        counts={"runs": named.height, "without_file": absent.height, "without_annotation": extra.height},
    )
