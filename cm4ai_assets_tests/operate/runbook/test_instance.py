"""The instance and its settings: of another storage, malformed, held by another process, lost."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from cm4ai_assets import cli
from cm4ai_assets.defs import instance as opening
from cm4ai_assets_tests.operate.runbook.operating import MAKE, Operator
from cm4ai_assets_tests.processes import free_port
from cm4ai_assets_tests.servers.postgres import PASSWORD, PostgresServer


@pytest.mark.mends("wrong-storage")
def test_wrong_storage(operator: Operator) -> None:
    shutil.copytree(operator.storage, operator.folder / "other")
    (operator.folder / "other" / "registry" / "storage.json").unlink()
    operator.patch.setenv("CM4AI_STORAGE", str(operator.folder / "other"))
    message = operator.fails(status=cli.WRONG_USE)
    operator.section.sees(message, "The Dagster instance … belongs to the storage …")
    assert "Set CM4AI_STORAGE to that one, or DAGSTER_HOME" in message
    operator.follows()
    operator.succeeds("cm4ai releases")
    operator.patch.setenv("CM4AI_STORAGE", str(operator.storage))
    operator.patch.setenv("DAGSTER_HOME", str(operator.home))
    operator.succeeds(MAKE)


@pytest.mark.mends("instance-lost")
def test_instance_lost(operator: Operator) -> None:
    for path in operator.home.rglob("*.db"):
        path.write_bytes(b"this was a database " * 500)
    operator.section.sees(operator.fails(), "file is not a database")
    operator.follows()
    assert "0 tables recorded" in operator.succeeds("cm4ai rebuild")
    assert (operator.folder / "home.damaged").is_dir()


@pytest.mark.mends("settings")
def test_settings(operator: Operator) -> None:
    """The line says what a setting should be; a limit of the shell is raised there."""
    operator.patch.setenv("CM4AI_TENSOR_SIZE", "large")
    message = operator.fails(status=cli.WRONG_USE)
    operator.section.sees(message, "CM4AI_… is not …")
    assert "CM4AI_TENSOR_SIZE='large'" in message
    operator.patch.setenv("CM4AI_TENSOR_SIZE", re.search(r"Set it to (\d+)", message)[1])
    operator.succeeds(MAKE)
    script = f"{sys.executable} -m cm4ai_assets.cli releases"
    few = operator.shell(f"ulimit -n 6; {script}")
    assert "Too many open files" in few.stderr
    assert "See docs/runbook.md#settings" in few.stderr
    assert "withdraw" not in few.stderr  # nothing stored is damaged
    raised = operator.shell(f"ulimit -S -n 6; {operator.section.does('ulimit -n 4096')}; {script}")
    assert raised.returncode == cli.DONE, raised.stderr


@pytest.mark.mends("database-locked")
def test_database_locked(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PATIENCE", 1.0)
    holds = (
        "import sqlite3, sys; held = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "held.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", holds, str(operator.home / "history" / "runs.db")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        operator.section.sees(operator.fails(), "database is locked")
        other.kill()
    operator.succeeds(MAKE)
    operator.section.leaves("DAGSTER_HOME", "SQLite's own rule; there is no network file system here")


@pytest.mark.mends("database-away")
def test_database_away(operator: Operator, postgres_server: PostgresServer) -> None:
    """Two machines, each with a home of its own, over a server that is stopped and started again."""
    operator.patch.setenv("CM4AI_DATABASE", postgres_server.new_database())
    homes = [str(operator.folder / name) for name in ("one-machine", "another-machine")]
    for home in homes:
        operator.patch.setenv("DAGSTER_HOME", home)
        operator.succeeds("cm4ai releases --register")
    postgres_server.stop()
    try:
        message = operator.fails()
    finally:
        postgres_server.start()
    operator.section.sees(message, "The database … cannot be used")
    assert PASSWORD not in message
    for home in homes:
        operator.patch.setenv("DAGSTER_HOME", home)
        operator.follows()


@pytest.mark.mends("machines-away")
def test_machines_away(operator: Operator) -> None:
    operator.makes = "if_tensors"
    pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")
    operator.patch.setenv("CM4AI_EXECUTOR", f"tcp://127.0.0.1:{free_port()}")
    operator.section.sees(operator.fails(), "The Dask scheduler … does not answer")
    operator.unsets("CM4AI_EXECUTOR")
    operator.follows()
    operator.section.leaves("python -m cm4ai_assets.worker", "operate.test_workers starts its workers by this line")
