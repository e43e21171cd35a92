"""What the UI shows of perturbed genes: the knock-down waterfall, cells per target, responders, and the evidence.

Belongs here: which numbers and pictures stand on which page. Does not belong here: drawing
(`perturbseq.target_pictures`).
"""

from __future__ import annotations

import dagster as dg
import polars as pl

from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.perturbseq.inputs import MatrixFile
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG
from cm4ai_assets.perturbseq.profiles import Product
from cm4ai_assets.perturbseq.target_pictures import cells_per_target, waterfall
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.storage.store import Store

_SHOWN = ("target", "n_cells", "n_guides", "knockdown", "knockdown_low", "knockdown_high", "n_responding", "strongest")


def of_targets(frame: pl.DataFrame, product: Product, file: MatrixFile, store: Store) -> Metadata:
    """The pass, its evidence, and what it found."""
    record = product.record
    effective = frame.sort("n_responding", descending=True, nulls_last=True).select(_SHOWN)
    return {
        "knock_down": _picture(waterfall(frame), "knock-down of every target, strongest first"),
        "cells_per_target": _picture(cells_per_target(frame), "how many targets have how many cells"),
        "most_responding": rows(effective.head(20)),
        "targets": frame.height,
        "targets_without_cells": frame.filter(pl.col("n_cells") == 0).height,
        "cells": record.cells,
        "control_cells": int(frame.filter("is_control")["n_cells"].sum()),
        "cells_of_several_targets": record.cells_of_several_targets,
        "genes": record.shape[1],
        "counts_in": f"{record.counts_in} ({record.layout})",
        "evidence": record.evidence,
        "normalised_by": record.depths_from,
        "read": "reused: the same file was read before" if not product.made else f"{record.readings} time(s)",
        "source": file.label,
        "source_size": size_in_words(file.size),
        "source_place": str(file.place),
        "source_verified": file.verified,
        "profiles": store.location(product.path),
        "profiles_size": size_in_words(record.size),
        "profiles_sha256": record.digest,
    }


def _picture(data: bytes, alt: str) -> dg.MarkdownMetadataValue:
    return picture(data, alt=alt, mime=PNG)
