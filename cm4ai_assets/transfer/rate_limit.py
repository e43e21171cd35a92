"""Courtesy towards a host, shared by every process on this machine: how many transfers at once, and when not to ask.

Dagster runs steps in many processes, so the state is in files: one lock per transfer slot, one small record of when a
host may be asked again. Does not belong here: how long one request waits for its own sake (`retries`).
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)
_POLL = 0.2


class RateLimit:
    """Slots and cool-downs per host.

    Args:
        folder: Where the files are; processes that share it share the limits.
        slots: Transfers at once per host. Two, for the archive of a university library (protocol reference, 7.3).
        retries: The waits when a host rate-limits without naming a time.
        per_second: Requests a second to one host, of all processes together; None for no such limit.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slots: int = 2,
        retries: RetryPolicy | None = None,
        per_second: float | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._slots = folder, slots
        self._retries, self._now, self._sleep = retries or RetryPolicy(), now, sleep
        self._spacing = 1 / per_second if per_second else 0.0

    @contextmanager
    def slot(self, host: str) -> Iterator[None]:
        """Hold one of the host's transfer slots, waiting for one if need be."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = self._free_slot(host)
        try:
            yield
        finally:
            lock.release()

    def _free_slot(self, host: str) -> FileLock:
        is_logged = False
        while True:
            for number in range(self._slots):
                lock = FileLock(self._file(host, f"{number}.lock"))
                with suppress(Timeout):
                    lock.acquire(timeout=0)
                    return lock
            if not is_logged:
                _log.info("Waiting for one of the %d transfer slots of %s.", self._slots, host)
                is_logged = True
            time.sleep(_POLL)

    def wait(self, host: str) -> None:
        """Sleep until the host may be asked again."""
        until, _ = self._state(host)
        remaining = until - self._now()
        if remaining > 0:
            # A record from a machine whose clock was wrong must not hold anybody for longer than the cap.
            remaining = min(remaining, self._retries.limited_longest)
            _log.info("%s asked not to be asked for another %.0f s.", host, remaining)
            self._sleep(remaining)
        if self._spacing and (turn := self._next_turn(host)) > 0:
            self._sleep(turn)

    def _next_turn(self, host: str) -> float:
        """Take the next free moment of a host, which no other process then takes; seconds until it comes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._file(host, "turn")
        with FileLock(self._file(host, "turn.lock")):
            now = self._now()
            try:
                last = float(path.read_text())
            except (OSError, ValueError):
                last = 0.0
            # A record from a machine whose clock was wrong must not hold anybody for longer than the cap.
            turn = min(max(now, last + self._spacing), now + self._retries.limited_longest)
            path.write_text(repr(turn))
        return turn - now

    def limited(self, host: str, stated: float | None) -> None:
        """Note that a host rate-limits: nobody asks it before the stated time, else one that doubles each time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._file(host, "json.lock")):
            until, strikes = self._state(host)
            wait = self._retries.limited_first * 2.0 ** min(strikes, 30) if stated is None else stated
            until = max(until, self._now() + min(wait, self._retries.limited_longest))
            self._write(host, until, strikes + 1)

    def served(self, host: str) -> None:
        """Note that a host answers again."""
        if self._state(host)[1]:
            with FileLock(self._file(host, "json.lock")):
                self._write(host, self._state(host)[0], 0)

    def _state(self, host: str) -> tuple[float, int]:
        try:
            record = json.loads(self._file(host, "json").read_text())
            return float(record["not_before"]), int(record["strikes"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0, 0

    def _write(self, host: str, until: float, strikes: int) -> None:
        partial = self._file(host, "json.new")
        partial.write_text(json.dumps({"not_before": until, "strikes": strikes}))
        partial.replace(self._file(host, "json"))

    def _file(self, host: str, suffix: str) -> Path:
        return self._folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', host)}.{suffix}"
