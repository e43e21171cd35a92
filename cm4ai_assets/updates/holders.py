"""Which published release holds for another one with the same bytes, asked for many releases at once.

Belongs here: looking them up, where `inputs.holder` would compare each release with each. Does not belong here: what
the same bytes are (`changes`, `inputs.twins`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache, partial

from cm4ai_assets.releases import ReleaseKey
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.updates.changes import marks
from cm4ai_assets.updates.inputs import Feed, Rows, lock_of, twins


class Holders:
    """The published releases of one storage, listed and read once.

    Args:
        store: The storage.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = cache(partial(lock_of, store))
        self._index: dict[tuple[str, str | None], Mapping[Hashable, list[str]]] = {}

    def holder(self, feed: Feed, partition: Partition) -> str | None:
        """See `inputs.holder`: the newest release whose published tables hold for this partition too."""
        rows = self._rows(feed, partition)
        if not rows:
            return None
        of_condition = self._marked(feed, partition.condition)
        alike = {release for mark in marks(rows[0]) for release in of_condition.get(mark, ())}
        newest_first = sorted(alike, key=ReleaseKey.parse, reverse=True)
        return next(twins(self._lock, feed, partition, newest_first), None)

    def _rows(self, feed: Feed, partition: Partition) -> Rows:
        lock = self._lock(partition.release)
        return feed.inputs(lock).get(partition.condition, ()) if lock is not None else ()

    def _marked(self, feed: Feed, condition: str | None) -> Mapping[Hashable, list[str]]:
        """The releases that have this condition published, by every mark of the files that it is made from."""
        if (feed.product, condition) not in self._index:
            found: dict[Hashable, list[str]] = {}
            for partition in self._store.partitions(feed.product):
                if partition.condition == condition:
                    for mark in {mark for row in self._rows(feed, partition) for mark in marks(row)}:
                        found.setdefault(mark, []).append(partition.release)
            self._index[feed.product, condition] = found
        return self._index[feed.product, condition]
