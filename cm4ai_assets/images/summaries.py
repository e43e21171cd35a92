"""Images in a few numbers, and which of them stand for all: what pages and reports show.

Does not belong here: drawing (`pictures`), and judging (`findings`).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.images.pictures import Counts, evenly
from cm4ai_assets.images.quality import summed


def per_channel(quality: pl.DataFrame) -> pl.DataFrame:
    """Medians and counts of `if_quality`, a channel a row."""
    return (
        quality.group_by("channel")
        .agg(
            pl.len().alias("images"),
            pl.col("mean").median().round(2).alias("median mean"),
            pl.col("p999").median().alias("median p99.9"),
            pl.col("focus").median().round(4).alias("median focus"),
            pl.col("is_empty").sum().alias("empty"),
            pl.col("is_saturated").sum().alias("saturated"),
            (pl.col("colour") == pl.col("channel")).sum().alias("colour confirmed"),
        )
        .sort("channel")
    )


def histograms(quality: pl.DataFrame) -> dict[str, Counts]:
    """The sum of the histograms of each channel."""
    return {str(name): summed(part["histogram"]) for (name,), part in quality.group_by("channel", maintain_order=True)}


def spread(stored: pl.DataFrame, count: int) -> pl.DataFrame:
    """Some of the fields that are in a tensor, evenly spread over it."""
    return stored.sort("tensor_index")[evenly(stored.height, count)]
