"""Which partitions of its jobs a release has, by its lock, remembered while the lock's file is the same.

Belongs here: that memory, reading locks, and what it means that one cannot be read. The release sensor asks it of each
release that is followed, every half minute. Does not belong here: what a job reads (`inputs`), and what follows from it
(`needs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import polars as pl

from cm4ai_assets.causes import of_exception
from cm4ai_assets.errors import Cm4aiError, StoredBytesDamagedError
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.inputs import FEEDS, Feed, Locks, lock_of

Wanted = Mapping[str, tuple[str | None, ...]]
"""By the product of a job, the conditions for which the lock has files that the job reads; None for the release."""

Unreadable = Callable[[str, BaseException], None]
"""Called with a release whose lock cannot be read, and why."""

Read = TypeVar("Read")


class LockedParts:
    """The locks of one storage.

    Args:
        store: The storage.
        feeds: The jobs, and what they read.
    """

    def __init__(self, store: Store, feeds: Sequence[Feed] = FEEDS) -> None:
        self._store, self._feeds = store, feeds
        self._stamps: Mapping[str, str] = {}
        self._kept: dict[str, tuple[str, Wanted]] = {}

    def look(self) -> frozenset[str]:
        """Look which locks there are now, by one listing; the releases that have one."""
        found = self._store.stamps(f"{layout.TABLES}/{RELEASE_FILES.name}")
        placed = {hit[1].release: stamp for path, stamp in found.items() if (hit := layout.table_partition(path))}
        self._stamps = placed
        self._kept = {release: kept for release, kept in self._kept.items() if release in placed}
        return frozenset(placed)

    def of(self, release: str, locks: Locks) -> Wanted | None:
        """What the lock of a release has for each job, as of the last look; None if `locks` has none of it."""
        if release not in self._stamps:
            return None
        stamp, kept = self._stamps[release], self._kept.get(release)
        if kept is not None and stamp and kept[0] == stamp:
            return kept[1]
        lock = locks(release)
        if lock is None:
            return None
        wanted = {feed.product: tuple(feed.inputs(lock)) for feed in self._feeds}
        self._kept[release] = (stamp, wanted)
        return wanted


def partitions_of(wanted: Wanted, feed: Feed, release: str) -> list[Partition]:
    """The partitions of a release that a job makes."""
    return [Partition(release, condition) for condition in wanted.get(feed.product, ())]


def read_lock(release: str, read: Callable[[], Read], unreadable: Unreadable) -> Read | None:
    """What is read of the lock of a release; None where it cannot be read, once `unreadable` has taken note of it.

    Args:
        release: Whose lock it is.
        read: Reads what is wanted of it.
        unreadable: What it raises comes out of here.
    """
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - polars' panics on damaged files derive from it
        unreadable(release, error)
        return None


def unreadable_lock(release: str, error: BaseException) -> Cm4aiError:
    """What it means that the lock of one release cannot be read, and what helps. All other releases go on.

    Where the cause is known (a limit of the machine, a storage that is away), that helps, and the lock is as it was:
    only of one that nothing else explains, a `StoredBytesDamagedError`, it is said to take it away.
    """
    path = layout.table_path(RELEASE_FILES, Partition(release))
    cause = of_exception(error)
    message = f"{path}, the lock of {release}, cannot be read: {cause.message}"
    if isinstance(error, StoredBytesDamagedError) or not (isinstance(error, Cm4aiError) or cause.runbook):
        return StoredBytesDamagedError(
            message,
            remedy=f"`cm4ai withdraw {path}` takes it away, `cm4ai materialize --release {release}` makes it again.",
        )
    known = Cm4aiError(message, remedy=cause.remedy)
    known.runbook = cause.runbook
    return known


class ReadLocks:
    """The locks of one storage, each read once; a damaged one counts as missing, and is noted.

    Attributes:
        damaged: By release, why its lock cannot be read, with what helps.

    Raises:
        Cm4aiError: A lock cannot be read, and that is no fault of the lock; from calling it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, pl.DataFrame | None] = {}
        self.damaged: dict[str, str] = {}

    def __call__(self, release: str) -> pl.DataFrame | None:
        """The lock of a release; None if it has none, or a damaged one."""
        if release not in self._read:
            self._read[release] = read_lock(release, lambda: lock_of(self._store, release), self._note)
        return self._read[release]

    def _note(self, release: str, error: BaseException) -> None:
        problem = unreadable_lock(release, error)
        if not isinstance(problem, StoredBytesDamagedError):
            raise problem from error
        self.damaged[release] = str(problem).removesuffix(".")
