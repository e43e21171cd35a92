"""Looking at the archive for new releases: cheap requests, within a budget of time, whatever the archive answers.

Belongs here: which questions are asked in one look, in what order, and what a failure of one means for the rest. Does
not belong here: how often that happens and what follows from it (`defs.updates.sensor`).

The collection's contents are read from the archive's database; its search lags behind and is not asked (protocol
reference, 2.6). Then the versions of each dataset, without files: the new ones first, then those not seen for longest,
as many as half of the budget is enough for; the others have their turn in the next look.
At last, of one locked release in turn, the files: an embargo can come back without a new version.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from cm4ai_assets.archives.dataverse.client import DataverseClient, release_record
from cm4ai_assets.archives.dataverse.model import Dataset, Version
from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.transfer.errors import CONCERNS_THE_ARCHIVE, NetworkError, NotFoundError, ProtocolError
from cm4ai_assets.transfer.http import Timeouts
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets.updates.upstream import UpstreamStatus, upstream_status

_log = logging.getLogger(__name__)

# The next look is the second try, so that a look is short and a struggling archive is left alone. A garbled answer is
# asked for once more, soon.
RETRIES = RetryPolicy(tries=1, first=0.5, stall_window=5.0, stall_floor=256.0)
TIMEOUTS = Timeouts(connect=5.0, read=8.0)
BUDGET = 20.0
"""Seconds for one look, far below the 60 after which Dagster ends a sensor's tick."""
_TURNS = 0.5
"""Share of the budget after which no further dataset that is known has its turn: there may be hundreds of them."""

_UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, pl.exceptions.PolarsError)


class TooSlowError(NetworkError):
    """The archive answers, but not within the budget of a look."""


@dataclass
class Observation:
    """What one look found.

    Attributes:
        listed: DOIs the collection lists; None if it could not be read.
        read: DOIs whose versions could be read.
        found: The released versions of those, still without a key.
        missing: Registered DOIs that the archive no longer knows.
        statuses: Whether the archive still offers locked releases, by release key.
        problems: What could not be read of single datasets, by DOI; by number where an entry has none.
        stopped: Why the look ended early; None if it did not.
        left: Registered datasets that have their turn in a later look.
        requests: Questions asked.
        seconds: How long it took.
    """

    listed: set[str] | None = None
    read: set[str] = field(default_factory=set)
    found: list[ReleaseRecord] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    statuses: dict[str, UpstreamStatus] = field(default_factory=dict)
    problems: dict[str, Cm4aiError] = field(default_factory=dict)
    stopped: Cm4aiError | None = None
    left: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Everything that was to be asked was answered."""
        return self.stopped is None and not self.problems

    @property
    def trouble(self) -> str:
        """What went wrong, in one line; empty if nothing did."""
        messages = [str(self.stopped)] if self.stopped else []
        messages += [f"{doi}: {error}" for doi, error in sorted(self.problems.items())]
        return " ".join(messages)


@dataclass(frozen=True)
class Watched:
    """What is known before a look: registered releases, the locks of some, and what is due.

    Attributes:
        collection: Alias of the collection.
        records: Every registered release.
        lock: Opens the lock of a release; None if it has none.
        due: Registered DOIs in the order in which they are to be asked.
        withdrawn: Releases that were found withdrawn before, and are not asked for again until they are back.
        turn: The release whose files are looked at this time, whatever the versions say; None for none.
    """

    collection: str
    records: Sequence[ReleaseRecord]
    lock: Callable[[str], pl.DataFrame | None]
    due: Sequence[str]
    withdrawn: frozenset[str]
    turn: str | None


def observe(client: Callable[[], DataverseClient], watched: Watched, *, budget: float = BUDGET) -> Observation:
    """Look once. Never raises for what an archive does, and never takes longer than the budget.

    The questions are asked in a thread of their own: an archive that answers a byte now and then would outlast any
    timeout of a single read. A thread that is late ends by itself and is not waited for.
    """
    found, faults = Observation(), list[Exception]()
    started = time.monotonic()
    worker = threading.Thread(
        target=_ask,
        args=(client, watched, found, (started + budget * _TURNS, started + budget), faults),
        name="look",
        daemon=True,
    )
    worker.start()
    worker.join(budget)
    if faults:
        raise faults[0]
    # What a late thread still finds goes to an object that nobody reads. Copying is atomic, the thread may still write.
    seen = Observation(
        listed=None if found.listed is None else set(found.listed), read=set(found.read), found=list(found.found),
        missing=set(found.missing), statuses=dict(found.statuses), problems=dict(found.problems),
        stopped=found.stopped, left=found.left, requests=found.requests, seconds=time.monotonic() - started,
    )  # fmt: skip
    if worker.is_alive() and seen.stopped is None:
        seen.stopped = TooSlowError(f"The archive did not answer everything within {budget:.0f} s.")
    return seen


def _ask(
    client: Callable[[], DataverseClient],
    watched: Watched,
    seen: Observation,
    until: tuple[float, float],
    faults: list[Exception],
) -> None:
    try:
        with client() as archive:
            _questions(archive, watched, seen, *until)
    except Cm4aiError as error:
        seen.stopped = error
    except Exception as error:  # noqa: BLE001 - a fault of ours; the caller raises it, a thread would swallow it
        faults.append(error)


def _questions(
    archive: DataverseClient, watched: Watched, seen: Observation, turns_until: float, deadline: float
) -> None:
    seen.requests += 1
    listing = archive.listing(watched.collection)
    datasets = {dataset.doi or "": dataset for dataset in listing.datasets}
    seen.problems |= {f"{watched.collection}#{number}": error for number, error in enumerate(listing.problems, 1)}
    seen.listed = set(datasets)
    by_doi: dict[str, list[ReleaseRecord]] = {}
    for record in watched.records:
        by_doi.setdefault(record.doi, []).append(record)
    turn = [record.doi for record in watched.records if record.key == watched.turn]
    known = [doi for doi in dict.fromkeys([*turn, *watched.due, *by_doi]) if doi in by_doi]
    for doi in [*sorted(datasets.keys() - by_doi.keys()), *known]:
        _in_time(deadline)
        if doi in by_doi and not seen.read.isdisjoint(by_doi) and time.monotonic() >= turns_until:
            seen.left = len(known) - known.index(doi)
            break
        with _Problem(seen, doi):
            _versions(archive, doi, datasets.get(doi), seen)
    for record in _to_look_at(seen, watched, by_doi):
        _in_time(deadline)
        lock = watched.lock(record.key)
        if lock is not None:
            with _Problem(seen, record.doi):
                seen.requests += 1
                seen.statuses[record.key] = upstream_status(record, lock, archive)


def _versions(archive: DataverseClient, doi: str, dataset: Dataset | None, seen: Observation) -> None:
    seen.requests += 1
    try:
        versions = archive.versions(doi)
    except NotFoundError:
        if dataset is not None:
            raise  # listed and unknown at once: an archive in the middle of something, not a withdrawal
        seen.missing.add(doi)
        seen.read.add(doi)
        return
    seen.found += _released(doi, dataset, versions, archive.base_url)
    seen.read.add(doi)


def _released(doi: str, dataset: Dataset | None, versions: Iterable[Version], archive: str) -> list[ReleaseRecord]:
    versions = list(versions)
    offered = [version for version in versions if version.version_state != "DEACCESSIONED"]
    records = [release_record(doi, dataset, version, versions, archive) for version in offered]
    return [record for record in records if record is not None]


def _to_look_at(seen: Observation, watched: Watched, by_doi: Mapping[str, list[ReleaseRecord]]) -> list[ReleaseRecord]:
    """The releases that are no longer offered, or are again, and the one whose turn it is."""
    offered = {(record.doi, record.version) for record in seen.found}
    chosen = []
    for record in (record for doi in sorted(seen.read) for record in by_doi.get(doi, ())):
        was_offered = record.key not in watched.withdrawn
        is_offered = (record.doi, record.version) in offered
        if was_offered != is_offered or record.key == watched.turn:
            chosen.append(record)
    return chosen


def _in_time(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TooSlowError("The archive answers too slowly for one look; the rest is asked next time.")


class _Problem:
    """Notes a failure that concerns one dataset only, and lets pass what concerns all."""

    def __init__(self, seen: Observation, doi: str) -> None:
        self._seen, self._doi = seen, doi

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, _UNREADABLE):
            # Values that no check of the answer's shape foresaw: still one dataset's, and said with their cause.
            _log.warning("%s could not be read.", self._doi, exc_info=error)
            error = ProtocolError(f"It could not be read: {type(error).__name__} {error}.")
        if not isinstance(error, Cm4aiError) or isinstance(error, CONCERNS_THE_ARCHIVE):
            return False
        self._seen.problems[self._doi] = error
        return True
