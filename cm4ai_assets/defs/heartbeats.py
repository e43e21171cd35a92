"""Whether the daemon lives: one rule for `/readyz`, for what needs a person, and for the state of everything.

Each of the daemon's parts notes every half minute that it lives, unless a tick holds it up, which Dagster ends after a
minute. One that has noted nothing for five minutes is gone. Dagster itself, and the page *Deployment → Daemons* of its
UI, wait half an hour: that is how long it gives a part before the daemon ends itself, and too long for a person or a
monitor to hear that nothing is requested, queued or watched.

Belongs here: that rule. Does not belong here: what is made of it (`incidents.automation`, `status`, the UI's `health`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

SILENT_AFTER: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Heartbeats:
    """What the parts of the daemon that an instance needs have noted.

    Attributes:
        parts: The names of all.
        silent: Of those that are gone, or were never there; sorted.
        last: When one that is gone last noted that it lives (UTC); None if none ever did.
        ever: Whether any part ever ran here.
    """

    parts: tuple[str, ...]
    silent: tuple[str, ...]
    last: datetime | None
    ever: bool

    @property
    def live(self) -> bool:
        """Every part lives."""
        return not self.silent


def heartbeats(instance: dg.DagsterInstance, now: datetime | None = None) -> Heartbeats:
    """Ask an instance, by one question. `now` has its zone, and is the clock's if not given."""
    oldest = (now or datetime.now(UTC)) - SILENT_AFTER
    noted = {name: beat.timestamp for name, beat in instance.get_daemon_heartbeats().items()}
    parts = tuple(instance.get_required_daemon_types())
    silent = tuple(sorted(one for one in parts if noted.get(one, 0.0) < oldest.timestamp()))
    last = max((noted[one] for one in silent if one in noted), default=None)
    when = None if last is None else datetime.fromtimestamp(last, UTC)
    return Heartbeats(parts, silent, when, ever=any(one in noted for one in parts))
