"""The cells of a screen at a glance: guides per cell, cells per target, cells and counts per channel.

Belongs here: those three counts, of a whole table or of its stretches one after the other. Does not belong here:
drawing them (`pictures`), and judging them (`cell_findings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

CHANNEL = ("published_channel", "gem_channel", "batch")


@dataclass(frozen=True)
class Overview:
    """Counts of cells.

    Attributes:
        guides: `guides` (called in a cell) and `cells`.
        targets: `target` (NTC for controls; cells with several targets are left out) and `cells`.
        channels: The columns of `CHANNEL`, `cells`, `controls` (cells of controls alone), and `umis` (molecules).
    """

    guides: pl.DataFrame
    targets: pl.DataFrame
    channels: pl.DataFrame

    @property
    def cells(self) -> int:
        """All cells."""
        return int(self.guides["cells"].sum())

    @property
    def controls(self) -> int:
        """Cells of controls alone."""
        return int(self.channels["controls"].sum())


def overview_of(cells: pl.LazyFrame) -> Overview:
    """The counts of rows of `perturb_cells`; only the columns that are needed are read."""
    count = pl.len().cast(pl.Int64).alias("cells")
    guides = cells.group_by(pl.col("guides").list.len().fill_null(0).cast(pl.Int64)).agg(count)
    single = cells.filter(pl.col("targets").list.len() == 1)
    targets = single.group_by(pl.col("targets").list.first().alias("target")).agg(count)
    controls = pl.col("is_control").fill_null(value=False).sum().cast(pl.Int64).alias("controls")
    umis = pl.when(pl.col("umi_count").is_finite()).then("umi_count").sum().alias("umis")
    channels = cells.group_by(CHANNEL).agg(count, controls, umis)
    return _sorted(*(one.collect() for one in (guides, targets, channels)))


def merged(parts: Sequence[Overview]) -> Overview:
    """The counts of several stretches together."""

    def together(frames: list[pl.DataFrame], by: Sequence[str]) -> pl.DataFrame:
        return pl.concat(frames).group_by(by).agg(pl.all().sum())

    return _sorted(
        together([part.guides for part in parts], ["guides"]),
        together([part.targets for part in parts], ["target"]),
        together([part.channels for part in parts], CHANNEL),
    )


def _sorted(guides: pl.DataFrame, targets: pl.DataFrame, channels: pl.DataFrame) -> Overview:
    return Overview(
        guides.sort("guides"),
        targets.sort("cells", "target", descending=[True, False]),
        channels.sort(CHANNEL, nulls_last=True),
    )
