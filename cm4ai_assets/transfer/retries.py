"""How long to wait, and when to give up: the one retry policy of API calls and of downloads.

An answer that names a time is obeyed up to a cap; the rest backs off exponentially with jitter. A download goes on as
long as it makes progress: tries are only counted while they are fruitless. Does not belong here: which errors are worth
waiting for; each error type says so itself (`errors.ArchiveError.retryable`).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.transfer.errors import (
    BlockedByWafError,
    LinkExpiredError,
    ProtocolError,
    RangeError,
    RateLimitedError,
    StalledError,
    WaitError,
)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

MIB = 1024 * 1024


@dataclass(frozen=True)
class RetryPolicy:
    """The numbers of the policy. All times in seconds.

    Args:
        tries: Fruitless tries before giving up.
        first: First wait after a network error or a server error; doubles with each fruitless try.
        longest: Longest wait of that kind.
        limited_first: First wait when rate limited without a stated time. Dataverse's allowance is per hour and shared
            by all guests, and its 429 carries no Retry-After (protocol reference, 3.7).
        limited_longest: Longest wait of that kind, and the cap of any stated time.
        waf_tries: Tries in all when a firewall turns requests away: asking faster makes it worse.
        waf_wait: Wait between those.
        progress: Bytes after which the count of fruitless tries starts anew.
        stall_window: Seconds over which `stall_floor` is measured.
        stall_floor: Bytes per second below which a transfer counts as stalled.
    """

    tries: int = 6
    first: float = 1.0
    longest: float = 60.0
    limited_first: float = 30.0
    limited_longest: float = 900.0
    waf_tries: int = 3
    waf_wait: float = 60.0
    progress: int = 8 * MIB
    stall_window: float = 60.0
    stall_floor: float = 4096.0


@dataclass
class Patience:
    """What is left of the patience with one request or one download."""

    retries: RetryPolicy
    random: Callable[[], float] = field(default=random.random)
    fruitless: int = 0
    turned_away: int = 0
    malformed: int = 0
    _gained: int = 0

    def gained(self, count: int) -> None:
        """Note bytes that arrived: enough of them, and the count of fruitless tries starts anew."""
        self._gained += count
        if self._gained >= self.retries.progress:
            self._gained = 0
            self.fruitless = self.turned_away = self.malformed = 0

    def wait_after(self, error: ArchiveError) -> float:
        """Seconds to wait before the next try.

        Raises:
            ArchiveError: The error itself, when trying again is useless or was tried often enough.
        """
        if isinstance(error, ProtocolError):
            # A garbled answer may be an accident of the way once; twice it is what the server says.
            self.malformed += 1
            if self.malformed > 1:
                raise error
            return 0.0 if isinstance(error, RangeError) else self._jittered(self.retries.first)
        if not error.retryable:
            raise error
        self.fruitless += 1
        if self.fruitless >= self.retries.tries:
            raise error
        if isinstance(error, BlockedByWafError):
            self.turned_away += 1
            if self.turned_away >= self.retries.waf_tries:
                raise error
            return self._jittered(self.retries.waf_wait)
        if isinstance(error, WaitError) and error.retry_after is not None:
            return min(error.retry_after, self.retries.limited_longest) + self._jittered(self.retries.first) / 2
        if isinstance(error, LinkExpiredError | StalledError) and self.fruitless == 1:
            return 0.0
        doubled: float = 2.0 ** (self.fruitless - 1)
        if isinstance(error, RateLimitedError):
            return self._jittered(min(self.retries.limited_first * doubled, self.retries.limited_longest))
        return self._jittered(min(self.retries.first * doubled, self.retries.longest))

    def _jittered(self, wait: float) -> float:
        """Up to a quarter more, never less: two clients that failed together must not come back together."""
        return wait * (1.0 + 0.25 * self.random())


def patiently(ask: Callable[[], _T], retries: RetryPolicy, sleep: Callable[[float], None]) -> _T:
    """Ask, and ask again by the retry policy.

    Raises:
        ArchiveError: Trying again is useless, or was tried often enough.
    """
    patience = Patience(retries)
    while True:
        try:
            return ask()
        except ArchiveError as error:
            wait = patience.wait_after(error)
            _log.info("%s Trying again in %.1f s.", error.message, wait)
            sleep(wait)


class StallFloor:
    """Sees whether bytes come fast enough: a drip that never times out is a stall all the same."""

    def __init__(self, retries: RetryPolicy, clock: Callable[[], float]) -> None:
        self._retries, self._clock = retries, clock
        self._since, self._bytes = clock(), 0

    def arrived(self, count: int) -> None:
        """Note bytes that arrived.

        Raises:
            StalledError: Over the last whole window they came more slowly than the floor.
        """
        self._bytes += count
        elapsed = self._clock() - self._since
        if elapsed < self._retries.stall_window:
            return
        rate = self._bytes / elapsed
        if rate < self._retries.stall_floor:
            raise StalledError(
                f"Bytes came at {rate:.0f} per second for {elapsed:.0f} s, below the floor of"
                f" {self._retries.stall_floor:.0f}.",
                remedy="The download can be resumed; what has arrived is kept.",
            )
        self._since, self._bytes = self._clock(), 0
