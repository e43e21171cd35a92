"""What the quality checks say about perturbed genes and their profiles, as plain data: one function per check.

Does not belong here: what the pass refuses outright (`passes`), cells and guides, and Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.storage.profiles import ProfilesRecord

EFFECTIVE: Final = 0.3
"""Knock-down from which cells count as perturbed: that of the programme's own quality control (decision 0022)."""
LEAST_AGREEMENT: Final = 0.0
FEWEST_CONTROLS: Final = 100


def counts_evident(record: ProfilesRecord) -> Finding:
    """The matrix that was read holds raw counts: by a sample, and because its cells add up to what obs states.

    Protects profiles from being made of transformed or filtered values.
    """
    other, passed = record.cells_of_other_depth, record.depths_from.startswith("obs/") and not record.unsorted
    against = (
        f"All {record.cells:,} cells add up to {record.depths_from}."
        if record.depths_from.startswith("obs/")
        else f"{other:,} of {record.cells:,} cells do not add up to what obs states; {record.depths_from} was used."
        if other
        else "obs states no counts of cells; they were added up from the matrix, and nothing confirms them."
    )
    unsorted = f" {record.unsorted:,} lines of the matrix are not sorted." if record.unsorted else ""
    return Finding(
        "counts_evident",
        passed=passed,
        summary=f"Counts are read from {record.counts_in}. {against}{unsorted} Evidence: {record.evidence}.",
        counts={"cells": record.cells, "cells of other depth": other, "unsorted lines": record.unsorted},
    )


def cells_placed(record: ProfilesRecord) -> Finding:
    """Each cell belongs to one target. Protects from cells that are in no profile without a word."""
    several, none = record.cells_of_several_targets, record.cells_without_target
    return Finding(
        "cells_placed",
        passed=not none and not several,
        summary=f"Of {record.cells:,} cells {several:,} have guides against several targets and {none:,} name no "
        "target; they are in no profile.",
        counts={"cells": record.cells, "of several targets": several, "without target": none},
    )


def targets_have_cells(targets: pl.DataFrame) -> Finding:
    """Each target has cells, and enough of them for a test. Protects from reading missing results as no effect."""
    bad = targets.filter(pl.col("flags").list.set_intersection(["no_cells", "few_cells"]).list.len() > 0)
    none = bad.filter(pl.col("n_cells") == 0).height
    return Finding(
        "targets_have_cells",
        passed=bad.is_empty(),
        summary=f"{none:,} of {targets.height:,} targets have no cell, {bad.height - none:,} have too few for a test.",
        rows=bad.select("target", "n_cells", "n_guides", "flags").sort("n_cells").head(ROWS_SHOWN),
        counts={"targets": targets.height, "without cells": none, "few cells": bad.height - none},
    )


def controls_enough(targets: pl.DataFrame) -> Finding:
    """There are control cells in every batch. Protects every comparison: without controls there is none."""
    controls = targets.filter(pl.col("is_control"))
    cells = int(controls["n_cells"].sum())
    without = targets.filter(pl.col("flags").list.contains("batch_without_controls")).height
    return Finding(
        "controls_enough",
        passed=cells >= FEWEST_CONTROLS and not without,
        summary=f"{cells:,} control cells; {without:,} targets have cells in a batch without controls.",
        rows=controls.select("target", "n_cells", "n_guides", "batches", "batch_cells"),
        counts={"control cells": cells, "targets in batches without controls": without},
    )


def own_genes_measured(targets: pl.DataFrame) -> Finding:
    """The matrix measures each target's own gene, and controls express it. Protects from unseen knock-downs."""
    bad = targets.filter(pl.col("flags").list.set_intersection(["not_measured", "not_expressed"]).list.len() > 0)
    return Finding(
        "own_genes_measured",
        passed=bad.is_empty(),
        summary=f"Of {bad.height:,} of {targets.height:,} targets no knock-down can be stated: their gene is not in "
        "the matrix, or no control cell has a count of it.",
        rows=bad.select("target", "gene", "n_cells", "detected_in_controls", "flags").head(ROWS_SHOWN),
        counts={"targets": targets.height, "not stated": bad.height},
    )


def targets_knocked_down(targets: pl.DataFrame) -> Finding:
    """Targets are lowered: each interval reaches 30 %. Protects from inactive guides that pass for no effect."""
    stated = targets.filter(pl.col("knockdown").is_not_null(), ~pl.col("is_control"))
    bad = stated.filter(pl.col("knockdown_high") < EFFECTIVE).sort("knockdown")
    median = stated["knockdown"].median()
    return Finding(
        "targets_knocked_down",
        passed=bad.is_empty(),
        summary=f"{bad.height:,} of {stated.height:,} targets are surely lowered by less than 30 %"
        + (f"; the median knock-down is {median:.0%}." if isinstance(median, float) else "."),
        rows=bad.select("target", "n_cells", "knockdown", "knockdown_low", "knockdown_high").head(ROWS_SHOWN),
        counts={"targets": stated.height, "not lowered": bad.height},
    )


def guides_agree(targets: pl.DataFrame) -> Finding:
    """Guides of one target move genes alike. Protects from effects of one guide beside its target."""
    compared = targets.filter(pl.col("guide_agreement").is_not_null(), pl.col("n_responding") > 0)
    bad = compared.filter(pl.col("guide_agreement") <= LEAST_AGREEMENT).sort("guide_agreement")
    return Finding(
        "guides_agree",
        passed=bad.is_empty(),
        summary=f"Of {compared.height:,} targets with responding genes and guides to compare, the guides of "
        f"{bad.height:,} do not correlate.",
        rows=bad.select("target", "guides", "guide_cells", "guide_agreement", "n_responding").head(ROWS_SHOWN),
        counts={"compared": compared.height, "disagree": bad.height},
    )


def library_covered(targets: pl.DataFrame, library: pl.DataFrame | None) -> Finding:
    """Each target of the guide library has cells. Protects from genes that were aimed at and are missing in silence."""
    if library is None:
        summary = "The release's guide library is not published here, so there is nothing to compare with."
        return Finding("library_covered", passed=False, summary=summary)
    aimed = library.filter(~pl.col("is_control"), pl.col("symbol").is_not_null())["symbol"].unique()
    found = set(targets.filter(pl.col("n_cells") > 0)["target"])
    missing = sorted(set(aimed) - found)
    return Finding(
        "library_covered",
        passed=not missing,
        summary=f"{len(missing):,} of {len(aimed):,} targets of the guide library have no cell in the file.",
        rows=pl.DataFrame({"target": missing[:ROWS_SHOWN]}, schema={"target": pl.String}),
        counts={"library targets": len(aimed), "without cells": len(missing)},
    )


RowCheck = Callable[[pl.DataFrame], Finding]

OF_RECORD = (counts_evident, cells_placed)
OF_ROWS: tuple[RowCheck, ...] = (
    targets_have_cells,
    controls_enough,
    own_genes_measured,
    targets_knocked_down,
    guides_agree,
)
