"""Channels of the sequencing: which batch, chip and channel a name means, and which ones there are.

Belongs here: the names of channels, in every form that is published. Does not belong here: runs and samples of the
sequence archives, and what was counted in a channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

BATCHES: Final = ("ALPHA", "BETA", "GAMMA")
CHIPS: Final = (1, 2)
CHANNELS_OF_CHIP: Final = tuple(range(1, 17))

# KOLF2-ALPHA-GEX-Chip-1-Channel-1 (SRA), KOLF2-ALPHA-Chip-1-Channel-1, ALPHA_Chip-1-Channel-1 (the authors' scripts).
PATTERN: Final = (
    r"(?i)^(?:KOLF2[-_])?(ALPHA|BETA|GAMMA)[-_](?:(?:GEX|CRISPR)[-_])?"
    r"Chip[-_ ]?([0-9]{1,2})[-_ ]Channel[-_ ]?([0-9]{1,2})$"
)
_COMPILED = re.compile(PATTERN)


@dataclass(frozen=True, order=True)
class Channel:
    """One channel of one chip of one batch."""

    batch: str
    chip: int
    channel: int

    def __str__(self) -> str:
        return f"{self.batch}-Chip-{self.chip}-Channel-{self.channel}"


EVERY: Final = tuple(Channel(batch, c, n) for batch in BATCHES for c in CHIPS for n in CHANNELS_OF_CHIP)
"""The 96 channels that were sequenced."""

WITHOUT_COUNTS: Final = frozenset(
    {
        Channel("ALPHA", 2, 3), Channel("ALPHA", 2, 14), Channel("BETA", 1, 1), Channel("GAMMA", 2, 7),
        Channel("GAMMA", 2, 8), Channel("GAMMA", 2, 14),
    }
)  # fmt: skip
"""The six of which the crates name no counts (`molecule_info.h5`)."""


def channel_of(name: str) -> Channel | None:
    """The channel that a name means; None if it has no known form.

    >>> str(channel_of("KOLF2-ALPHA-GEX-Chip-1-Channel-12"))
    'ALPHA-Chip-1-Channel-12'
    """
    match = _COMPILED.match(name)
    return Channel(match[1].upper(), int(match[2]), int(match[3])) if match else None


def columns(name: str) -> list[pl.Expr]:
    """`gem_channel`, `chip` and `channel` of a column of channels' names; null where the form is not known."""
    column = pl.col(name)
    batch, chip, channel = (column.str.extract(PATTERN, group) for group in (1, 2, 3))
    chip, channel = chip.cast(pl.Int64), channel.cast(pl.Int64)
    return [
        pl.format("{}-Chip-{}-Channel-{}", batch.str.to_uppercase(), chip, channel).alias("gem_channel"),
        chip.alias("chip"),
        channel.alias("channel"),
    ]


def there_are(gem_channels: pl.Series) -> set[Channel]:
    """The channels of a column `gem_channel`."""
    found = (channel_of(name) for name in gem_channels.drop_nulls().unique())
    return {channel for channel in found if channel is not None}


def absent(found: Iterable[Channel]) -> list[Channel]:
    """Those of the 96 that are not among the found, in order."""
    there = set(found)
    return [channel for channel in EVERY if channel not in there]
