"""What makes the suite quick and proves nothing less: compiled modules are kept, no disk is waited for, and so on.

Belongs here: what holds for every test. Does not belong here: what one package of tests shares (its `conftest`).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

TESTS: Final = Path(__file__).parent

# Modules that take longer than some ten seconds, and how long, measured on two cores. The longest begin, so that all
# test processes end together. A module that is missing here comes later, and nothing else changes.
SECONDS: Final[Mapping[str, int]] = {
    "operate/test_ui.py": 140,
    "browser/test_operators_day.py": 100,
}


def keep_compiled() -> None:
    """Let this process and those it starts keep what they compile: of the package 450 modules, a second a start."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@contextmanager
def without_waiting_for_disks() -> Iterator[None]:
    """No test cuts the power, so nothing has to be on a disk: other processes read what the system keeps."""

    def unsafe(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", unsafe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which refuses what fsync would refuse: a file that is closed
        yield
    event.remove(Engine, "connect", unsafe)


def longest_first(items: list[pytest.Item]) -> None:
    """Order by how long a module takes; tests of one module keep their order."""
    items.sort(key=lambda item: -SECONDS.get(item.path.relative_to(TESTS).as_posix(), 0))


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file, to see whether something that is shared was written to."""
    found = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}
