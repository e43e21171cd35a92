"""What processes agree by: the one interface, whatever is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import inf
from typing import Protocol

Record = dict[str, float]
"""A few named numbers; empty where nothing was noted, or what was noted cannot be read."""


def nothing() -> None:
    """What is done by default when one has to wait."""


class Coordination(Protocol):
    """Locks, small records and marks by name. All of them end with the process that has them, except records."""

    def hold(
        self, names: Sequence[str], *, patience: float = inf, waiting: Callable[[], None] = nothing
    ) -> AbstractContextManager[str]:
        """Be the only one, in any thread of any process, that holds one of the names; which one.

        Args:
            names: Any of these will do, the first that is free.
            patience: Seconds to wait for one of them; 0 to try once.
            waiting: Called once, if one has to wait.

        Raises:
            TimeoutError: All of them were held by others for that long.
        """
        ...

    def read(self, name: str) -> tuple[Record, float]:
        """A record, and the time by the clock that counts: seconds since 1970."""
        ...

    def change(self, name: str, how: Callable[[Record, float], Record]) -> tuple[Record, float]:
        """Replace a record by what `how` makes of it and of the time, while no other process changes it; both."""
        ...

    def mark(self, name: str) -> AbstractContextManager[None]:
        """Be seen to be alive under a name."""
        ...

    def lost(self) -> list[str]:
        """The names whose processes ended without taking their mark away."""
        ...

    def forget(self, name: str) -> None:
        """Take a lost mark away."""
        ...
