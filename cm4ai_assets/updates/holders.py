"""Which published release holds for another one with the same bytes, asked for many releases at once.

Belongs here: looking them up, where `inputs.holder` would compare each release with each. Does not belong here: what
the same bytes are (`changes`, `inputs.twins`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache

import polars as pl

from cm4ai_assets.releases import ReleaseKey
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.updates.changes import marks
from cm4ai_assets.updates.inputs import Feed, Rows, alike, lock_of
from cm4ai_assets.updates.locked import Unreadable, read_lock


def _raise(_: str, error: BaseException) -> None:
    raise error


class Holders:
    """The published releases of one storage, listed and read once.

    Args:
        store: The storage.
        unreadable: Called for each lock that cannot be read: for its release nothing is known to hold, nor it for
            others. Without it the error is raised, for whichever release was asked.
    """

    def __init__(self, store: Store, *, unreadable: Unreadable = _raise) -> None:
        self._store, self._unreadable = store, unreadable
        self._lock = cache(self._read)
        self._published = cache(store.partitions)
        self._inputs: dict[tuple[str, str], Mapping[str | None, Rows]] = {}
        self._index: dict[tuple[str, str | None], Mapping[Hashable, list[str]]] = {}
        self._found: dict[tuple[str, Partition], str | None] = {}

    def holder(self, feed: Feed, partition: Partition) -> str | None:
        """See `inputs.holder`: the newest release whose published tables hold for this partition too."""
        asked = (feed.product, partition)  # of each table that the job makes
        if asked not in self._found:
            self._found[asked] = self._holder(feed, partition)
        return self._found[asked]

    def _holder(self, feed: Feed, partition: Partition) -> str | None:
        rows = self._rows(feed, partition)
        if not rows:
            return None
        of_condition = self._marked(feed, partition.condition)
        marked = {release for mark in marks(rows[0]) for release in of_condition.get(mark, ())}
        newest_first = sorted(marked, key=ReleaseKey.parse, reverse=True)
        same = alike(lambda one: self._rows(feed, Partition(one, partition.condition)), partition.release, newest_first)
        return next(same, None)

    def _read(self, release: str) -> pl.DataFrame | None:
        return read_lock(release, lambda: lock_of(self._store, release), self._unreadable)

    def _rows(self, feed: Feed, partition: Partition) -> Rows:
        asked = (feed.product, partition.release)
        if asked not in self._inputs:
            lock = self._lock(partition.release)
            self._inputs[asked] = feed.inputs(lock) if lock is not None else {}
        return self._inputs[asked].get(partition.condition, ())

    def _marked(self, feed: Feed, condition: str | None) -> Mapping[Hashable, list[str]]:
        """The releases that have this condition published, by every mark of the files that it is made from."""
        if (feed.product, condition) not in self._index:
            found: dict[Hashable, list[str]] = {}
            for partition in self._published(feed.product):
                if partition.condition == condition:
                    for mark in {mark for row in self._rows(feed, partition) for mark in marks(row)}:
                        found.setdefault(mark, []).append(partition.release)
            self._index[feed.product, condition] = found
        return self._index[feed.product, condition]
