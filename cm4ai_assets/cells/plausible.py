"""What makes a nucleus implausible, by limits that hold for MDA-MB-468 cells at the published magnification.

Belongs here: the limits, and their reasons as flags. Does not belong here: the measures (`measure`).

The limits come from real fields of both states: whole nuclei have 2,000 to 16,000 pixels at edge length 1024, a
solidity of 0.89 to 0.99, an outline that takes 9 to 25 % of the contrast in a pixel and a ring that has less than a
sixth of their blue. See docs/decisions/0028.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from cm4ai_assets.cells.segment import REFERENCE_EDGE

SMALLEST_WHOLE: Final = 1_200
LARGEST_WHOLE: Final = 17_000
LEAST_SOLID: Final = 0.85
LEAST_SHARP: Final = 0.08
MOST_GLOW: Final = 0.2
MOST_SATURATED: Final = 0.05


def judged(cells: pl.DataFrame, edge: int) -> pl.DataFrame:
    """The measured nuclei with `defects` and `plausible`.

    Args:
        cells: Columns of `tables.cells.MEASURED` up to these two.
        edge: Edge length of the planes they were measured in.
    """
    scale = (edge / REFERENCE_EDGE) ** 2
    flags = {
        # One that is cut by the border shows a part of itself only.
        "too_small": (pl.col("area") < SMALLEST_WHOLE * scale) & ~pl.col("touches_border"),
        "too_large": pl.col("area") > LARGEST_WHOLE * scale,
        "not_convex": pl.col("solidity") < LEAST_SOLID,
        "blurred": (pl.col("edge_sharpness").fill_null(0.0) < LEAST_SHARP)
        | (pl.col("glow").fill_null(0.0) > MOST_GLOW),
        "saturated": pl.col("saturated_fraction") > MOST_SATURATED,
    }
    named = [pl.when(holds).then(pl.lit(name)) for name, holds in flags.items()]
    defects = pl.concat_list(named).list.drop_nulls().alias("defects")
    return cells.with_columns(defects).with_columns((pl.col("defects").list.len() == 0).alias("plausible"))
