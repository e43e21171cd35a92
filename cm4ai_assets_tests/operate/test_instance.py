"""The instance: made by one process at a time, patient, and bound to one storage."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.defs import instance as opening
from cm4ai_assets.defs.binding import bind, require_bound
from cm4ai_assets.defs.home import prepare_home
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.defs.updates.sensor import build_release_sensor
from cm4ai_assets.errors import ConfigurationError, RunError
from cm4ai_assets.platform import Platform
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.identity import storage_id
from cm4ai_assets.storage.store import Store

OPENS = """
import sys
from pathlib import Path
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.storage.store import Store
print("ready", flush=True)
sys.stdin.readline()
with open_instance(Store(sys.argv[1], scratch=Path(sys.argv[1])), tell=lambda message: None) as instance:
    print(instance.get_runs_count())
"""
HOLDS = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_two_first_commands_at_once_leave_a_usable_instance(home: Path, store: Store) -> None:
    words = [sys.executable, "-c", OPENS, store.url]
    both = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    for database in home.glob("*/*.db"):
        with sqlite3.connect(database) as connection:
            assert len(connection.execute("SELECT * FROM alembic_version").fetchall()) == 1, database
    with open_instance(store) as instance:
        assert instance.get_runs_count() == 0


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_home_that_is_a_file_is_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(taken if kind == "file" else taken / "home"))
    with pytest.raises(ConfigurationError, match=r"DAGSTER_HOME=.*cannot be used"):
        prepare_home()


def test_a_tilde_that_no_shell_expanded_is_the_home_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "~/x")
    assert prepare_home() == tmp_path / "x"
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "x")


def _hold(home: Path, seconds: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLDS, str(home / "history" / "runs.db"), str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_database_that_another_process_holds_is_waited_for_with_a_message(home: Path, store: Store) -> None:
    with open_instance(store):
        pass
    process, messages = _hold(home, 3), list[str]()
    with open_instance(store, tell=messages.append) as instance:
        assert instance.get_runs_count() == 0
    process.wait()
    assert len(messages) == 1
    assert "runs.db" in messages[0]


def test_and_not_for_ever(home: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_instance(store):
        pass
    monkeypatch.setattr(opening, "PATIENCE", 1.0)
    process, started = _hold(home, 30), time.monotonic()
    with pytest.raises(RunError, match=r"has held .*runs\.db") as raised, open_instance(store):
        pytest.fail("it was held")
    process.kill()
    process.wait()
    assert time.monotonic() - started < 20
    assert "fuser" in str(raised.value)


def test_sqlite_is_as_patient_later_on(home: Path, store: Store) -> None:
    with open_instance(store) as instance, instance.run_storage.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == opening.PATIENCE * 1000


def test_an_instance_belongs_to_the_storage_that_it_was_first_used_with(
    home: Path, tmp_path: Path, store: Store
) -> None:
    with open_instance(store) as instance:
        require_bound(instance, store)
    assert storage_id(store) is not None
    other = Store(str(tmp_path / "other"), scratch=tmp_path / "scratch")
    with pytest.raises(ConfigurationError, match="belongs to the storage") as raised, open_instance(other):
        pytest.fail("it is bound to another one")
    assert "Set CM4AI_STORAGE to that one, or DAGSTER_HOME" in str(raised.value)
    with dg.DagsterInstance.from_config(str(home)) as instance, pytest.raises(ConfigurationError):
        require_bound(instance, other)


def test_a_storage_that_was_moved_is_still_the_same(tmp_path: Path, store: Store) -> None:
    bind(tmp_path, store)
    Path(store.root).rename(tmp_path / "moved")
    bind(tmp_path, Store(str(tmp_path / "moved"), scratch=tmp_path / "scratch"))


def test_an_instance_without_a_folder_is_bound_to_none(store: Store) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        require_bound(instance, store)


def test_a_daemon_over_another_storage_registers_nothing(home: Path, tmp_path: Path, store: Store) -> None:
    with open_instance(store):
        pass
    other = Platform(Settings(storage=str(tmp_path / "other"), scratch=tmp_path / "scratch"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        found = build_release_sensor()(dg.build_sensor_context(instance=instance, resources={"platform": other}))
    assert "belongs to the storage" in str(found.skip_reason)
    assert not (tmp_path / "other").exists()
