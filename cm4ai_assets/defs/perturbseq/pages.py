"""What the UI shows of Perturb-seq's archives: the article's files, and the sequencing runs.

Belongs here: which numbers and pictures stand on which page. Does not belong here: drawing (`perturbseq.pictures`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import polars as pl

from cm4ai_assets.defs.pages import rows
from cm4ai_assets.defs.publishing import Metadata


def of_article(files: pl.DataFrame, notes: Sequence[str]) -> Metadata:
    """The article, its files, and what of them is stored."""
    first = files.row(0, named=True)
    shown = files.select(
        "label", "role", "access", "embargo_until", (pl.col("size") / 1e9).round(3).alias("GB"), "md5",
        pl.col("sha256").is_not_null().alias("stored"),
    )  # fmt: skip
    return {
        "doi": first["doi"],
        "article": f"{first['article_id']} version {first['article_version']}",
        "landing_page": dg.MetadataValue.url(f"https://doi.org/{first['doi']}"),
        "license": first["license"] or "not stated",
        "named_by": first["named_by"],
        "files": files.height,
        "total_bytes": int(files["size"].sum()),
        "stored": int(files["sha256"].is_not_null().sum()),
        "listing": rows(shown),
        "notes": " ".join(notes) or "none",
    }
