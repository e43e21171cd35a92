"""Whether the archive still offers a release as it was locked.

Belongs here: asking for one version again and holding it against its lock. Nothing is ever deleted for what is found:
a withdrawn file that is stored stays stored. Does not belong here: when that is asked (`watch`), and how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.lock import lock_frame
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.tables.release import RELEASE_CHANGES
from cm4ai_assets.transfer.errors import DeaccessionedError, NotFoundError
from cm4ai_assets.updates.changes import compare

# From what may be had to what may not: a file that moves down this list can no longer be had as before.
_OPENNESS = ("public", "guestbook_required", "embargoed", "restricted", "retention_expired", "blocked", "gone")
KEPT = "What is stored is kept."


class State(StrEnum):
    """How a locked release stands in the archive."""

    OFFERED = "offered"
    ALTERED = "altered"
    WITHDRAWN = "withdrawn"
    GONE = "gone"


@dataclass(frozen=True)
class Standing:
    """How a release stands: its state, in words, and the files that are not as they were locked."""

    state: State
    told: str
    rows: pl.DataFrame = field(default_factory=RELEASE_CHANGES.empty)

    @property
    def is_as_locked(self) -> bool:
        """Nothing that was locked is withdrawn, closed or altered."""
        return self.state is State.OFFERED


def standing_of(record: ReleaseRecord, lock: pl.DataFrame, client: DataverseClient) -> Standing:
    """Ask the archive for one version, with its files, and compare. One request, two if it is not found.

    Raises:
        ArchiveError: The archive could not be asked, which says nothing about the release.
    """
    try:
        version = client.version(record.doi, record.version)
    except DeaccessionedError as error:
        where = f" The archive points to {error.link}." if error.link else ""
        return Standing(State.WITHDRAWN, f"{error.message}{where} {KEPT}")
    except NotFoundError as error:
        return Standing(State.GONE, f"{error.message} {KEPT}")
    return held_against(lock, lock_frame(version, release=record.key))


def held_against(lock: pl.DataFrame, now: pl.DataFrame) -> Standing:
    """What the archive lists now against what was locked."""
    release = str(lock["release"][0]) if lock.height else ""
    changes = compare(lock, now, release=release, against=release)
    differing = changes.filter((pl.col("change") != "unchanged") | pl.col("access_changed"))
    closed = differing.filter(pl.col("access_changed"), _rank("access") > _rank("previous_access"))
    opened = differing.filter(pl.col("access_changed"), _rank("access") < _rank("previous_access"))
    moved = differing.filter(pl.col("change") != "unchanged")
    told = []
    if closed.height:
        told.append(f"{closed.height} of {lock.height} files can no longer be had as before")
    if moved.height:
        told.append(
            f"{moved.height} of {lock.height} files are not as they were locked, in a version that should not change"
        )
    if told:
        return Standing(State.ALTERED, f"{'; '.join(told).capitalize()}. {KEPT}", differing)
    if opened.height:
        return Standing(
            State.OFFERED, f"As locked; {opened.height} of {lock.height} files have become accessible since.", differing
        )
    return Standing(State.OFFERED, "As locked.")


def _rank(column: str) -> pl.Expr:
    return pl.col(column).replace_strict(_OPENNESS, list(range(len(_OPENNESS))), default=None, return_dtype=pl.Int8)
