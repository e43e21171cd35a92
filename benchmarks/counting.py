"""What an operation asks: statements of the database, and calls of the storage's filesystem, which cost as much as a
request each where the storage is an object store.

Belongs here: counting. Does not belong here: what is measured, and how it grows (`scaling`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.engine import Engine

from cm4ai_assets.storage.store import Store

_CALLS = ("exists", "info", "isfile", "find", "cat_file", "open", "size", "put_file", "pipe_file", "rm_file", "mv")


@dataclass
class Asked:
    """What was asked and what it took: seconds of CPU and of the clock, statements, calls of the storage by kind."""

    cpu: float = 0.0
    wall: float = 0.0
    statements: int = 0
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def reads(self) -> int:
        """All calls of the storage."""
        return self.calls.total()


@contextmanager
def counted(store: Store) -> Iterator[Asked]:
    """Count what is asked in the block, of any database and of one storage."""
    asked, inside = Asked(), [False]

    def statement(*_: object) -> None:
        asked.statements += 1

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def wrapped(*args: object, **words: object) -> object:
            outer, inside[0] = inside[0], True
            asked.calls[name] += not outer  # what a call of the filesystem calls itself is the same request
            try:
                return call(*args, **words)
            finally:
                inside[0] = outer

        return wrapped

    with ExitStack() as stack:
        for name in _CALLS:
            stack.enter_context(patch.object(store.fs, name, counting(name, getattr(store.fs, name))))
        # Tables of a local storage are read beside its filesystem.
        stack.enter_context(patch.object(Store, "table", counting("table", Store.table)))
        event.listen(Engine, "before_cursor_execute", statement)
        stack.callback(event.remove, Engine, "before_cursor_execute", statement)
        cpu, wall = time.process_time(), time.perf_counter()
        yield asked
        asked.cpu, asked.wall = time.process_time() - cpu, time.perf_counter() - wall
