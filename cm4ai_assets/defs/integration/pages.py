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
from cm4ai_assets.integration.pictures import sides_by, upset
from cm4ai_assets.integration.summaries import coverage, overlaps, schemes
from cm4ai_assets.tables.integration import MODALITIES


def of_inputs(found: Inputs) -> Metadata:
    """The mapping behind it, and what the release does not have, with the reasons."""
    absent = pl.DataFrame({"not there": list(found.absent), "why": list(found.absent.values())})
    return {
        "mapping": mapping.VERSION,
        "mapping_source": mapping.SOURCE,
        "mapping_license": mapping.LICENCE,
        "left_out": rows(absent),
    }


def of_proteins(frame: pl.DataFrame, found: Inputs) -> Metadata:
    """Which modalities have what in common, what covers most genes, and what could not be identified."""
    everywhere = frame.filter(pl.all_horizontal(f"has_{one}" for one in MODALITIES))
    return {
        "overlap": _picture(upset(frame), "genes by the modalities that measure them"),
        "overlaps": rows(overlaps(frame)),
        "coverage": rows(coverage(frame)),
        "in_every_modality": rows(everywhere.select("gene", "symbol", "antibodies", "perturb_cells").sort("symbol")),
        "flags": rows(frame["flags"].explode(empty_as_null=True).drop_nulls().value_counts(sort=True, name="genes")),
        "genes_and_proteins": frame.height,
        **of_inputs(found),
    }


def of_splits(frame: pl.DataFrame, found: Inputs) -> Metadata:
    """Every scheme in one table, the scheme by protein as pictures, and why fields are on no side."""
    protein = frame.filter(scheme="protein")
    return {
        "schemes": rows(schemes(frame)),
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
