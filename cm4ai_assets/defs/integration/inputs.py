"""What the steps over all modalities read: the tables of a release as its readers see them, those that there are.

Belongs here: which of some tables are published for a release, and why others are not. A table that is made from
published bytes alone may stand under another release with the same bytes (`access.Release.table`). Does not belong
here: what is made of them (`integration`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.platform import Platform
from cm4ai_assets.updates.availability import missing


@dataclass(frozen=True)
class Inputs:
    """Tables of a release: the rows of those that are published, and why the others, or conditions of them, are not."""

    frames: Mapping[str, pl.DataFrame]
    absent: Mapping[str, str]

    def __getitem__(self, name: str) -> pl.DataFrame:
        """The rows of a table; none, in its columns, where it is not published."""
        return self.frames.get(name, tables.table(name).empty())

    @property
    def reason(self) -> str:
        """Why nothing is there, in sentences."""
        return " ".join(dict.fromkeys(self.absent.values()))

    def note(self, context: dg.AssetExecutionContext) -> None:
        """Log what is left out."""
        for reason in dict.fromkeys(self.absent.values()):
            context.log.info(f"Left out: {reason}")


def read(platform: Platform, release: str, names: Sequence[str]) -> Inputs:
    """The tables of a release that are published, all their conditions together."""
    opened = Release(release, platform.store)
    frames: dict[str, pl.DataFrame] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            frames[name] = opened.table(name).collect()
        except NotMaterializedError as error:
            absent[name] = str(error)
            continue
        if tables.table(name).partitioning is Partitioning.CONDITION_RELEASE:
            there = set(frames[name]["condition"])
            absent |= {
                f"{name} of {one}": str(missing(platform.store, name, release, one))
                for one in Condition
                if str(one) not in there
            }
    return Inputs(frames, absent)


def read_all(
    context: dg.AssetExecutionContext, platform: Platform, names: Sequence[str], otherwise: str
) -> Inputs | None:
    """The tables of a release, each in one condition at least; else None, and the run says so: `otherwise`, and why."""
    found = read(platform, context.partition_key, names)
    if len(found.frames) < len(names):
        not_there(context, platform, f"{otherwise} {found.reason}")
        return None
    found.note(context)
    return found
