"""What the UI shows of Perturb-seq's archives: the article's files, and the sequencing runs.

Belongs here: which numbers and pictures stand on which page. Does not belong here: drawing (`perturbseq.pictures`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import polars as pl

from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG
from cm4ai_assets.perturbseq.archive_pictures import channel_map
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.tables.perturbseq import RUN_ACCESS

_NOTES = 20


def of_article(files: pl.DataFrame, notes: Sequence[str]) -> Metadata:
    """The article, its files, and what of them is stored."""
    first = files.row(0, named=True)
    shown = files.select(
        "label", "role", "access", "embargo_until", "size", "md5",
        pl.col("sha256").is_not_null().alias("stored"),
    )  # fmt: skip
    return {
        "article_version": f"{first['article_id']} version {first['article_version']}",
        "landing_page": dg.MetadataValue.url(f"https://doi.org/{first['doi']}"),
        "license": first["license"] or "not stated",
        "named_by": first["named_by"],
        "files": files.height,
        "total_size": size_in_words(int(files["size"].sum())),
        "stored": int(files["sha256"].is_not_null().sum()),
        "listing": rows(shown),
        "notes": " ".join(notes) or "none",
    }


def of_sequencing(runs: pl.DataFrame, notes: Sequence[str]) -> Metadata:
    """Counts per batch and library, who lists what, and what is embargoed until when."""
    per_batch = runs.group_by("batch", "library", maintain_order=True).agg(
        pl.col("sample").n_unique().alias("samples"),
        pl.col("run").count().alias("runs"),
        *((pl.col("access") == state).sum().alias(state) for state in RUN_ACCESS),
        pl.col("size").sum(),
        pl.col("embargo_until").max(),
    )
    channels, more = runs.filter(~pl.col("is_counted"))["gem_channel"].unique().sort(), len(notes) - _NOTES
    return {
        "samples": runs["sample"].n_unique(),
        "runs": runs["run"].count(),
        "total_size": size_in_words(int(runs["size"].sum())),
        "embargoed": runs.filter(access="embargoed").height,
        "channels": picture(channel_map(runs), alt="runs of each channel, by library", mime=PNG),
        "per_batch": rows(per_batch.sort("batch", "library")),
        "channels_not_counted": ", ".join(channels) or "none",
        "listed_by": rows(runs.select(pl.col("listed_by").list.join(", ")).to_series().value_counts(sort=True)),
        "notes": " ".join([*notes[:_NOTES], *([f"And {more} more."] if more > 0 else [])]) or "none",
    }
