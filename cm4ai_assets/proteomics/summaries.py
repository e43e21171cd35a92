"""Proteomics in a few numbers: what pages and reports show.

Does not belong here: drawing (`pictures`), and judging (`findings`, `apms_findings`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

_USUAL_CUT: Final = 0.05


def per_replicate(proteins: pl.DataFrame) -> pl.DataFrame:
    """Protein groups of each replicate, and the fractions that it was measured in."""
    return proteins.group_by("replicate_id", "quantity_kind", maintain_order=True).agg(
        pl.len().alias("groups"),
        pl.col("first_fraction", "last_fraction", "measured_fractions").first(),
        pl.col("coverage").median().round(3).alias("median coverage"),
        pl.col("peak_count").mean().round(2).alias("mean peaks"),
        pl.col("source_file").first(),
    )


def per_bait(interactions: pl.DataFrame) -> pl.DataFrame:
    """Preys of each bait, and those at the usual cut of the Bayesian false discovery rate."""
    return interactions.group_by("bait_symbol", maintain_order=True).agg(
        pl.len().alias("preys"),
        (pl.col("bfdr") <= _USUAL_CUT).sum().alias(f"preys with bfdr of at most {_USUAL_CUT}"),
    )


def per_deposit(files: pl.DataFrame) -> pl.DataFrame:
    """Entries and bytes of each MassIVE deposit, where its inventory comes from, and what replaces it."""
    return files.group_by("accession", maintain_order=True).agg(
        pl.len().alias("entries"),
        (pl.col("kind") == "raw_run").sum().alias("raw runs"),
        pl.col("size").sum(),
        pl.col("sha256").is_not_null().sum().alias("pulled"),
        pl.col("source").first(),
        pl.col("license").first(),
        pl.col("replaced_by").first(),
    )
