"""What the UI shows of coverage and splits.

Belongs here: which numbers and pictures stand on which page. Does not belong here: drawing (`integration.pictures`).
"""

from __future__ import annotations

import dagster as dg
import polars as pl

from cm4ai_assets.defs.integration.inputs import Inputs
from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG
from cm4ai_assets.integration import mapping
from cm4ai_assets.integration.pictures import sides_by
from cm4ai_assets.tables.integration import SIDES


def of_inputs(found: Inputs) -> Metadata:
    """The mapping behind it, and what the release does not have, with the reasons."""
    absent = pl.DataFrame({"not there": list(found.absent), "why": list(found.absent.values())})
    return {
        "mapping": mapping.VERSION,
        "mapping_source": mapping.SOURCE,
        "mapping_license": mapping.LICENCE,
        "left_out": rows(absent),
    }


def of_splits(frame: pl.DataFrame, found: Inputs) -> Metadata:
    """Every scheme in one table, the scheme by protein as pictures, and why fields are on no side."""
    protein = frame.filter(scheme="protein")
    counts = frame.group_by("scheme").agg(
        *((pl.col("split") == side).sum().alias(side) for side in SIDES),
        pl.col("split").is_null().sum().alias("on no side"),
        pl.col("group").n_unique().alias("groups"),
    )
    return {
        "schemes": rows(counts.sort("scheme")),
        "by_plate": _picture(sides_by(protein, "plate"), "sides of the scheme protein, by plate"),
        "by_condition": _picture(sides_by(protein, "condition"), "sides of the scheme protein, by condition"),
        "on_no_side": rows(protein["reason"].drop_nulls().value_counts(sort=True, name="fields")),
        "scheme_version": str(frame["scheme_version"][0]) if frame.height else "none",
        "fields": protein.height,
        "antibodies": protein["antibody_id"].n_unique() - int(protein["antibody_id"].has_nulls()),
        **of_inputs(found),
    }


def _picture(data: bytes, alt: str) -> dg.MarkdownMetadataValue:
    return picture(data, alt=alt, mime=PNG)
