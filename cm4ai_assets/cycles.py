"""How often Python looks for cycles among objects: while modules are imported, and as a process ends.

Belongs here: that. It imports next to nothing, so that it comes before all that is slow.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 50_000  # made before Python looks for cycles among them; its own number is some hundreds


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Have Python look for cycles seldom: what imports make stays, and the looks take a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def made_to_stay() -> Iterator[None]:
    """Have Python look for no cycles meanwhile, and never among what there is at the end.

    For what stays as long as its process: some 290,000 objects of the code location, where one look takes a tenth of a
    second. Of these, what nothing refers to any more is freed as ever, and a cycle is not.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def none_at_the_end() -> None:
    """Have Python look for no cycles as the process ends, which takes a command of Dagster's a quarter of a second.

    Files are closed and hooks are called as ever; what is in a cycle is given back with the process.
    """
    atexit.register(gc.freeze)
