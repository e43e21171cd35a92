"""What the UI shows of the screen: guides, cells, sequencing statistics.

Belongs here: which numbers and pictures stand on which page. Does not belong here: drawing
(`perturbseq.screen_pictures`).
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.perturbseq.inputs import MatrixFile
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG
from cm4ai_assets.findings import Finding
from cm4ai_assets.perturbseq import screen_pictures as pictures
from cm4ai_assets.perturbseq.cellranger import Metrics
from cm4ai_assets.perturbseq.cells import CellsRead
from cm4ai_assets.perturbseq.guides import Library
from cm4ai_assets.perturbseq.overview import Overview, merged
from cm4ai_assets.plain import size_in_words


def of_file(file: MatrixFile) -> Metadata:
    """Where the bytes are, and what they were held against."""
    return {
        "file": file.label,
        "size": size_in_words(file.size),
        "md5": file.md5 or "not published",
        "place": file.place.value,
        "verified": file.verified,
    }


def of_library(library: Library) -> Metadata:
    """Counts, and guides per gene."""
    defects = library.rows["defects"].explode(empty_as_null=False).value_counts(sort=True)
    return {
        "guides": library.rows.height,
        "controls": int(library.rows["is_control"].sum()),
        "genes": library.rows["symbol"].n_unique() - int(library.rows["symbol"].has_nulls()),
        "whitelisted": int(library.rows["is_whitelisted"].sum()) if library.has_whitelist else "no whitelist published",
        "guides_per_gene": picture(pictures.guides_per_gene(library.rows), alt="guides against a gene", mime=PNG),
        "defects": rows(defects),
        "columns_kept_as_text": ", ".join(library.unknown_columns) or "none",
    }


def of_cells(found: CellsRead, file: MatrixFile, notes: list[str]) -> Metadata:
    """Counts and pictures of all cells, what reading them cost, and what could not be read."""
    if not found.overviews:
        return {**of_file(file), "cells": 0}
    overview = merged(found.overviews)
    defects = pl.DataFrame([{"defect": name, "cells": count} for name, count in found.defects.most_common()])
    return {
        **of_file(file),
        "cells": found.rows,
        "controls": overview.controls,
        "targets": overview.targets.filter(pl.col("target") != "NTC").height,
        "requests": file.traffic.requests,
        "bytes_fetched": size_in_words(file.traffic.bytes),
        **screen_pictures(overview),
        "defects": rows(defects),
        "columns_missing": ", ".join(found.missing) or "none",
        "columns_kept_as_text": ", ".join(found.unknown) or "none",
        "columns_unreadable": "; ".join(f"{name}: {why}" for name, why in found.unreadable.items()) or "none",
        "notes": " ".join(notes) or "none",
    }


def screen_pictures(overview: Overview) -> Metadata:
    """The pictures of all cells."""
    return {
        "guides_per_cell": picture(pictures.guides_per_cell(overview), alt="guides called in a cell", mime=PNG),
        "cells_per_target": picture(pictures.cells_per_target(overview), alt="cells of each target", mime=PNG),
        "cells_per_channel": picture(pictures.channel_grid(overview), alt="cells of each channel", mime=PNG),
        "counts_per_channel": picture(
            pictures.channel_grid(overview, measure="umis"), alt="molecules per cell in each channel", mime=PNG
        ),
        "controls_per_batch": picture(
            pictures.controls_per_batch(overview), alt="share of controls in each batch", mime=PNG
        ),
    }


_PICTURE_OF = {
    "guides_called": "guides_per_cell",
    "targets_known": "cells_per_target",
    "controls_present": "controls_per_batch",
    "channels_known": "cells_per_channel",
    "counts_plausible": "counts_per_channel",
}


def of_finding(finding: Finding, overview: Callable[[], Overview]) -> Metadata:
    """The picture that belongs to a check of the cells; they are counted only where there is one."""
    name = _PICTURE_OF.get(finding.check)
    return {name: screen_pictures(overview())[name]} if name else {}


def of_metrics(metrics: Metrics) -> Metadata:
    """Each metric with its range over the samples."""
    of_each = metrics.rows.group_by("metric", maintain_order=True).agg(
        pl.col("unit").first(),
        pl.col("is_known").first().alias("of Cell Ranger"),
        pl.col("number").min().alias("least"),
        pl.col("number").median().alias("median"),
        pl.col("number").max().alias("most"),
    )
    return {
        "samples": metrics.rows["sample_number"].n_unique(),
        "metrics": metrics.rows["column_number"].n_unique(),
        "ranges": rows(of_each),
    }
