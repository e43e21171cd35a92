"""What the quality checks say about proteomics tables, as plain data: one function per check.

Belongs here: checks that warn. Does not belong here: what stops publication (`problems`, the table schemas), the
defects themselves, which are found where the tables are made, comparing replicates (`correlation`), and Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.proteomics.correlation import PairCorrelation, as_frame
from cm4ai_assets.proteomics.names import UNKNOWN_CONDITION
from cm4ai_assets.proteomics.packages import Package
from cm4ai_assets.proteomics.problems import HARMLESS, Defect, Defects, Tally
from cm4ai_assets.proteomics.secms import Reading
from cm4ai_assets.suspects import Suspect

# Below this median correlation two replicates share less than a shape: half of what they do is something else.
LEAST_CORRELATION = 0.5
# A shift is believed when it makes the median correlation better by this much.
SHIFT_GAIN = 0.05
# Replicates of one quantity whose medians differ by more than this are not in one unit.
SCALE_FACTOR = 10.0

# Above this share of its lines left out, a table is not what was published.
LOST_LIMIT = 0.01

_ID_DEFECTS = ("malformed_id", *Suspect)
_PROTEIN_DEFECTS = ("negative_quantity", "non_numeric_quantity", "never_quantified", "id_count_mismatch",
                    "unreadable_mark")  # fmt: skip
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
    message = "; ".join(
        f"{archive} holds {others} files and no table" + (f", and names {', '.join(names)}" if names else "")
        for archive, _, others, names in empty.iter_rows()
    )
    return Finding(
        "tables_present",
        passed=empty.is_empty() and tables > 0,
        summary=f"{message}." if message else f"{tables} tables in {rows.height} archives.",
        rows=rows,
        counts={"tables": tables, "archives_without": empty.height},
    )


class Noticed(Protocol):
    """What readers of tables notice on the way, whatever the tables are."""

    @property
    def packages(self) -> Sequence[Package]:
        """What the archives hold."""
        ...

    @property
    def defects(self) -> Defects:
        """What is wrong with the tables that were read."""
        ...

    @property
    def tallies(self) -> Sequence[Tally]:
        """How many lines each has, and how many were left out."""
        ...

    @property
    def unusable(self) -> Sequence[Defect]:
        """Tables that were left out as a whole."""
        ...


def rows_kept(reading: Noticed) -> Finding:
    """Of no table more than a hundredth of the lines is left out, and some are left.

    Protects from a table of which a part, or nothing, took the place of the whole. One odd line sinks no table.
    Blocking: what was published before stays.
    """
    bad = [one for one in reading.tallies if one.lost > max(1, LOST_LIMIT * one.rows) or one.lost == one.rows]
    rows, lost = sum(one.rows for one in reading.tallies), sum(one.lost for one in reading.tallies)
    first = f"{bad[0].lost:,} of {bad[0].rows:,} lines of {bad[0].file} were left out" if bad else ""
    reason = next((f", the first: {defect}" for defect in reading.defects if defect.kind not in HARMLESS), "")
    return Finding(
        "rows_kept",
        passed=not bad and rows > lost,
        summary=f"{first}{reason}." if bad else f"{rows - lost:,} of {rows:,} lines were read.",
        rows=pl.DataFrame(
            [(one.file, one.rows, one.lost) for one in bad],
            schema={"file": pl.String(), "rows": pl.Int64(), "lost": pl.Int64()}, orient="row",
        ),
        counts={"lines": rows, "left_out": lost},
    )  # fmt: skip


def tables_recognised(packages: Sequence[Package]) -> Finding:
    """Each table in the archives is of a known form. Protects from a replicate that is missing without a word."""
    found = [defect for package in packages for defect in package.unrecognised]
    return Finding(
        "tables_recognised",
        passed=not found,
        summary=f"{len(found)} tables are of no known form and were not read, the first: {found[0]}."
        if found
        else "Every table is of a known form.",
        rows=_defect_rows(found),
        counts={"unrecognised": len(found)},
    )


def tables_usable(reading: Noticed) -> Finding:
    """Each table could be used. Protects from analysing the replicates that are left as if they were all."""
    found = reading.unusable
    summary = f"{len(found)} tables were left out: {found[0]}." if found else "Every table was used."
    return Finding("tables_usable", not found, summary, _defect_rows(found), {"unusable": len(found)})


def samples_known(reading: Reading) -> Finding:
    """Each table states what it is of. Protects from replicates counted twice, or under a guessed condition."""
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


def text_sound(reading: Noticed) -> Finding:
    """Each line and value was read as it stands there. Protects from lines and numbers that went missing unnoticed."""
    harmful = reading.defects.harmful
    first = next((defect for defect in reading.defects if defect.kind in harmful), None)
    return Finding(
        "text_sound",
        passed=not harmful,
        summary=f"{sum(harmful.values()):,} defects, the first: {first}."
        if harmful
        else "Every line and value was readable.",
        rows=_defect_rows(sorted(reading.defects, key=lambda defect: defect.kind in HARMLESS)),
        counts=dict(reading.defects.counts),
    )


def windows_aligned(proteins: pl.DataFrame) -> Finding:
    """Replicates were measured in the same fractions. Protects from taking the n-th column for the n-th fraction.

    `shift_by_position`: how far a replicate is off the first of its cells if columns are matched by position.
    """
    columns = ("first_fraction", "last_fraction", "measured_fractions")
    family = ("cell_line", "cell_type")
    rows = proteins.group_by("replicate_id", "quantity_kind", maintain_order=True).agg(
        pl.col(*family, *columns).first()
    )
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
    message = "; ".join(
        f"{line or 'unknown'} ({kind or 'unknown'}): {count} windows, which share F{begin:02d} to F{end:02d}"
        for line, kind, count, begin, end in several.iter_rows()
    )
    return Finding(
        "windows_aligned",
        passed=several.is_empty() and not gaps,
        summary=(f"{message}." if message else "Replicates of the same cells have the same window.")
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
    return _flagged("quantities_sound", proteins, _PROTEIN_DEFECTS, "protein groups")


def ids_sound(proteins: pl.DataFrame) -> Finding:
    """Ids are accessions of the experiment. Protects from contaminants, decoys and standards counted as proteins."""
    return _flagged("ids_sound", proteins, _ID_DEFECTS, "protein groups")


def _flagged(check: str, proteins: pl.DataFrame, flags: Sequence[str], what: str) -> Finding:
    counts = {str(flag): proteins.filter(pl.col("defects").list.contains(str(flag))).height for flag in flags}
    bad = proteins.filter(pl.col("defects").list.set_intersection([str(flag) for flag in flags]).list.len() > 0)
    which = ", ".join(f"{count} {flag}" for flag, count in counts.items() if count)
    return Finding(
        check,
        passed=bad.is_empty(),
        summary=f"{bad.height} of {proteins.height} {what} have a defect{f': {which}' if which else ''}.",
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
