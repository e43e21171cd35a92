"""What makes the suite quick and proves nothing less: compiled modules are kept, no disk is waited for, and so on.

Belongs here: what holds for every test. Does not belong here: what one package of tests shares (its `conftest`).
"""

from __future__ import annotations

import gc
import math
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

# Modules of which forked processes read images begin, in processes in which nothing else has run: some libraries wait
# for ever in a process that was forked from one in which they had threads.
FORKING: Final = ("loading/test_loader.py", "test_access.py")

# Modules that take longer than some ten seconds, and how long, measured on two cores. The longest begin, so that all
# test processes end together. A module that is missing here comes later, and nothing else changes.
SECONDS: Final[Mapping[str, int]] = {
    "operate/test_documents_run.py": 170,
    "browser/test_operators_day.py": 150,
    "updates/test_daemon.py": 150,
    "operate/test_workers.py": 120,
    "browser/test_ui.py": 110,
    "operate/test_ui.py": 110,
    "test_verification.py": 100,
    "operate/test_several_machines.py": 90,
    "updates/test_replay.py": 80,
    "operate/test_commands.py": 65,
    "defs/test_image_path.py": 50,
    "test_cli.py": 49,
    "defs/test_damaged_bytes.py": 48,
    "updates/test_gate.py": 46,
    "test_readers.py": 41,
    "updates/test_schedule.py": 40,
    "archives/dataverse/test_locked_file.py": 36,
    "defs/test_proteomics.py": 36,
    "defs/test_object_store.py": 35,
    "defs/test_killed_run.py": 34,
    "loading/test_example.py": 34,
    "defs/test_gate.py": 33,
    "operate/test_wheel.py": 31,
    "defs/test_dask.py": 30,
    "defs/test_crate.py": 29,
    "contract/test_laws.py": 25,
    "defs/test_perturbseq_screen.py": 22,
    "defs/test_definitions.py": 20,
    "defs/test_release_crates.py": 20,
    "images/test_pixels.py": 20,
    "perturbseq/test_on_cluster.py": 20,
    "perturbseq/test_passes.py": 20,
    "images/test_comparison.py": 19,
    "operate/test_runs.py": 19,
    "transfer/test_ftps.py": 19,
    "defs/test_bad_input.py": 19,
    "operate/test_migration.py": 17,
    "updates/test_sensor.py": 17,
    "operate/test_database.py": 14,
    "publication/test_croissant.py": 14,
    "defs/test_report.py": 13,
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


def collect_rubbish_seldom() -> None:
    """What is imported and collected stays until the end: no search for rubbish has to go through it each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def longest_first(items: list[pytest.Item]) -> None:
    """Order by how long a module takes, after those that fork; tests of one module keep their order."""
    items.sort(key=lambda item: _rank(item.path.relative_to(TESTS).as_posix()))


def _rank(module: str) -> float:
    return -math.inf if module in FORKING else -SECONDS.get(module, 0)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file, to see whether something that is shared was written to."""
    found = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}
