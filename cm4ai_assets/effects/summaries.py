"""Plates and effects in a few numbers, and what a reader must know of them: what pages and reports show.

Does not belong here: drawing (`pictures`), and judging (`findings`).
"""

from __future__ import annotations

import polars as pl

CAVEAT = (
    "Each published image was contrast-stretched by itself, so grey levels are not compared. The measures do not "
    "change when an image is stretched; clipping and gamma do change them."
)
CONFOUNDED = (
    "A treated plate is another plate than the untreated one of its name. What all its wells share, be it the drug or "
    "the plate, is taken away; an effect is what a protein shows beyond that."
)
MAPPED = (("blue", "extent"), ("red", "fineness"))
"""What the maps of the plates show: how many cells there are, and how sharp they are."""

_PLATE_COLUMNS = ("condition", "channel", "measure", "factor", "level", "wells", "fields", "shift", "q")
_EFFECT_COLUMNS = (
    "condition", "antibody_id", "gene_symbols", "measure", "n_wells", "n_fields", "effect", "low", "high", "q",
)  # fmt: skip


def factors(plates: pl.DataFrame) -> pl.DataFrame:
    """How much each factor explains, and how far its levels lie from the rest."""
    found = plates.group_by("condition", "factor").agg(
        pl.col("explained").max().alias("explained at most"),
        pl.col("shift").abs().max().alias("largest shift"),
        pl.col("stands_out").sum().alias("stands out"),
    )
    return found.sort("condition", "factor")


def outstanding_levels(plates: pl.DataFrame) -> pl.DataFrame:
    """The levels of factors that stand out, the surest first."""
    return plates.filter("stands_out").sort("q").select(_PLATE_COLUMNS)


def effects_by_measure(effects: pl.DataFrame) -> pl.DataFrame:
    """What was tested of each treatment and measure, and how sure it is."""
    counts = effects.group_by("condition", "measure").agg(
        pl.col("p").count().alias("antibodies tested"),
        pl.col("is_significant").sum().alias("significant"),
        pl.col("common").median().alias("common, median"),
        pl.col("standard_error").median().alias("standard error, median"),
        pl.col("reproducibility").first(),
        pl.col("n_wells").median().alias("pairs of wells, median"),
        pl.col("n_fields").median().alias("fields, median"),
    )
    return counts.sort("condition", "measure")


def strongest(effects: pl.DataFrame) -> pl.DataFrame:
    """The significant effects, the surest first."""
    return effects.filter("is_significant").sort("p").select(_EFFECT_COLUMNS)
