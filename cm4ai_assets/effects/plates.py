"""Batch effects: how plates, and positions on them, differ in the stains that every well has alike.

Belongs here: the rows of `if_plates`, and what is left of each well for a map of the plates. Does not belong here: the
measures (`measures`), and treatments (`effects`).

Positions are compared without the median of each plate, so that a plate that differs makes no row or column differ.
Tests are on ranks: a well that went wrong is one rank, not a large number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from cm4ai_assets.effects.measures import reproducibility, well_values
from cm4ai_assets.heavy import np, stats
from cm4ai_assets.tables.effects import FACTORS, REFERENCE_CHANNELS

FALSE_DISCOVERIES: Final = 0.05
LEAST_SHIFT: Final = 1.0
"""Standard deviations between wells from which a shift counts: with many wells a small one is significant, too."""
FEWEST_WELLS: Final = 4
MAD_TO_SIGMA: Final = 1.4826

_OUTER_ROWS, _OUTER_COLUMNS = ("A", "H"), (1, 12)


def plate_rows(measures: pl.DataFrame) -> pl.DataFrame:
    """The rows of `if_plates` without their release.

    Args:
        measures: As `measures.field_measures` gives them.
    """
    groups = reference_wells(measures).partition_by("condition", "channel", "measure", maintain_order=True)
    rows = [row for wells in groups for row in _rows_of(wells)]
    return _tested(pl.DataFrame(rows, schema=_SCHEMA))


def reference_wells(measures: pl.DataFrame) -> pl.DataFrame:
    """Values of the wells in the reference stains, with `residual`: what is left without the plate's median.

    Wells without primary antibody count: they have these stains like any.
    """
    own = measures.filter(pl.col("channel").is_in(REFERENCE_CHANNELS))
    wells = well_values(own, "channel")
    median = pl.col("value").median().over("condition", "channel", "measure", "plate")
    return wells.with_columns(residual=pl.col("value") - median)


def robust_sd(values: pl.Series) -> float:
    """Median absolute deviation from 0, scaled to the standard deviation of a normal distribution; 0 of no values."""
    return MAD_TO_SIGMA * float(values.abs().median() or 0.0)  # type: ignore[arg-type]  # of floats it is one


def level_of(factor: str) -> pl.Expr:
    """The level of a factor (`tables.effects.FACTORS`) at which a well stands, of rows with `measures.PLACE`."""
    outer = pl.col("well_row").is_in(_OUTER_ROWS) | pl.col("well_column").is_in(_OUTER_COLUMNS)
    return {
        "plate": pl.col("plate"),
        "row": pl.col("well_row"),
        "column": pl.col("well_column").cast(pl.String()),
        "edge": pl.when(outer).then(pl.lit("edge")).otherwise(pl.lit("inside")),
    }[factor]


_SCHEMA: Final = pl.Schema({
    "condition": pl.String(), "channel": pl.String(), "measure": pl.String(), "factor": pl.String(),
    "level": pl.String(), "wells": pl.Int32(), "fields": pl.Int32(), "other_wells": pl.Int32(), "value": pl.Float64(),
    "shift": pl.Float64(), "p": pl.Float64(), "explained": pl.Float64(), "reproducibility": pl.Float64(),
})  # fmt: skip


def _rows_of(wells: pl.DataFrame) -> Iterator[dict[str, object]]:
    """Every level of every factor, of one condition, channel and measure."""
    first = wells.row(0, named=True)
    common = {name: first[name] for name in ("condition", "channel", "measure")}
    common["reproducibility"] = reproducibility(wells)
    # A plate of a few wells has a median near each of them.
    sd = robust_sd(wells.filter(pl.len().over("plate") >= FEWEST_WELLS)["residual"])
    for factor in FACTORS:
        compared = "value" if factor == "plate" else "residual"
        judged = wells.select("fields", value=compared, level=level_of(factor))
        for row in _levels(judged, sd):
            yield {**common, "factor": factor, **row}


def _levels(wells: pl.DataFrame, sd: float) -> Iterator[dict[str, object]]:
    """Each level against the wells of all others."""
    explained = _explained([one["value"].to_numpy() for one in wells.partition_by("level")])
    for level in wells["level"].unique().sort():
        own, others = wells.filter(level=level), wells.filter(pl.col("level") != level)
        value = own["value"].median()
        apart = None if others.is_empty() or not sd else (value - others["value"].median()) / sd  # type: ignore[operator]
        enough = min(own.height, others.height) >= FEWEST_WELLS
        p = float(stats.mannwhitneyu(own["value"], others["value"], method="asymptotic").pvalue) if enough else None
        yield {
            "level": level, "wells": own.height, "fields": own["fields"].sum(), "other_wells": others.height,
            "value": value, "shift": apart, "p": p, "explained": explained,
        }  # fmt: skip


def _explained(groups: list[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> float | None:
    """Epsilon squared, (H - k + 1) / (n - k): null without two levels of wells that differ."""
    total = sum(len(one) for one in groups)
    if len(groups) < 2 or total <= len(groups) or np.ptp(np.concatenate(groups)) == 0:  # noqa: PLR2004
        return None
    statistic = float(stats.kruskal(*groups).statistic)
    return max(0.0, (statistic - len(groups) + 1) / (total - len(groups)))


def _tested(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with what they say once all tests of a condition are counted."""
    corrected = adjusted(rows, "condition")
    stands_out = (pl.col("q") <= FALSE_DISCOVERIES) & (pl.col("shift").abs() >= LEAST_SHIFT)
    return corrected.with_columns(stands_out=stands_out.fill_null(value=False))


def adjusted(rows: pl.DataFrame, *of: str) -> pl.DataFrame:
    """The rows with `q`: the column `p` by Benjamini and Hochberg, over all rows of a group; null where p is."""
    if rows.is_empty():
        return rows.with_columns(q=pl.lit(None, pl.Float64()))
    parts = []
    for part in rows.partition_by(*of, maintain_order=True):
        p = part["p"].drop_nulls()
        q = pl.Series("q", stats.false_discovery_control(p, method="bh") if len(p) else [], pl.Float64())
        tested = part.filter(pl.col("p").is_not_null()).with_columns(q)
        parts += [tested, part.filter(pl.col("p").is_null()).with_columns(q=pl.lit(None, pl.Float64()))]
    return pl.concat(parts)
