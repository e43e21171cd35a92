"""What the registered releases still need: the one rule for what is made without anybody asking.

Belongs here: the decision, from what is registered and what is published. It looks at the state, not at events, so that
it does not matter what was missed, restarted or done by hand meanwhile. Does not belong here: asking the archive
(`updates.watch`) and starting runs (`defs.updates.requests`).

1. Every registered release gets its lock and its changes. They cost a request or two.
2. Published bytes are read for the newest version of a dataset only, and only if that dataset is the newest release or
   data of an earlier version of it is kept here. An old release is fetched when somebody asks for it.
3. Nothing is made from bytes from which an earlier version of the dataset has it already: a version that only renames
   needs its lock and nothing else.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial
from typing import Any

from cm4ai_assets.archives.dataverse.locked_file import denial, may_be_asked_for
from cm4ai_assets.releases import ReleaseKey, ReleaseRecord
from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_CHANGES, RELEASE_FILES
from cm4ai_assets.updates.inputs import FEEDS, Feed, Rows, lock_of, twins

LOCK_JOB = "release_lock"
_NAMED = 3  # files that a reason names
Made = tuple[str, Partition]  # a job and a partition
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
) -> Plan:
    """What the registered releases need now.

    Args:
        records: Every registered release.
        store: What is published.
        today: The day embargoes are held against.
        offered: Releases that the archive offers now: of others nothing is available.
        busy: Jobs and partitions that are being made now.
        feeds: What the jobs read.
        has_token: Whether the fetcher asks as somebody, who may be given what guests are not.
    """
    made, locks, absences = Plan(), cache(partial(lock_of, store)), Absences(store)
    needs = list(_locks([record for record in records if record.key in offered], store))
    for latest in _followed([record for record in records if record.key in offered], records, store, feeds):
        lock = locks(latest.key)
        if lock is None:
            continue
        versions = sorted((r for r in records if r.doi == latest.doi), key=_version, reverse=True)
        earlier = [record.key for record in versions if record is not latest]
        for feed in feeds:
            for condition, inputs in feed.inputs(lock).items():
                partition = Partition(latest.key, condition)
                since = _opened(inputs, today)
                if _answered(store, absences, feed, partition, since):
                    continue
                same = [Partition(key, condition) for key in twins(locks, feed, partition, earlier)]
                kept = next((t for t in same if _answered(store, absences, feed, t, since)), None)
                doing = next((t for t in same if (feed.job, t) in busy), None)
                if kept:
                    made.shared[feed.job, partition] = kept.release
                elif reason := why_closed(inputs, today, takes_some=feed.takes_some, has_token=has_token):
                    made.waiting[feed.job, partition] = reason
                elif doing:
                    made.waiting[feed.job, partition] = f"{feed.job} of {doing} makes it from the same bytes"
                else:
                    needs.append(Need(feed.job, partition, latest.doi, _why(inputs)))
    return Plan(tuple(needs), made.shared, made.waiting)


def _answered(store: Store, absences: Absences, feed: Feed, partition: Partition, since: date | None) -> bool:
    """Whether a job's product is published, or it is on record that there is nothing to make.

    That is an answer too: an archive named like data may hold only metadata. What was refused before an embargo ended,
    on the day `since`, is none.
    """
    if store.has_table(feed.product, partition):
        return True
    absence = absences.find(feed.first, partition)
    return absence is not None and (since is None or absence.noted.date() >= since)


def _locks(records: Sequence[ReleaseRecord], store: Store) -> Iterator[Need]:
    for record in records:
        partition = Partition(record.key)
        missing = tuple(name for name in _LOCK_TABLES if not store.has_table(name, partition))
        if missing:
            yield Need(LOCK_JOB, partition, record.doi, f"{' and '.join(missing)} not published", missing)


def _followed(
    offered: Sequence[ReleaseRecord], records: Sequence[ReleaseRecord], store: Store, feeds: Sequence[Feed]
) -> Iterator[ReleaseRecord]:
    """The releases whose bytes are fetched unasked: the newest version of each dataset that is followed."""
    newest = max(offered, key=lambda record: ReleaseKey.parse(record.key), default=None)
    published = {partition.release for feed in feeds for partition in store.partitions(feed.product)}
    kept = {record.doi for record in records if record.key in published}
    for doi in dict.fromkeys(record.doi for record in offered):
        if doi in kept or (newest is not None and doi == newest.doi):
            yield max((record for record in offered if record.doi == doi), key=_version)


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
