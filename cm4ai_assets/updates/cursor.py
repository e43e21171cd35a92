"""What the release sensor remembers between two ticks, as JSON that people can read in the UI while it is short.

Belongs here: that memory, and when the archive may be asked again. Losing it loses nothing: what is registered stands
in the registry, what is made in the storage, what was tried in the runs. Does not belong here: the tick itself
(`defs.updates.sensor`).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, Field, ValidationError

from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.transfer.errors import WaitError
from cm4ai_assets.updates.upstream import State

if TYPE_CHECKING:
    from cm4ai_assets.updates.watch import Observation

_FIRST_WAIT, _LONGEST_WAIT = 30.0, 1800.0  # seconds
_LAUNCHED_WITHIN = timedelta(minutes=5)
_READABLE, _PACKED = 4_000, "zlib:"  # characters; what a packed cursor begins with


class Cursor(BaseModel):
    """The memory of the sensor.

    Attributes:
        archive: Base URL and collection that this is about.
        last_look: When the archive was last asked.
        last_success: When it last answered everything.
        not_before: When it may be asked again, after a failure.
        failures: Looks since then that ended early.
        trouble: What went wrong in the last look; empty if nothing.
        versions: By DOI, the versions that are offered.
        asked: By DOI, when its versions were last read.
        statuses: By release, its upstream status when its files were last looked at.
        turn: The release whose files were looked at last.
        lag: By release, seconds from its publication to its registration here, where both happened under watch.
        requested: By run key, when a run was requested, for the minutes in which it may not exist yet.
        shown: When the collection's page in the UI was last brought up to date.
    """

    archive: str = ""
    last_look: datetime | None = None
    last_success: datetime | None = None
    not_before: datetime | None = None
    failures: int = 0
    trouble: str = ""
    versions: dict[str, list[str]] = Field(default_factory=dict)
    asked: dict[str, datetime] = Field(default_factory=dict)
    statuses: dict[str, str] = Field(default_factory=dict)
    turn: str | None = None
    lag: dict[str, float] = Field(default_factory=dict)
    requested: dict[str, datetime] = Field(default_factory=dict)
    shown: datetime | None = None

    @classmethod
    def read(cls, text: str | None, *, archive: str) -> Self:
        """The memory in a cursor; an empty one where there is none, it is of another archive, or of another form."""
        try:
            cursor = cls.model_validate_json(_unpacked(text or "{}"))
        except ValidationError:
            cursor = cls()
        return cursor if cursor.archive == archive else cls(archive=archive)

    def text(self) -> str:
        """The cursor."""
        return _packed(self.model_dump_json(indent=1))

    def is_due(self, now: datetime, every: timedelta) -> bool:
        """Whether the archive is to be asked now."""
        if self.not_before is not None:
            return now >= self.not_before
        return self.last_look is None or now >= self.last_look + every

    def order(self, dois: Iterable[str]) -> list[str]:
        """Datasets in the order in which they are to be asked: those not asked for longest first."""
        return sorted(dois, key=lambda doi: self.asked[doi].timestamp() if doi in self.asked else 0.0)

    def next_turn(self, releases: list[str]) -> str | None:
        """The release after the one whose files were looked at last; each has its turn."""
        if self.turn in releases:
            return releases[(releases.index(self.turn) + 1) % len(releases)]
        return releases[0] if releases else None

    def offers(self, record: ReleaseRecord) -> bool:
        """Whether the archive was seen to offer a release."""
        return record.version in self.versions.get(record.doi, ())

    @property
    def withdrawn(self) -> frozenset[str]:
        """Releases that the archive no longer offers."""
        gone = (f"{State.WITHDRAWN}: ", f"{State.GONE}: ")
        return frozenset(release for release, status in self.statuses.items() if status.startswith(gone))

    def looked(self, look: Observation, now: datetime, *, turn: str | None) -> None:
        """Take in what a look found, and when the archive may be asked again."""
        self.last_look, self.trouble = now, look.trouble
        for doi in look.read:
            self.asked[doi] = now
            found = sorted((r.major, r.minor) for r in look.found if r.doi == doi)
            self.versions[doi] = [f"{major}.{minor}" for major, minor in found]
        if turn in look.statuses:
            self.turn = turn
        if look.stopped is not None:
            self.failures += 1
            self.not_before = now + _wait(look.stopped, self.failures)
            return
        self.failures, self.not_before = 0, None
        if look.is_whole:
            self.last_success = now

    def registered(self, record: ReleaseRecord, now: datetime) -> None:
        """Note how long a release that came out under watch took to be registered."""
        if self.last_success is not None and record.released is not None and record.released > self.last_success:
            self.lag[record.key] = round((now - record.released).total_seconds(), 1)

    def is_launching(self, run_key: str, now: datetime) -> bool:
        """A run was requested just now and may not exist yet."""
        return run_key in self.requested and now < self.requested[run_key] + _LAUNCHED_WITHIN

    def note_requests(self, run_keys: Iterable[str], now: datetime) -> None:
        """Remember what is requested now, until its runs exist."""
        kept = {key: at for key, at in self.requested.items() if self.is_launching(key, now)}
        self.requested = {**kept, **dict.fromkeys(run_keys, now)}


def _packed(text: str) -> str:
    """As it is where a person can read it; compressed where it is long, because Dagster keeps it with every tick."""
    if len(text) <= _READABLE:
        return text
    return _PACKED + base64.b85encode(zlib.compress(text.encode(), 9)).decode()


def _unpacked(text: str) -> str:
    """What was packed. What is no such text is given back as it is: no valid cursor."""
    if not text.startswith(_PACKED):
        return text
    try:
        return zlib.decompress(base64.b85decode(text.removeprefix(_PACKED))).decode()
    except (ValueError, zlib.error):
        return text


def _wait(error: Exception, failures: int) -> timedelta:
    """How long an archive that failed is left alone: as it says, within reason; else twice as long each time."""
    stated = error.retry_after if isinstance(error, WaitError) else None
    seconds = _FIRST_WAIT * 2.0 ** min(failures - 1, 10) if stated is None else stated
    return timedelta(seconds=min(max(seconds, _FIRST_WAIT), _LONGEST_WAIT))
