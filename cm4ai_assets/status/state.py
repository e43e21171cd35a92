"""The state of everything, made of the storage and of what the Dagster instance has recorded.

Belongs here: that value. Nothing is changed, and nobody outside is asked. What could not be read is None, with the
reason among `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypeVar

from cm4ai_assets.causes import of_exception
from cm4ai_assets.errors import Cm4aiError, ReleaseKeyError, ReleaseRecordError
from cm4ai_assets.findings import Finding
from cm4ai_assets.incidents import Incident
from cm4ai_assets.overview import ReleaseState, overview
from cm4ai_assets.releases import ReleaseKey
from cm4ai_assets.retention import Usage, usage
from cm4ai_assets.runbook import with_section
from cm4ai_assets.settings import Settings
from cm4ai_assets.software import package_version
from cm4ai_assets.status.recorded import Recorded
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.registry import DAMAGED_REMEDY, ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.updates.findings import release_due
from cm4ai_assets.updates.news import Newsroom

Made = TypeVar("Made")


@dataclass(frozen=True)
class ReleaseLine:
    """One registered release: how far it is, and when a table of it was last written.

    `oldest` and `newest` are the times at which its tables were written; None without tables, or where the storage
    does not say.
    """

    state: ReleaseState
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True)
class LostRelease:
    """A release whose record cannot be read: the key that the file is named after, and why, with what helps."""

    key: str
    problem: Cm4aiError


@dataclass(frozen=True)
class Closed:
    """Files of a release whose embargo ends on a day: how many, their bytes, and whether that day has come."""

    release: str
    ends: date
    files: tuple[str, ...]
    size: int
    has_ended: bool


@dataclass(frozen=True)
class Status:
    """The state of everything at one time.

    Attributes:
        at: When it was read (UTC).
        version: Of this software.
        storage: Where the storage is, for people.
        archive: Base URL of the archive.
        collection: Its collection that is watched.
        releases: Registered releases, oldest first; None if they could not be listed. One whose lock cannot be read is
            unknown (`overview.ReleaseState.problem`).
        lost: Releases whose record cannot be read; of them nothing else is known.
        due: Whether a new release is overdue (`updates.findings.release_due`); None as above.
        embargoes: By release and day, earliest day first, of the locks that can be read; None as above.
        usage: Disk used by release, and what could go; None as above.
        recorded: What the Dagster instance has recorded; None if there is none yet or it could not be read.
        incidents: What needs a person, worst first; None as above.
        unknown: What could not be read, and why, in sentences.
    """

    at: datetime
    version: str
    storage: str
    archive: str
    collection: str
    releases: tuple[ReleaseLine, ...] | None
    lost: tuple[LostRelease, ...]
    due: Finding | None
    embargoes: tuple[Closed, ...] | None
    usage: Usage | None
    recorded: Recorded | None
    incidents: tuple[Incident, ...] | None
    unknown: tuple[str, ...]

    @property
    def pending(self) -> tuple[Closed, ...]:
        """The embargoes that have not ended."""
        return tuple(one for one in self.embargoes or () if not one.has_ended)

    @property
    def overdue(self) -> bool | None:
        """Whether a new release is overdue; None where that is not known: one that was lost may be the newest."""
        if self.due is None or not self.releases:
            return None
        newest = max(ReleaseKey.parse(line.state.record.key) for line in self.releases)
        if not self.due.passed and any(_may_be_newer(one.key, newest) for one in self.lost):
            return None
        return not self.due.passed

    @property
    def problems(self) -> Mapping[str, Cm4aiError]:
        """By release, why it is not known how far it is."""
        known = {line.state.record.key: line.state.problem for line in self.releases or ()}
        return {key: problem for key, problem in known.items() if problem is not None} | {
            one.key: one.problem for one in self.lost
        }

    @property
    def of_releases(self) -> tuple[str, ...]:
        """Those of `unknown` that are about one release, each with where to read on."""
        return tuple(with_section(str(problem), problem.runbook) for problem in self.problems.values())


def _may_be_newer(key: str, newest: ReleaseKey) -> bool:
    try:
        return ReleaseKey.parse(key) > newest
    except ReleaseKeyError:
        return True


def state_of(
    store: Store,
    settings: Settings,
    now: datetime,
    *,
    recorded: Recorded | None = None,
    incidents: Sequence[Incident] | None = None,
    unknown: Sequence[str] = (),
) -> Status:
    """The state of everything.

    Args:
        store: The storage.
        settings: Where the archive is, and the scratch folder.
        now: The time (UTC).
        recorded: What the instance has recorded; None if it is not known.
        incidents: What needs a person; None if it is not known.
        unknown: Why something of these is not known.
    """
    doubts = list(unknown)
    releases = _read("The releases cannot be read", lambda: _releases(store), doubts)
    lost = _read("The releases cannot be read", lambda: _lost(store), []) or ()
    disk = _read("Disk use cannot be read", lambda: usage(store, scratch=settings.scratch), doubts)
    closed = _read("Embargoes cannot be read", lambda: _embargoes(store, now.date()), doubts)
    due = None if releases is None else release_due([line.state.record for line in releases], now)
    status = Status(
        at=now,
        version=package_version(),
        storage=store.location("").rstrip("/"),
        archive=settings.dataverse_url,
        collection=settings.collection,
        releases=releases,
        lost=lost,
        due=due,
        embargoes=closed,
        usage=disk,
        recorded=recorded,
        incidents=None if incidents is None else tuple(incidents),
        unknown=(),
    )
    of_disk = disk.unknown if disk is not None else ()
    return replace(status, unknown=(*doubts, *status.of_releases, *of_disk))


def _read(what: str, read: Callable[[], Made], doubts: list[str]) -> Made | None:
    """What is read; None if it cannot be, and then why. One damaged file does not take everything else along."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - polars' panics on damaged files derive from it
        doubts.append(f"{what}: {of_exception(error)}")
        return None


def _releases(store: Store) -> tuple[ReleaseLine, ...]:
    written = _written(store)
    return tuple(_line(state, written) for state in overview(store, None))


def _lost(store: Store) -> tuple[LostRelease, ...]:
    damaged = ReleaseRegistry(store).damaged()
    return tuple(LostRelease(one.key, ReleaseRecordError(str(one), remedy=DAMAGED_REMEDY)) for one in damaged)


def _line(state: ReleaseState, written: Mapping[str, list[datetime]]) -> ReleaseLine:
    times = written.get(state.record.key, [])
    return ReleaseLine(state, min(times, default=None), max(times, default=None))


def _written(store: Store) -> dict[str, list[datetime]]:
    """By release, when its tables were written, by one listing."""
    found: dict[str, list[datetime]] = {}
    for path, file in store.listing(layout.TABLES).items():
        product = layout.table_partition(path)
        if product is not None and file.written is not None:
            found.setdefault(product[1].release, []).append(file.written)
    return found


def _embargoes(store: Store, today: date) -> tuple[Closed, ...]:
    every = [
        Closed(release, one.ends, one.files, one.size, has_ended=one.ends <= today)
        for release, found in Newsroom().embargoes(store).items()
        for one in found
    ]
    return tuple(sorted(every, key=lambda one: (one.ends, one.release)))
