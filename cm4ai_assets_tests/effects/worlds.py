"""Plates of measured fields with planted differences: what `field_measures` would give of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from cm4ai_assets.tables.effects import MEASURES
from cm4ai_assets.tables.images import CHANNELS

BETWEEN_FIELDS, BETWEEN_WELLS = 0.3, 0.15


def world(
    seed: int = 0,
    *,
    conditions: tuple[str, ...] = ("untreated", "paclitaxel"),
    plates: int = 5,
    wells: int = 96,
    fields: int = 6,
    heavy: bool = False,
    between_plates: float = 0.4,
    responds: Mapping[str, float] | None = None,
    bad: Mapping[str, pl.Expr] | None = None,
) -> pl.DataFrame:
    """Fields of wells of which each has an antibody of its own, the same in every condition.

    Plates differ, the drug moves every protein by the same, and wells and fields scatter.

    Args:
        seed: Of the generator.
        conditions: Conditions, all of one layout.
        plates: Plates of a condition.
        wells: Wells of a plate.
        fields: Fields of a well, some more and some fewer.
        heavy: Wells scatter with the tails of Student's t of 4 degrees of freedom.
        between_plates: Standard deviation between plates.
        responds: Antibody to what paclitaxel adds to its protein in every measure.
        bad: Channel to what is added to it: an expression over the columns of the frame.
    """
    rng = np.random.default_rng(seed)
    parts = [_well(condition, plate, number, wells) for condition in conditions
             for plate in range(1, plates + 1) for number in range(wells)]  # fmt: skip
    frame = pl.DataFrame(parts).with_columns(fields=rng.integers(max(1, fields - 3), fields + 4, len(parts)))
    long = frame.join(pl.DataFrame({"channel": CHANNELS}), how="cross").join(
        pl.DataFrame({"measure": MEASURES}), how="cross"
    )
    scatter = rng.standard_t(4, long.height) if heavy else rng.standard_normal(long.height)
    drift = rng.standard_normal(100) * between_plates
    number = pl.col("plate").str.tail(1).cast(pl.Int32()) * 3 + pl.col("condition").rank("dense").cast(pl.Int32())
    own = pl.col("antibody_id").hash(1).mod(1000) / 500
    answer = pl.col("antibody_id").replace_strict(dict(responds or {"": 0.0}), default=0.0, return_dtype=pl.Float64())
    drugged = (pl.col("condition") == "paclitaxel").cast(pl.Float64())
    green = pl.when(pl.col("channel") == "green").then(own + drugged * (0.5 + answer)).otherwise(0.0)
    added = sum(
        (pl.when(pl.col("channel") == name).then(more).otherwise(0.0) for name, more in (bad or {}).items()),
        pl.lit(0.0),
    )
    placed = long.with_columns(
        level=pl.Series(scatter * BETWEEN_WELLS)
        + number.map_elements(lambda n: drift[n], return_dtype=pl.Float64())
        + green
        + added
    )
    each = placed.with_columns(region=pl.int_ranges(1, pl.col("fields") + 1)).explode("region").drop("fields")
    noise = pl.Series(rng.standard_normal(each.height) * BETWEEN_FIELDS)
    name = pl.format("{}_{}_{}_R{}_z01", "plate", "condition", "well", "region")
    return each.with_columns(value=pl.col("level") + noise, field_id=name, is_control=pl.lit(value=False)).drop(
        "level", "region"
    )


def _well(condition: str, plate: int, number: int, wells: int) -> dict[str, object]:
    row, column = "ABCDEFGH"[number // 12], number % 12 + 1
    return {
        "condition": condition, "plate": f"B2AI_{plate}", "well": f"{row}{column}", "well_row": row,
        "well_column": column, "antibody_id": f"HPA{(plate - 1) * wells + number:06d}",
    }  # fmt: skip


def antibodies(measures: pl.DataFrame) -> pl.DataFrame:
    """The genes of the antibodies, as rows of `if_fields` have them."""
    names = measures.select("antibody_id").unique().sort("antibody_id")
    return names.with_columns(
        ensembl_gene_ids=pl.concat_list(pl.lit("ENSG00009000001")), gene_symbols=pl.concat_list("antibody_id")
    )
