"""What the quality checks say about nuclei, as plain data: one function per check, each saying what it protects from.

Belongs here: checks that warn. Does not belong here: what blocks publication (`audit`, the table's schema), the defects
of single nuclei (`plausible`), and Dagster, which shows the findings.
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.findings import Finding
from cm4ai_assets.heavy import np
from cm4ai_assets.tables.cells import CELL_DEFECTS

# Beyond this many robust standard deviations (of the square root of the count) from the median a field is an outlier
# (Iglewicz and Hoaglin 1993); fewer fields have no distribution to stand out from.
_SCORE = 3.5
_MAD_TO_SIGMA = 1.4826
_FEWEST_FIELDS = 8
_FEWEST_NUCLEI = 20

_MOST_IMPLAUSIBLE = 0.3
_MOST_CUT = 0.5


def counts(cells: pl.DataFrame, fields: pl.DataFrame) -> pl.DataFrame:
    """One row a field of the tensor: where it was taken, and how many nuclei, plausible and cut ones it has.

    Args:
        cells: The table `if_cells`.
        fields: The table `if_fields`.
    """
    per_field = cells.group_by("tensor_index").agg(
        pl.len().cast(pl.Int64).alias("nuclei"),
        pl.col("plausible").sum().cast(pl.Int64).alias("plausible"),
        pl.col("touches_border").sum().cast(pl.Int64).alias("touching"),
    )
    stored = fields.filter(pl.col("tensor_index").is_not_null()).sort("tensor_index")
    named = stored.select("tensor_index", "field_id", "plate", "well", "well_row", "well_column", "region", "z")
    return named.join(per_field, on="tensor_index", how="left", maintain_order="left").with_columns(
        pl.col("nuclei", "plausible", "touching").fill_null(0)
    )


def cells_per_field(counted: pl.DataFrame) -> Finding:
    """No field has far more or fewer nuclei than the others. Protects from fields that were cut into pieces.

    It also shows wells that were seeded or washed unlike the others of the condition. An outlier lies 3.5 robust
    standard deviations from the median of the square roots. Fields without nuclei are another check's.
    """
    judged = counted.filter(pl.col("nuclei") > 0).with_columns(pl.col("nuclei").sqrt().alias("root"))
    median = pl.col("root").median()
    spread = _MAD_TO_SIGMA * (pl.col("root") - median).abs().median()
    outliers = judged.with_columns(
        ((pl.col("root") - median) / pl.when(spread > 0).then(spread)).round(1).alias("score")
    ).filter(pl.len() >= _FEWEST_FIELDS, pl.col("score").abs() > _SCORE)
    middle = np.median(judged["nuclei"].to_numpy()) if judged.height else None
    return Finding(
        "cells_per_field",
        passed=outliers.is_empty(),
        summary=f"{outliers.height} of {judged.height} fields with nuclei stand out"
        + (f"; the median field has {middle:.0f}." if middle is not None else "."),
        rows=outliers.sort("score").select("field_id", "nuclei", "score"),
        counts={"outliers": outliers.height, "fields": judged.height},
    )


def fields_with_cells(counted: pl.DataFrame, reasons: pl.DataFrame) -> Finding:
    """Each field has a nucleus. Protects crops and counts per protein from fields that show nobody.

    Each is named with the reason: dark (nothing exceeds the background), no_contrast (nuclei do not stand out from it:
    overexposed, or light everywhere), specks_only (only bodies too small to be a nucleus).

    Args:
        counted: See `counts`.
        reasons: The fields of the store of labels: `tensor_index`, `specks`, `level`, `reason`.
    """
    empty = counted.filter(pl.col("nuclei") == 0).join(
        reasons.drop("nuclei", strict=False), on="tensor_index", how="left"
    )
    per_reason = dict(empty["reason"].value_counts(sort=True).iter_rows())
    words = ", ".join(f"{reason} {count}" for reason, count in per_reason.items())
    return Finding(
        "fields_with_cells",
        passed=empty.is_empty(),
        summary=f"{empty.height} of {counted.height} fields have no nucleus{f': {words}' if words else ''}.",
        rows=empty.select("field_id", "reason", "specks", "level"),
        counts={str(reason): count for reason, count in per_reason.items()},
    )


def cells_plausible(cells: pl.DataFrame) -> Finding:
    """At most 30 % of the nuclei are implausible. Protects measures of cells from a segmentation that does not suit.

    Which they are stands in the table, each with its reasons. Paclitaxel breaks nuclei into lobes, so that `not_convex`
    and `too_large` are common there.
    """
    bad = cells.filter(~pl.col("plausible"))
    carried = bad["defects"].explode()
    numbers = {flag: count for flag in CELL_DEFECTS if (count := int((carried == flag).sum()))}
    share = bad.height / cells.height if cells.height else 0.0
    return Finding(
        "cells_plausible",
        passed=cells.height < _FEWEST_NUCLEI or share <= _MOST_IMPLAUSIBLE,
        summary=f"{bad.height:,} of {cells.height:,} nuclei ({share:.0%}) are implausible"
        + (f": {', '.join(f'{flag} {count:,}' for flag, count in numbers.items())}." if numbers else "."),
        rows=_by_field(bad),
        counts=numbers,
    )


def cells_whole(cells: pl.DataFrame) -> Finding:
    """At most half of the nuclei are cut by the border of their field. Protects areas and forms.

    Those of a cut nucleus are not of the whole; `touches_border` leaves them out.
    """
    cut = cells.filter("touches_border")
    share = cut.height / cells.height if cells.height else 0.0
    return Finding(
        "cells_whole",
        passed=cells.height < _FEWEST_NUCLEI or share <= _MOST_CUT,
        summary=f"{cut.height:,} of {cells.height:,} nuclei ({share:.0%}) touch the border of their field.",
        rows=_by_field(cut),
        counts={"touching": cut.height},
    )


def _by_field(cells: pl.DataFrame) -> pl.DataFrame:
    """How many of some nuclei each field has, the most first."""
    counted = cells.group_by("field_id", maintain_order=True).agg(pl.len().alias("nuclei"))
    return counted.sort("nuclei", descending=True, maintain_order=True)
