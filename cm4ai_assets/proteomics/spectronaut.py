"""Wide Spectronaut reports: one row per protein group, one quantity column per MS run.

The fraction of a column is the one in its run's name. Columns may stand in any order (VRST_2 begins with F78), begin at
any fraction (F07, F11, F12), and be indexed by anything: the number in brackets is Spectronaut's index of the run.
Which identifier columns there are differs from report to report. Does not belong here: the published columns (`rows`).
"""

from __future__ import annotations

from collections import defaultdict

import polars as pl

from cm4ai_assets.heavy import np
from cm4ai_assets.proteomics.columns import flag_list, read_columns
from cm4ai_assets.proteomics.elution import Elution
from cm4ai_assets.proteomics.groups import alternatives, group_flags, members
from cm4ai_assets.proteomics.names import QUANTITY, QuantityColumn, Sample, quantity_column, sample_of
from cm4ai_assets.proteomics.problems import (
    NEGATIVE,
    NO_FRACTION,
    NO_GROUP,
    NON_NUMERIC,
    OTHER_QUANTITY,
    OUT_OF_ORDER,
    Defect,
    Defects,
    TableDamagedError,
)
from cm4ai_assets.proteomics.rows import IDENTIFIERS, Replicate
from cm4ai_assets.proteomics.text import read_text
from cm4ai_assets.vocabulary import QuantityKind

GROUPS = "PG.ProteinGroups"
_GROUP_LABEL = "PG.GroupLabel"
# In the order of the members; one value where all are equal (column descriptions in the release's crate).
_LISTS = dict(zip(("PG.ProteinAccessions", "PG.UniProtIds", "PG.Genes", "PG.ProteinNames"), IDENTIFIERS, strict=True))


def is_report(header: tuple[str, ...]) -> bool:
    """The columns are those of a wide report."""
    return GROUPS in header and any(quantity_column(name) for name in header)


def sample_of_report(header: tuple[str, ...], file: str, context: str = "") -> Sample:
    """What the report is of, by its header alone."""
    columns = [column for name in header if (column := quantity_column(name))]
    return sample_of(file, [column.run for column in columns], context)


def read_report(data: bytes, file: str, *, context: str = "") -> Replicate:
    """A report's bytes as a replicate.

    Args:
        data: The file's bytes.
        file: Its name, for the sample and for the places of defects.
        context: Where it was found (archive, accession): names the cell line where file and runs do not.

    Raises:
        TableDamagedError: It is no such report, or cannot be used; the message names file, line and column.
    """
    text = read_text(data, file)
    if GROUPS not in text.header:
        raise TableDamagedError(file, "there is no such column", column=GROUPS)
    columns, column_defects = _fraction_columns(text.header, file, text.header_line)
    defects = Defects(*column_defects)
    defects.update(text.defects)
    lists = {name: target for name, target in _LISTS.items() if name in text.header}
    strings = [GROUPS, *lists, *([_GROUP_LABEL] if _GROUP_LABEL in text.header else [])]
    frame, found = read_columns(text, strings, [column.name for column in columns])
    defects.update(found)
    frame = frame.with_columns(pl.Series("source_line", text.line_numbers, pl.Int64))
    has_group = pl.col(GROUPS).str.contains(r"[^;|\s]").fill_null(value=False)
    nameless = frame.filter(~has_group)["source_line"].to_numpy()
    defects.add_lines(NO_GROUP, file, nameless, GROUPS, lambda _: "no protein group; the line is left out")
    defects.lost += len(nameless)
    frame = frame.filter(has_group).with_columns(pl.int_range(pl.len()).over(GROUPS).cast(pl.Int16).alias("occurrence"))
    if frame.is_empty():
        raise TableDamagedError(file, "no row has a protein group", column=GROUPS)
    sample = sample_of(file, [column.run for column in columns], context)
    elution = Elution(
        replicate_id=sample.identity(file),
        sample=sample,
        groups=frame.select(pl.col(GROUPS).alias("protein_group"), "occurrence"),
        fractions=np.array([column.fraction for column in columns], dtype=np.int16),
        runs=tuple(column.run for column in columns),
        quantities=frame.select(column.name for column in columns).cast(pl.Float64).to_numpy(),
        interpolated=None,
        quantity_kind=QuantityKind.PROTEIN_GROUP_QUANTITY,
    )
    return Replicate(elution, _identifiers(frame, lists, defects), file, defects)


def _fraction_columns(header: tuple[str, ...], file: str, line: int) -> tuple[list[QuantityColumn], list[Defect]]:
    """The quantity columns in the order of their fractions."""
    all_columns = [column for name in header if (column := quantity_column(name))]
    quantities = [column for column in all_columns if column.quantity == QUANTITY]
    if not quantities:
        kinds = sorted({column.quantity for column in all_columns})
        raise TableDamagedError(
            file, f"no column is a run's {QUANTITY}" + (f", only {', '.join(kinds)}" if kinds else "")
        )
    by_fraction: defaultdict[int, list[str]] = defaultdict(list)
    for column in quantities:
        if column.fraction is not None:
            by_fraction[column.fraction].append(column.name)
    if not by_fraction:
        raise TableDamagedError(file, "no run's name states a fraction (_Fnn_)", column=quantities[0].name)
    for fraction, names in by_fraction.items():
        if len(names) > 1:
            raise TableDamagedError(file, f"fraction {fraction} is also that of column {names[0]!r}", column=names[1])
    defects = [
        Defect(NO_FRACTION, file, line, column.name, "the run's name states no fraction; the column is left out")
        for column in quantities
        if column.fraction is None
    ]
    defects += [
        Defect(OTHER_QUANTITY, file, line, column.name, f"{column.quantity} is not {QUANTITY}; the column is left out")
        for column in all_columns
        if column.quantity != QUANTITY
    ]
    placed = [column for column in quantities if column.fraction is not None]
    ordered = sorted(placed, key=lambda column: column.fraction or 0)
    if moved := [column for column, expected in zip(placed, ordered, strict=True) if column != expected]:
        detail = (
            f"fraction {moved[0].fraction} stands where {ordered[placed.index(moved[0])].fraction} would; put in order"
        )
        defects.append(Defect(OUT_OF_ORDER, file, line, moved[0].name, detail))
    return ordered, defects


def _identifiers(frame: pl.DataFrame, lists: dict[str, str], defects: Defects) -> pl.DataFrame:
    """Members and identifiers of each group, and what is wrong with its row."""
    lines = {kind: defects.lines(kind).tolist() for kind in (NON_NUMERIC, NEGATIVE)}
    split = frame.select(
        members(GROUPS).alias("members"),
        alternatives(GROUPS).alias("alternatives"),
        *(members(name).alias(target) for name, target in lists.items()),
        *(pl.lit(None, pl.List(pl.String)).alias(target) for target in IDENTIFIERS if target not in lists.values()),
        (pl.col(_GROUP_LABEL) if _GROUP_LABEL in frame.columns else pl.lit(None, pl.String)).alias("group_label"),
        "source_line",
        "occurrence",
        pl.col(GROUPS).alias("_cell"),
    )
    uneven = [
        ~pl.col(target).list.len().is_in([0, 1]) & (pl.col(target).list.len() != pl.col("members").list.len())
        for target in lists.values()
    ]
    flags = {
        "duplicate_group": pl.col("occurrence") > 0,
        "non_numeric_quantity": pl.col("source_line").is_in(lines[NON_NUMERIC]),
        "negative_quantity": pl.col("source_line").is_in(lines[NEGATIVE]),
        "id_count_mismatch": pl.any_horizontal(uneven) if uneven else pl.lit(value=False),
        **group_flags("_cell"),
    }
    return split.with_columns(flag_list(flags)).drop("occurrence", "_cell")
