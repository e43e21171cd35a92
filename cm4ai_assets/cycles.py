"""How often Python looks for cycles among objects while modules are imported.

Belongs here: that. It imports next to nothing, so that it comes before all that is slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from gc import get_threshold, set_threshold

_OBJECTS = 50_000  # made before Python looks for cycles among them; its own number is some hundreds


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Have Python look for cycles seldom: what imports make stays, and the looks take a tenth of the time."""
    before = get_threshold()
    set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        set_threshold(*before)
