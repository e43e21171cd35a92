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
from cm4ai_assets.effects.summaries import (
    CAVEAT,
    CONFOUNDED,
    MAPPED,
    effects_by_measure,
    factors,
    outstanding_levels,
    strongest,
)


def of_plates(frame: pl.DataFrame, measures: pl.DataFrame, found: Inputs) -> Metadata:
    """What stands out, what explains how much, and the plates as maps."""
    wells = reference_wells(measures)
    maps = {
        f"map_of_{condition}_{channel}_{measure}": _map(wells, condition, channel, measure)
        for condition in wells["condition"].unique().sort()
        for channel, measure in MAPPED
    }
    return {
        "factors": rows(factors(frame)),
        "stands_out": rows(outstanding_levels(frame)),
        **maps,
        **_counts(measures),
        "caveat": CAVEAT,
        "left_out": _absent(found),
    }


def of_effects(frame: pl.DataFrame, measures: pl.DataFrame, found: Inputs) -> Metadata:
    """The strongest effects, how many there are, and a volcano of each treatment."""
    volcanoes = {
        f"volcano_of_{condition}": picture(
            volcano(frame.filter(condition=condition), f"{condition} against untreated"),
            alt=f"effects of {condition} and their p",
            mime=PNG,
        )
        for condition in frame["condition"].unique().sort()
    }
    return {
        "measures": rows(effects_by_measure(frame)),
        **volcanoes,
        "strongest": rows(strongest(frame)),
        "untested": rows(frame["untested"].drop_nulls().value_counts(sort=True, name="rows")),
        **_counts(measures),
        "caveat": CAVEAT,
        "confounded": CONFOUNDED,
        "left_out": _absent(found),
    }


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
