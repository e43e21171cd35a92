"""Coverage and splits in a few numbers: what pages and reports show.

Does not belong here: drawing (`pictures`), and judging (`coverage_findings`, `split_findings`).
"""

from __future__ import annotations

from statistics import median
from typing import Final

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.tables.integration import MEASURES, MODALITIES, SIDES
from cm4ai_assets.vocabulary import Modality

NOT_PUBLISHED: Final = "not published"


def not_published(proteins: pl.DataFrame) -> list[Modality]:
    """The modalities of which the release has no table here: what they cover is not known, and not none."""
    return [one for one in MODALITIES if proteins[f"has_{one}"].is_null().all()]


def overlaps(proteins: pl.DataFrame) -> pl.DataFrame:
    """How many genes or proteins which modalities have in common, the largest combination first.

    In the column of a modality that is not published stands just that.
    """
    unknown = not_published(proteins)
    present = [(pl.lit(NOT_PUBLISHED) if one in unknown else pl.col(f"has_{one}")).alias(one) for one in MODALITIES]
    found = proteins.with_columns(present).group_by(MODALITIES).agg(genes=pl.len())
    return found.sort("genes", *MODALITIES, descending=True)


def coverage(proteins: pl.DataFrame) -> pl.DataFrame:
    """Each measure by condition: how many genes have any of it, and the median of these."""

    def summary(column: str) -> str:
        counts = proteins[column].drop_nulls().to_list()
        some = [count for count in counts if count > 0]
        return f"{len(some):,} genes, median {median(some or [0]):,.0f}" if counts else NOT_PUBLISHED

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


def schemes(splits: pl.DataFrame) -> pl.DataFrame:
    """The fields on each side of each scheme."""
    counts = splits.group_by("scheme").agg(
        *((pl.col("split") == side).sum().alias(side) for side in SIDES),
        pl.col("split").is_null().sum().alias("on no side"),
        pl.col("group").n_unique().alias("groups"),
    )
    return counts.sort("scheme")
