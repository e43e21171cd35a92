"""What the registered releases still need: the one rule for what is made without anybody asking.

Belongs here: the decision, from what is registered and what is published. It looks at the state, not at events, so that
it does not matter what was missed, restarted or done by hand meanwhile. Does not belong here: asking the archive
(`updates.watch`) and starting runs (`defs.updates.requests`).

1. Every registered release gets its lock and its changes. They cost a request or two.
2. Published bytes are read for the newest version of a dataset only, and only if that dataset is the newest release or
   data of an earlier version of it is kept here. An old release is fetched when somebody asks for it.
3. Nothing is made from bytes from which an earlier version of the dataset has it already: a version that only renames
   needs its lock and nothing else.
4. A damaged lock holds up its own dataset, with the reason, and no other one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

from cm4ai_assets.archives.dataverse.locked_file import denial, may_be_asked_for
from cm4ai_assets.releases import ReleaseKey, ReleaseRecord
from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_CHANGES, RELEASE_FILES
from cm4ai_assets.updates.inputs import FEEDS, Feed, Rows, twins
from cm4ai_assets.updates.locked import LockedParts, ReadLocks, partitions_of

LOCK_JOB = "release_lock"
_NAMED = 3  # files that a reason names
Made = tuple[str, Partition]  # a job and a partition
Published = Callable[[str], Collection[Partition]]  # the published partitions of a table
_LOCK_TABLES = (RELEASE_FILES.name, RELEASE_CHANGES.name)


@dataclass(frozen=True)
class Need:
    """A partition that a job is to make.

    Attributes:
        job: Name of the job.
        partition: The partition.
        doi: Dataset of the release.
        reason: Why, in a sentence.
        tables: The tables that are missing; empty for all that the job makes.
    """

    job: str
    partition: Partition
    doi: str
    reason: str
    tables: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What is needed, as one name that never means anything else: the partition names the version."""
        return f"{self.job}:{self.partition}@{self.doi}"


@dataclass(frozen=True)
class Plan:
    """What is to be made, and why other jobs and partitions are not: shared with another release, or waiting."""

    needs: tuple[Need, ...] = ()
    shared: dict[Made, str] = field(default_factory=dict)
    waiting: dict[Made, str] = field(default_factory=dict)


def plan(
    records: Sequence[ReleaseRecord],
    store: Store,
    *,
    today: date,
    offered: Container[str],
    busy: Container[Made] = (),
    feeds: Sequence[Feed] = FEEDS,
    has_token: bool = False,
    locked: LockedParts | None = None,
) -> Plan:
    """What the registered releases need now.

    What is published is listed once, a table at a time, and not asked release by release: a storage may have thousands.

    Args:
        records: Every registered release.
        store: What is published.
        today: The day embargoes are held against.
        offered: Releases that the archive offers now: of others nothing is available.
        busy: Jobs and partitions that are being made now.
        feeds: What the jobs read.
        has_token: Whether the fetcher asks as somebody, who may be given what guests are not.
        locked: What is remembered of the locks, by one who asks again and again.
    """
    made, locks, absences = Plan(), ReadLocks(store), Absences(store)
    there: Published = cache(lambda name: frozenset(store.partitions(name)))
    locked = locked or LockedParts(store, feeds)
    locked.look()
    of_doi = _by_doi(records)
    needs = list(_locks([record for record in records if record.key in offered], there))
    for latest in _followed([record for record in records if record.key in offered], records, there, feeds):
        wanted = locked.of(latest.key, locks) or {}
        if latest.key in locks.damaged:
            made.waiting[LOCK_JOB, Partition(latest.key)] = locks.damaged[latest.key]
        versions = sorted(of_doi[latest.doi], key=_version, reverse=True)
        earlier = [record.key for record in versions if record is not latest]
        for feed in feeds:
            for partition in partitions_of(wanted, feed, latest.key):
                if partition in there(feed.product):
                    continue  # as nearly all are: then no lock is read
                lock, condition = locks(latest.key), partition.condition
                inputs = feed.inputs(lock).get(condition, ()) if lock is not None else ()
                since = _opened(inputs, today)
                if not inputs or _answered(there, absences, feed, partition, since):
                    continue
                same = [Partition(key, condition) for key in twins(locks, feed, partition, earlier)]
                kept = next((t for t in same if _answered(there, absences, feed, t, since)), None)
                if kept:
                    made.shared[feed.job, partition] = kept.release
                elif reason := (
                    why_closed(inputs, today, takes_some=feed.takes_some, has_token=has_token)
                    or next((_under_way(feed, t) for t in same if (feed.job, t) in busy), "")
                    or next((locks.damaged[key] for key in earlier if key in locks.damaged), "")  # it may have the same
                ):
                    made.waiting[feed.job, partition] = reason
                else:
                    needs.append(Need(feed.job, partition, latest.doi, _why(inputs)))
    return Plan(tuple(needs), made.shared, made.waiting)


def _answered(there: Published, absences: Absences, feed: Feed, partition: Partition, since: date | None) -> bool:
    """Whether a job's product is published, or it is on record that there is nothing to make.

    That is an answer too: an archive named like data may hold only metadata. What was refused before an embargo ended,
    on the day `since`, is none.
    """
    if partition in there(feed.product):
        return True
    absence = absences.find(feed.first, partition)
    return absence is not None and (since is None or absence.noted.date() >= since)


def _under_way(feed: Feed, partition: Partition) -> str:
    return f"{feed.job} of {partition} makes it from the same bytes"


def _locks(records: Sequence[ReleaseRecord], there: Published) -> Iterator[Need]:
    for record in records:
        partition = Partition(record.key)
        missing = tuple(name for name in _LOCK_TABLES if partition not in there(name))
        if missing:
            yield Need(LOCK_JOB, partition, record.doi, f"{' and '.join(missing)} not published", missing)


def _followed(
    offered: Sequence[ReleaseRecord], records: Sequence[ReleaseRecord], there: Published, feeds: Sequence[Feed]
) -> Iterator[ReleaseRecord]:
    """The releases whose bytes are fetched unasked: the newest version of each dataset that is followed."""
    newest = max(offered, key=lambda record: ReleaseKey.parse(record.key), default=None)
    published = {partition.release for feed in feeds for partition in there(feed.product)}
    kept = {record.doi for record in records if record.key in published}
    for doi, versions in _by_doi(offered).items():
        if doi in kept or (newest is not None and doi == newest.doi):
            yield max(versions, key=_version)


def _by_doi(records: Iterable[ReleaseRecord]) -> dict[str, list[ReleaseRecord]]:
    found: dict[str, list[ReleaseRecord]] = {}
    for record in records:
        found.setdefault(record.doi, []).append(record)
    return found


def _version(record: ReleaseRecord) -> tuple[int, int]:
    return record.major, record.minor


def why_closed(inputs: Rows, today: date, *, takes_some: bool, has_token: bool) -> str:
    """Why the bytes are not available yet, or none of them where some would do; empty if they are."""
    reasons = [why for row in inputs if (why := _withheld(row, today, has_token=has_token))]
    return reasons[0] if reasons and (not takes_some or len(reasons) == len(inputs)) else ""


def _withheld(row: Mapping[str, Any], today: date, *, has_token: bool) -> str:
    """Why a file is not available yet; empty if the archive may give it out, which the fetcher then asks."""
    if may_be_asked_for(row["access"], row["available_on"], today=today, has_token=has_token):
        return ""
    return f"{row['label']} {denial(row['access'], row['available_on'])[0]}"


def _opened(inputs: Rows, today: date) -> date | None:
    """The day on which the last embargo of these files ended; None where none has."""
    ends = [row["available_on"] for row in inputs if row["access"] == "embargoed" and row["available_on"]]
    return max((day for day in ends if day <= today), default=None)


def _why(inputs: Rows) -> str:
    size, names = sum(row["size"] or 0 for row in inputs), [row["label"] for row in inputs]
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return f"New in this dataset: {listed} ({size:,} bytes)"
