"""What the UI shows of proteomics: elution heat maps, replicates compared, windows, counts.

Belongs here: which pictures and numbers stand on which page. Does not belong here: drawing (`proteomics.pictures`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import dagster as dg
import polars as pl

from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.proteomics.correlation import as_frame, pairs_of
from cm4ai_assets.proteomics.pictures import correlation_matrix, families, heat_map, window_chart
from cm4ai_assets.proteomics.secms import Reading
from cm4ai_assets.proteomics.summaries import per_bait, per_deposit, per_replicate


def of_profiles(reading: Reading) -> Metadata:
    """Counts, a heat map for each kind of cells, and how the replicates correlate."""
    pairs = pairs_of(reading.replicates)
    values = reading.profiles["quantity"]
    return {
        "replicates": len(reading.replicates),
        "quantified": round(1 - values.null_count() / max(1, len(values)), 4),
        "published_zeros": int((values == 0).sum()),
        **{
            # Without the condition, which is the partition's: long names run into the values beside them.
            f"elution_{_slug(label.rpartition(' ')[0])}": _picture(heat_map(family), f"elution of {label}")
            for label, family in families(reading.replicates).items()
        },
        "replicate_correlation": _picture(correlation_matrix(pairs), "median correlation of replicates"),
        "pairs": rows(as_frame(pairs).select("first", "second", "groups", "fractions", "median", "shift")),
        "tables_left_out": rows(pl.DataFrame([defect.as_row() for defect in reading.unusable])),
        "tables_of_unknown_condition": len(reading.unplaced),
    }


def of_proteins(reading: Reading) -> Metadata:
    """Counts per replicate, and which fractions each was measured in."""
    proteins = reading.proteins
    defects = proteins["defects"].explode().drop_nulls().value_counts(sort=True)
    return {
        "protein_groups": proteins["protein_group"].n_unique(),
        "ambiguous": proteins.filter("is_ambiguous")["protein_group"].n_unique(),
        "quantity_kinds": ", ".join(proteins["quantity_kind"].unique(maintain_order=True)),
        "windows": _picture(window_chart(proteins), "fractions that each replicate was measured in"),
        "per_replicate": rows(per_replicate(proteins)),
        "defects": rows(defects),
    }


def of_interactions(interactions: pl.DataFrame) -> Metadata:
    """Counts per bait, and at the usual cut."""
    baits = per_bait(interactions)
    return {
        "baits": baits.height,
        "preys": interactions["prey"].n_unique(),
        "per_bait": rows(baits),
        "with_defects": interactions.filter(pl.col("defects").list.len() > 0).height,
    }


def of_runs(runs: pl.DataFrame, *, of_unknown_treatment: int) -> Metadata:
    """Counts per deposit and role."""
    return {
        "tagged_lines": runs["tagged_line"].n_unique(),
        "failed_qc": runs.filter(~pl.col("qc_passed")).height,
        "per_deposit": rows(runs.group_by("accession", "role", maintain_order=True).len("runs")),
        "runs_of_unknown_treatment": of_unknown_treatment,
    }


def of_deposits(files: pl.DataFrame, notes: Sequence[str]) -> Metadata:
    """Counts and sizes per deposit, what replaces what, and what did not answer."""
    deposits = per_deposit(files)
    return {
        "deposits": deposits.height,
        "total_bytes": int(files["size"].sum()),
        "total_size": size_in_words(int(files["size"].sum())),
        "pulled": int(files["sha256"].is_not_null().sum()),
        "per_deposit": rows(deposits),
        "kinds": rows(files.group_by("kind").agg(pl.len().alias("entries"), pl.col("size").sum()).sort("kind")),
        "notes": " ".join(notes) or "none",
    }


def _picture(data: bytes, alt: str) -> dg.MarkdownMetadataValue:
    return picture(data, alt=alt, mime=PNG)


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")
