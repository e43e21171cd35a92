"""What the quality checks say about the cells, as plain data: one function per check.

Cells come as a lazy frame of `perturb_cells`, because there are millions of them: each check reads its own columns.
Does not belong here: reading the h5ad (`cells`), and Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.perturbseq.cells import KNOWN, NUMBERS, TEXTS, CellsRead
from cm4ai_assets.perturbseq.channels import WITHOUT_COUNTS, absent, there_are
from cm4ai_assets.perturbseq.guide_findings import in_words
from cm4ai_assets.perturbseq.overview import Overview

FEWEST_CELLS = 50
"""Cells of a target below which the authors' pipeline counts it as too few."""


def cells_kept(found: CellsRead) -> Finding:
    """Every cell of the h5ad is a row, and there are some.

    Protects from a screen that lacks cells without a word. Blocking: one that lost cells is never published.
    """
    return Finding(
        "cells_kept",
        passed=found.rows == found.stated and found.rows > 0,
        summary=f"{found.rows:,} of {found.stated:,} cells are rows.",
        counts={"cells": found.stated, "rows": found.rows},
    )


def _finding(check: str, cells: pl.LazyFrame, defects: Sequence[str], shown: Sequence[str], what: str) -> Finding:
    has = {defect: pl.col("defects").list.contains(defect) for defect in defects}
    sums = {"any": pl.any_horizontal(has.values()).sum(), **{defect: one.sum() for defect, one in has.items()}}
    counted = cells.select(pl.len().alias("cells"), **sums).collect().row(0, named=True)
    total, bad = counted.pop("cells"), counted.pop("any")
    rows = cells.filter(pl.any_horizontal(has.values())).select("row", "cell", *shown, "defects").head(ROWS_SHOWN)
    return Finding(
        check,
        passed=bad == 0,
        summary=f"{bad:,} of {total:,} cells {what}: {in_words(counted)}.",
        rows=rows.collect() if bad else pl.DataFrame(),
        counts={"cells": total, **counted},
    )


def cells_unique(cells: pl.LazyFrame) -> Finding:
    """Each cell stands once, under a barcode and its channel.

    Protects from cells that count twice, and from joins by barcode that mix channels.
    """
    return _finding("cells_unique", cells, ("duplicate_cell", "bad_barcode"), ("barcode",), "have a doubtful name")


def guides_called(cells: pl.LazyFrame) -> Finding:
    """Each cell has guides, as many as it states, each with its molecules.

    Protects from cells under a perturbation that they do not have.
    """
    defects = ("no_guide", "bad_guide", "guide_count_disagrees", "umis_disagree")
    shown = ("published_guides", "guide_count", "guide_umis")
    return _finding("guides_called", cells, defects, shown, "have calls that do not fit")


def guides_known(cells: pl.LazyFrame, *, has_library: bool) -> Finding:
    """Each guide of a cell is in the library. Protects from guides of another library, or under another name."""
    found = _finding("guides_known", cells, ("unknown_guide",), ("guides",), "have a guide that the library lacks")
    if has_library:
        return found
    summary = "The cells could not be held against a library: guide_library is not made for this release."
    return Finding("guides_known", passed=False, summary=summary, counts=found.counts)


def targets_known(cells: pl.LazyFrame, overview: Overview) -> Finding:
    """The target of each cell is what its guides are against, and each target has cells enough.

    Protects from effects that are given to another gene, and from those of a few cells.
    """
    found = _finding("targets_known", cells, ("no_target", "target_disagrees"), ("target", "targets"),
                     "have a target that does not fit")  # fmt: skip
    genes = overview.targets.filter(pl.col("target") != "NTC")
    few = genes.filter(pl.col("cells") < FEWEST_CELLS).height
    summary = f"{found.summary} {genes.height:,} targets, of which {few:,} have fewer than {FEWEST_CELLS} cells."
    counts = {**found.counts, "targets": genes.height, "targets_of_few_cells": few}
    return Finding("targets_known", passed=found.passed, summary=summary, rows=found.rows, counts=counts)


def controls_present(cells: pl.LazyFrame, overview: Overview) -> Finding:
    """Each batch has cells of non-targeting controls, and no cell is called perturbed against its guides.

    Protects from effects that are differences between batches.
    """
    found = _finding("controls_present", cells, ("perturbed_disagrees",), ("guides", "is_control", "is_perturbed"),
                     "are called perturbed or not against their guides")  # fmt: skip
    batches = overview.channels.group_by("batch").agg(pl.col("cells", "controls").sum()).sort("batch", nulls_last=True)
    without = batches.filter(pl.col("controls") == 0)
    summary = (
        f"{overview.controls:,} of {overview.cells:,} cells are controls; {without.height} of {batches.height} batches "
        f"have none. {found.summary}"
    )
    return Finding(
        "controls_present",
        passed=found.passed and without.is_empty() and overview.controls > 0,
        summary=summary,
        rows=found.rows if without.is_empty() else without,
        counts={**found.counts, "controls": overview.controls, "batches_without": without.height},
    )


def channels_known(cells: pl.LazyFrame, overview: Overview) -> Finding:
    """Each cell names its channel, each of the 96 channels has cells, or is one of the six that are known to be absent.

    Protects from a screen that is short of a channel, and from batches under a wrong name.
    """
    found = _finding("channels_known", cells, ("unknown_channel", "batch_disagrees"), ("published_channel", "batch"),
                     "have a channel that does not fit")  # fmt: skip
    there = there_are(overview.channels["gem_channel"])
    without = absent(there)
    new = [channel for channel in without if channel not in WITHOUT_COUNTS]
    unnamed = int(overview.channels.filter(pl.col("published_channel").is_null())["cells"].sum())
    back = sorted(there & WITHOUT_COUNTS)
    parts = [
        found.summary,
        f"{unnamed:,} cells name no channel." if unnamed else "",
        f"{len(there)} channels have cells; of those without, {len(without) - len(new)} are known to be absent.",
        f"Absent besides: {', '.join(map(str, new[:8]))}{' and more' if len(new) > 8 else ''}." if new else "",  # noqa: PLR2004
        f"There although known to be absent: {', '.join(map(str, back))}." if back else "",
    ]
    return Finding(
        "channels_known",
        passed=found.passed and not unnamed and not new,
        summary=" ".join(part for part in parts if part),
        rows=found.rows if found.rows.height else pl.DataFrame({"absent": [str(one) for one in without]}),
        counts={**found.counts, "channels": len(there), "absent": len(without), "cells_without": unnamed},
    )


def counts_plausible(cells: pl.LazyFrame) -> Finding:
    """Counts are numbers, not negative, and no cell has more genes than molecules. Protects normalization."""
    shown = ("umi_count", "genes_detected", "total_counts")
    return _finding("counts_plausible", cells, ("bad_count", "more_genes_than_counts"), shown, "have impossible counts")


def columns_known(cells: pl.LazyFrame) -> Finding:
    """The table of cells has the columns that are known of it.

    Protects from values that are null because a column was renamed: what no rule knows is kept as text in `others`.
    """
    own = {name: column for name, column in {**TEXTS, **NUMBERS}.items() if name in KNOWN}
    filled = cells.select(pl.col(column).count().alias(name) for name, column in own.items()).collect()
    empty = [name for name in own if filled[name].item() == 0]
    pairs = cells.select(pl.col("others").explode()).select(pl.col("others").struct.unnest())
    others = (
        pairs.group_by("name").agg(pl.col("value").count().alias("values")).sort("name").collect().drop_nulls("name")
    )
    unread = others.filter(pl.col("values") == 0)["name"].to_list()
    names = others["name"].to_list()
    return Finding(
        "columns_known",
        passed=not empty and not unread,
        summary=f"Without a value: {', '.join(empty) or 'none of the known columns'}. Kept as text: "
        f"{', '.join(names) or 'none'}. Of them nothing could be read: {', '.join(unread) or 'none'}.",
        rows=others.head(ROWS_SHOWN),
        counts={"empty": len(empty), "unknown": len(names), "unread": len(unread)},
    )
