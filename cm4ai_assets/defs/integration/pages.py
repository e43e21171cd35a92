"""What the UI shows of coverage and splits.

Belongs here: which numbers and pictures stand on which page. Does not belong here: drawing (`integration.pictures`).
"""

from __future__ import annotations

from statistics import median

import dagster as dg
import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.defs.integration.inputs import Inputs
from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG
from cm4ai_assets.integration import mapping
from cm4ai_assets.integration.pictures import sides_by, upset
from cm4ai_assets.tables.integration import MEASURES, MODALITIES, SIDES


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
    present = [pl.col(f"has_{one}").fill_null(value=False).alias(one) for one in MODALITIES]
    sets = frame.select("symbol", "gene", *present)
    everywhere = frame.filter(pl.all_horizontal(f"has_{one}" for one in MODALITIES))
    return {
        "overlap": _picture(upset(frame), "genes by the modalities that measure them"),
        "overlaps": rows(sets.group_by(MODALITIES).agg(genes=pl.len()).sort("genes", descending=True)),
        "coverage": rows(_coverage(frame)),
        "in_every_modality": rows(everywhere.select("gene", "symbol", "antibodies", "perturb_cells").sort("symbol")),
        "flags": rows(frame["flags"].explode(empty_as_null=True).drop_nulls().value_counts(sort=True, name="genes")),
        "genes_and_proteins": frame.height,
        **of_inputs(found),
    }


def _coverage(frame: pl.DataFrame) -> pl.DataFrame:
    """Each measure by condition: how many genes have any of it, and the median of these."""

    def summary(column: str) -> str:
        counts = frame[column].drop_nulls().to_list()
        some = [count for count in counts if count > 0]
        return f"{len(some):,} genes, median {median(some or [0]):,.0f}" if counts else "not published"

    return pl.DataFrame(
        [
            {
                "measure": measure.name,
                **{condition or "any": summary(name) for condition, name in measure.columns.items()},
            }
            for measure in MEASURES
        ],
        schema=["measure", *map(str, CONDITIONS), "any"],
    )


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
