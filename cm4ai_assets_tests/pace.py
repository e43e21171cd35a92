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
FORKING: Final = ("loading/test_loader.py", "loading/test_reader.py", "test_access.py")

# Modules that take ten seconds or more, and how long, measured on two cores. The longest begin, so that all test
# processes end together, and all of them are slow: `make test-quick` leaves them out.
SECONDS: Final[Mapping[str, int]] = {
    "updates/test_daemon.py": 162,
    "operate/test_documents_run.py": 119,
    "browser/test_operators_day.py": 107,
    "browser/test_ui.py": 105,
    "operate/test_workers.py": 100,
    "test_verification.py": 77,
    "updates/test_replay.py": 69,
    "operate/test_several_machines.py": 54,
    "defs/test_crate.py": 44,
    "defs/test_image_path.py": 42,
    "operate/test_ui.py": 42,
    "operate/test_commands.py": 38,
    "test_cli.py": 38,
    "defs/test_dask.py": 37,
    "site/test_site.py": 36,
    "defs/test_damaged_bytes.py": 31,
    "test_benchmarks.py": 30,
    "updates/test_gate.py": 29,
    "defs/test_object_store.py": 27,
    "defs/test_gate.py": 24,
    "defs/test_proteomics.py": 23,
    "test_access.py": 22,
    "defs/test_release_crates.py": 21,
    "storage/test_races_on_s3.py": 20,
    "contract/test_laws.py": 19,
    "operate/runbook/test_instance.py": 19,
    "updates/test_schedule.py": 19,
    "images/test_on_cluster.py": 18,
    "images/test_pixels.py": 17,
    "operate/test_wheel.py": 17,
    "defs/test_killed_run.py": 16,
    "images/test_comparison.py": 16,
    "transfer/test_drips.py": 16,
    "transfer/test_ftps.py": 16,
    "defs/test_perturbseq_screen.py": 15,
    "loading/test_example.py": 15,
    "operate/runbook/test_archive.py": 14,
    "operate/runbook/test_object_store.py": 14,
    "operate/runbook/test_published.py": 14,
    "perturbseq/on_cluster/test_other_workers.py": 14,
    "publication/test_html.py": 14,
    "defs/test_perturbseq_archives.py": 12,
    "operate/runbook/test_runs.py": 12,
    "publication/test_report.py": 12,
    "defs/test_report.py": 11,
    "operate/test_database.py": 11,
    "operate/test_proxy.py": 11,
    "operate/test_runs.py": 11,
    "perturbseq/test_against_scanpy.py": 11,
    "defs/test_bad_input.py": 10,
    "defs/test_definitions.py": 10,
    "perturbseq/on_cluster/test_faults.py": 10,
    "perturbseq/on_cluster/test_same_bytes.py": 10,
    "storage/test_s3.py": 10,
    "test_readers.py": 10,
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


def mark_slow(items: list[pytest.Item]) -> None:
    """Mark what belongs to a module that takes long: what its first test waits for the next one would wait for."""
    for item in items:
        if _module(item) in SECONDS:
            item.add_marker("slow")


def longest_first(items: list[pytest.Item]) -> None:
    """Order by how long a module takes, after those that fork; tests of one module keep their order."""
    items.sort(key=lambda item: _rank(_module(item)))


def _module(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()


def _rank(module: str) -> float:
    return -math.inf if module in FORKING else -SECONDS.get(module, 0)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file, to see whether something that is shared was written to."""
    found = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}
