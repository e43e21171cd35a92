"""Courtesy towards a host, shared by all processes that agree: how many transfers at once, and when not to ask.

Dagster runs steps in many processes, on several machines perhaps, so slots, cool-downs and turns are kept where all of
them look (`coordination`), by the clock that all of them share. Does not belong here: how long one request waits for
its own sake (`retries`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cm4ai_assets.coordination import Coordination, Record
from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)


class RateLimit:
    """Slots and cool-downs per host.

    Args:
        among: Who shares them.
        slots: Transfers at once per host. Two, for the archive of a university library (protocol reference, 7.3).
        retries: The waits when a host rate-limits without naming a time.
        per_second: Requests a second to one host, of all processes together; None for no such limit.
        sleep: What to wait with.
    """

    def __init__(
        self,
        among: Coordination,
        *,
        slots: int = 2,
        retries: RetryPolicy | None = None,
        per_second: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._among, self._slots = among, slots
        self._retries, self._sleep = retries or RetryPolicy(), sleep
        self._spacing = 1 / per_second if per_second else 0.0

    @contextmanager
    def slot(self, host: str) -> Iterator[None]:
        """Hold one of the host's transfer slots, waiting for one if need be."""
        names = [f"{host}.{number}" for number in range(self._slots)]
        message = f"Waiting for one of the {self._slots} transfer slots of {host}."
        with self._among.hold(names, waiting=lambda: _log.info(message)):
            yield

    def wait(self, host: str) -> None:
        """Sleep until the host may be asked again."""
        record, now = self._among.read(host)
        remaining = record.get("not_before", 0.0) - now
        if remaining > 0:
            # A record from a machine whose clock was wrong must not hold anybody for longer than the cap.
            remaining = min(remaining, self._retries.limited_longest)
            _log.info("%s asked not to be asked for another %.0f s.", host, remaining)
            self._sleep(remaining)
        if self._spacing and (turn := self._next_turn(host)) > 0:
            self._sleep(turn)

    def _next_turn(self, host: str) -> float:
        """Take the next free moment of a host, which no other process then takes; seconds until it comes."""

        def taken(record: Record, now: float) -> Record:
            # As above: not for longer than the cap.
            next_free = max(now, record.get("turn", 0.0) + self._spacing)
            return {"turn": min(next_free, now + self._retries.limited_longest)}

        record, now = self._among.change(f"{host}-turn", taken)
        return record["turn"] - now

    def limited(self, host: str, stated: float | None) -> None:
        """Note that a host rate-limits: nobody asks it before the stated time, else one that doubles each time."""

        def noted(record: Record, now: float) -> Record:
            until, strikes = record.get("not_before", 0.0), record.get("strikes", 0.0)
            wait = self._retries.limited_first * 2.0 ** min(strikes, 30) if stated is None else stated
            until = max(until, now + min(wait, self._retries.limited_longest))
            return {"not_before": until, "strikes": strikes + 1}

        self._among.change(host, noted)

    def served(self, host: str) -> None:
        """Note that a host answers again."""
        if self._among.read(host)[0].get("strikes"):
            self._among.change(host, lambda record, _now: {**record, "strikes": 0.0})
