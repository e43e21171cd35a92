"""Whether the archive still offers a release as it was locked.

Belongs here: asking for one version again and holding it against its lock. Nothing is ever deleted for what is found:
a withdrawn file that is stored stays stored. Does not belong here: when that is asked (`watch`), and how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

from cm4ai_assets.archives.dataverse.lock import lock_frame
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.tables.release import RELEASE_CHANGES
from cm4ai_assets.transfer.errors import DeaccessionedError, NotFoundError
from cm4ai_assets.updates.changes import compare

if TYPE_CHECKING:
    from cm4ai_assets.archives.dataverse.client import DataverseClient

# From available to not: a file that moves down this list is less available than before.
_OPENNESS = ("public", "guestbook_required", "embargoed", "restricted", "retention_expired", "blocked", "gone")
KEPT = "What is stored is kept."


class State(StrEnum):
    """Whether the archive still offers a locked release."""

    OFFERED = "offered"
    ALTERED = "altered"
    WITHDRAWN = "withdrawn"
    GONE = "gone"


@dataclass(frozen=True)
class UpstreamStatus:
    """What the archive says of a release: its state, a summary, and the files that are not as they were locked."""

    state: State
    summary: str
    rows: pl.DataFrame = field(default_factory=RELEASE_CHANGES.empty)

    @property
    def is_as_locked(self) -> bool:
        """Nothing that was locked is withdrawn, closed or altered."""
        return self.state is State.OFFERED


def upstream_status(record: ReleaseRecord, lock: pl.DataFrame, client: DataverseClient) -> UpstreamStatus:
    """Ask the archive for one version, with its files, and compare. One request, two if it is not found.

    Raises:
        ArchiveError: The archive could not be asked, which says nothing about the release.
    """
    try:
        version = client.version(record.doi, record.version)
    except DeaccessionedError as error:
        where = f" The archive points to {error.link}." if error.link else ""
        return UpstreamStatus(State.WITHDRAWN, f"{error.message}{where} {KEPT}")
    except NotFoundError as error:
        return UpstreamStatus(State.GONE, f"{error.message} {KEPT}")
    return held_against(lock, lock_frame(version, release=record.key))


def held_against(lock: pl.DataFrame, now: pl.DataFrame) -> UpstreamStatus:
    """What the archive lists now against what was locked."""
    release = str(lock["release"][0]) if lock.height else ""
    changes = compare(lock, now, release=release, against=release)
    differing = changes.filter((pl.col("change") != "unchanged") | pl.col("access_changed"))
    closed = differing.filter(pl.col("access_changed"), _rank("access") > _rank("previous_access"))
    opened = differing.filter(pl.col("access_changed"), _rank("access") < _rank("previous_access"))
    moved = differing.filter(pl.col("change") != "unchanged")
    parts = []
    if closed.height:
        parts.append(f"{closed.height} of {lock.height} files are no longer available as before")
    if moved.height:
        parts.append(
            f"{moved.height} of {lock.height} files are not as they were locked, in a version that should not change"
        )
    if parts:
        return UpstreamStatus(State.ALTERED, f"{'; '.join(parts).capitalize()}. {KEPT}", differing)
    if opened.height:
        return UpstreamStatus(
            State.OFFERED, f"As locked; {opened.height} of {lock.height} files have become accessible since.", differing
        )
    return UpstreamStatus(State.OFFERED, "As locked.")


def _rank(column: str) -> pl.Expr:
    return pl.col(column).replace_strict(_OPENNESS, list(range(len(_OPENNESS))), default=None, return_dtype=pl.Int8)
