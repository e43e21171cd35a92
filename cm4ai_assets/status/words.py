"""Words that the page and the terminal share: ages, times, and checks that warn put together.

Belongs here: what both say of one fact, so that it is said in one way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cm4ai_assets.status.recorded import CheckState
from cm4ai_assets.status.state import Status

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True)
class OpenCheck:
    """A check that warns or fails now, in all partitions in which it does, the newest of them first."""

    states: tuple[CheckState, ...]

    @property
    def latest(self) -> CheckState:
        """The state in which it is since the latest time."""
        return self.states[0]

    @property
    def name(self) -> str:
        """Asset and check."""
        return f"{self.latest.asset}.{self.latest.check}"

    @property
    def is_failure(self) -> bool:
        """It blocks in at least one partition."""
        return any(one.severity == "failure" for one in self.states)

    @property
    def partitions(self) -> str:
        """In which partitions, in a few words."""
        named = [one.partition for one in self.states if one.partition is not None]
        return "" if not named else named[0] if len(named) == 1 else f"{named[0]} and {len(named) - 1} more"


def open_checks(states: Iterable[CheckState]) -> list[OpenCheck]:
    """Checks that fail before those that warn; of these the one that changed last first."""
    found: dict[tuple[str, str], list[CheckState]] = {}
    for one in states:
        found.setdefault((one.asset, one.check), []).append(one)
    every = [OpenCheck(tuple(sorted(states, key=lambda one: one.since, reverse=True))) for states in found.values()]
    every.sort(key=lambda one: (one.latest.since, one.name), reverse=True)
    return sorted(every, key=lambda one: not one.is_failure)


def at(when: datetime) -> str:
    """A time to the minute: `2026-11-27 02:10 UTC`."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def ago(when: datetime, now: datetime) -> str:
    """How long ago, roughly: `3 h ago`."""
    seconds = max(0, int((now - when).total_seconds()))
    for unit, size in (("days", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def looked(status: Status) -> str:
    """What the archive said when it was last looked at, and when."""
    recorded = status.recorded
    if recorded is None or recorded.look is None:
        return "The release sensor has never looked at the archive here; what it offers now is not known."
    look = recorded.look
    said = f"Last look {at(look.last_look)} ({ago(look.last_look, status.at)})"
    said += f": {look.datasets} datasets in {look.versions} versions." if look.datasets else "."
    if look.trouble:
        since = f" It last answered everything {at(look.last_success)}." if look.last_success else ""
        said = f"{said} {look.trouble.rstrip('.')}.{since}"
    return said
