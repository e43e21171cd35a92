"""What the UI shows of batch effects and of effects of treatments.

Belongs here: which numbers and pictures stand on which page. Does not belong here: drawing (`effects.pictures`).
"""

from __future__ import annotations

import dagster as dg
import polars as pl

from cm4ai_assets.defs.integration.inputs import Inputs
from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG
from cm4ai_assets.effects.pictures import plate_map, volcano
from cm4ai_assets.effects.plates import reference_wells

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


def of_plates(frame: pl.DataFrame, measures: pl.DataFrame, found: Inputs) -> Metadata:
    """What stands out, what explains how much, and the plates as maps."""
    wells = reference_wells(measures)
    maps = {
        f"map_of_{condition}_{channel}_{measure}": _map(wells, condition, channel, measure)
        for condition in wells["condition"].unique().sort()
        for channel, measure in MAPPED
    }
    factors = frame.group_by("condition", "factor").agg(
        pl.col("explained").max().alias("explained at most"),
        pl.col("shift").abs().max().alias("largest shift"),
        pl.col("stands_out").sum().alias("stands out"),
    )
    return {
        "factors": rows(factors.sort("condition", "factor")),
        "stands_out": rows(frame.filter("stands_out").sort("q").select(_PLATE_COLUMNS)),
        **maps,
        **_counts(measures),
        "caveat": CAVEAT,
        "left_out": _absent(found),
    }


def of_effects(frame: pl.DataFrame, measures: pl.DataFrame, found: Inputs) -> Metadata:
    """The strongest effects, how many there are, and a volcano of each treatment."""
    counts = frame.group_by("condition", "measure").agg(
        pl.col("p").count().alias("antibodies tested"),
        pl.col("is_significant").sum().alias("significant"),
        pl.col("common").median().alias("common, median"),
        pl.col("standard_error").median().alias("standard error, median"),
        pl.col("reproducibility").first(),
        pl.col("n_wells").median().alias("pairs of wells, median"),
        pl.col("n_fields").median().alias("fields, median"),
    )
    volcanoes = {
        f"volcano_of_{condition}": picture(
            volcano(frame.filter(condition=condition), f"{condition} against untreated"),
            alt=f"effects of {condition} and their p",
            mime=PNG,
        )
        for condition in frame["condition"].unique().sort()
    }
    return {
        "measures": rows(counts.sort("condition", "measure")),
        **volcanoes,
        "strongest": rows(frame.filter("is_significant").sort("p").select(_EFFECT_COLUMNS)),
        "untested": rows(frame["untested"].drop_nulls().value_counts(sort=True, name="rows")),
        **_counts(measures),
        "caveat": CAVEAT,
        "confounded": CONFOUNDED,
        "left_out": _absent(found),
    }


_PLATE_COLUMNS = ("condition", "channel", "measure", "factor", "level", "wells", "fields", "shift", "q")
_EFFECT_COLUMNS = (
    "condition", "antibody_id", "gene_symbols", "measure", "n_wells", "n_fields", "effect", "low", "high", "q",
)  # fmt: skip


def _map(wells: pl.DataFrame, condition: str, channel: str, measure: str) -> dg.MarkdownMetadataValue:
    own = wells.filter(condition=condition, channel=channel, measure=measure)
    title = f"{condition}, {measure} of {channel}: wells against the median of their plate"
    return picture(plate_map(own, title), alt=title, mime=PNG)


def _counts(measures: pl.DataFrame) -> Metadata:
    return {
        "fields": measures.select("condition", "field_id").n_unique(),
        "wells": measures.select("condition", "plate", "well").n_unique(),
    }


def _absent(found: Inputs) -> dg.MarkdownMetadataValue:
    return rows(pl.DataFrame({"not there": list(found.absent), "why": list(found.absent.values())}))
