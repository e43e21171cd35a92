"""News of the archive: releases that were registered lately, and embargoes that ended lately.

Belongs here: what is news, and for how long, from what is stored, and the locks that cannot be asked. Does not belong
here: registering (`watch`), what is requested for it (`needs`), and who gets a message (`alerts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.releases import ReleaseKey, ReleaseRecord
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.locked import read_lock, unreadable_lock

NEWS_FOR = timedelta(days=14)
_SET_UP = timedelta(hours=1)
_NAMED = 3


@dataclass(frozen=True)
class Embargo:
    """Files of one release whose embargo ends on one day: their names, and their bytes together."""

    ends: date
    files: tuple[str, ...]
    size: int


@dataclass
class Newsroom:
    """What is news in one storage, which each question names again. A lock is read once, while its file is the same.

    Attributes:
        unreadable: Of the last look, the releases whose lock cannot be read, and why. Of their embargoes nothing is
            known.
    """

    unreadable: dict[str, BaseException] = field(default_factory=dict)
    _kept: dict[str, tuple[str, tuple[Embargo, ...]]] = field(default_factory=dict)

    def incidents(self, store: Store, now: datetime) -> Iterator[Incident]:
        """The news of the last `NEWS_FOR`."""
        records = {record.key: record for record in ReleaseRegistry(store).all()}
        yield from _new_releases(store, records, now)
        yield from self._embargoes_ended(store, records, now)
        yield from (_lock_damaged(release, error) for release, error in self.unreadable.items())

    def _embargoes_ended(self, store: Store, records: Mapping[str, ReleaseRecord], now: datetime) -> Iterator[Incident]:
        """Of each dataset, those of its newest locked version: an older one has the same files."""
        found = self.embargoes(store)
        newest = {records[key].doi: key for key in sorted(found, key=ReleaseKey.parse) if key in records}
        for key in newest.values():
            for embargo in found[key]:
                ended = datetime.combine(embargo.ends, time(), UTC)
                if timedelta(0) <= now - ended <= NEWS_FOR:
                    yield _ended(key, embargo, ended)

    def embargoes(self, store: Store) -> dict[str, tuple[Embargo, ...]]:
        """Per release that has a lock, the embargoes that its lock states, past and to come, earliest first."""
        stamps = store.stamps(f"{layout.TABLES}/{RELEASE_FILES.name}")
        placed = {hit[1].release: stamp for path, stamp in stamps.items() if (hit := layout.table_partition(path))}
        self.unreadable = {}
        for release, stamp in placed.items():
            if not stamp or self._kept.get(release, ("", ()))[0] != stamp:
                self._take_in(store, release, stamp)
        self._kept = {release: kept for release, kept in self._kept.items() if release in placed}
        return {release: found for release, (_, found) in self._kept.items()}

    def _take_in(self, store: Store, release: str, stamp: str) -> None:
        """Read a lock. One that cannot be read keeps nobody from hearing of the others."""
        found = read_lock(release, lambda: _read(store, release), self.unreadable.__setitem__)
        if found is None:
            self._kept.pop(release, None)
        else:
            self._kept[release] = stamp, found


def _read(store: Store, release: str) -> tuple[Embargo, ...]:
    lock = store.table(RELEASE_FILES.name, layout.Partition(release))
    closed = lock.filter(pl.col("access") == "embargoed", pl.col("available_on").is_not_null()).collect()
    return tuple(
        Embargo(day, tuple(rows["label"]), int(rows["size"].sum()))
        for (day,), rows in closed.sort("available_on", "label").group_by("available_on", maintain_order=True)
    )


def _new_releases(store: Store, records: Mapping[str, ReleaseRecord], now: datetime) -> Iterator[Incident]:
    """Releases by the time of their record's file. Those that were registered with the first one are no news."""
    listed = store.listing(layout.RELEASES)
    written = {path: one.written for path, one in listed.items() if one.written is not None}
    first = min(written.values(), default=now)
    for key, record in records.items():
        when = written.get(layout.release_path(key))
        if when is not None and when - first > _SET_UP and now - when <= NEWS_FOR:
            yield Incident(
                f"release:{key}",
                Kind.RELEASE_NEW,
                Severity.NEWS,
                f"New release {key}",
                f"{record.title} ({record.doi}, version {record.version}). What is new in it is fetched and made.",
                f"/assets/{RELEASE_FILES.name}?view=partitions&partition={key}",
                "new-release",
                when,
            )


def _ended(release: str, embargo: Embargo, when: datetime) -> Incident:
    more = len(embargo.files) - _NAMED
    names = ", ".join(embargo.files[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return Incident(
        f"embargo:{release}:{embargo.ends}",
        Kind.EMBARGO_ENDED,
        Severity.NEWS,
        f"An embargo ended: {release}",
        f"Available since {embargo.ends}: {names} ({size_in_words(embargo.size)}). What is made of it is requested.",
        f"/assets/{RELEASE_FILES.name}?view=partitions&partition={release}",
        "embargo",
        when,
    )


def _lock_damaged(release: str, error: BaseException) -> Incident:
    problem = unreadable_lock(release, error)
    return Incident(
        f"lock:{release}",
        Kind.LOCK_DAMAGED,
        Severity.FAILURE,
        f"The lock of {release} cannot be read",
        str(problem),
        f"/assets/{RELEASE_FILES.name}?view=partitions&partition={release}",
        problem.runbook,
    )
