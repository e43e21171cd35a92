"""The event log keeps its connections: what it writes is Dagster's own, others read it at once, few files stay open."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from alembic.util import pyfiles
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.api import execute_run
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import event
from sqlalchemy.engine import Engine

from cm4ai_assets.defs import instance as opening
from cm4ai_assets.defs import kept_events
from cm4ai_assets.defs.executor import in_process
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.defs.kept_events import KeptEventLog
from cm4ai_assets.storage.store import Store


@dg.asset
def made() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 3})


@pytest.fixture
def instance(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with open_instance(store) as opened:
        yield opened


def events(log: SqliteEventLogStorage, run_id: str) -> list[EventLogEntry]:
    return list(log.get_logs_for_run(run_id))


def test_another_process_reads_at_once_what_was_written(instance: dg.DagsterInstance) -> None:
    log = instance.event_log_storage
    assert isinstance(log, KeptEventLog)
    run = dg.materialize([made], instance=instance)
    plain = SqliteEventLogStorage(log._base_dir)
    plain.register_instance(instance)
    assert events(plain, run.run_id) == events(log, run.run_id) != []
    (record,) = plain.get_asset_records([dg.AssetKey("made")])
    assert record.asset_entry.last_run_id == run.run_id


def test_a_connection_is_opened_once(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    dg.materialize([made], instance=instance)
    log = instance.event_log_storage._base_dir
    opened: list[str] = []
    connect = sqlite3.dbapi2.connect

    def counted(path: str, **words: object) -> sqlite3.Connection:
        opened.append(str(path))
        return connect(path, **words)

    monkeypatch.setattr("sqlite3.dbapi2.connect", counted)
    monkeypatch.setattr("sqlite3.connect", counted)
    assert dg.materialize([made], instance=instance).success
    of_log = [path for path in opened if path.startswith(f"{log}/")]
    assert len(of_log) <= 4, of_log  # Dagster's own opens some 50


def test_a_table_that_comes_is_seen_and_one_that_is_there_is_not_asked_for_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = instance.event_log_storage
    assert not log.has_table("of_tomorrow")
    with log.index_connection() as connection:
        connection.exec_driver_sql("create table of_tomorrow (id integer)")
    assert log.has_table("of_tomorrow")
    asked: list[str] = []
    monkeypatch.setattr(SqliteEventLogStorage, "has_table", lambda _, name: asked.append(name))
    assert log.has_table("of_tomorrow")
    assert asked == []
    with log.index_connection():  # Dagster asks while it writes
        assert not log.has_table("of_the_day_after")
    assert asked == ["of_the_day_after"]


def test_few_files_stay_open_and_none_after_it_is_closed(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(kept_events, "_KEPT", 2)
    with open_instance(store) as instance:
        log = instance.event_log_storage
        runs = [dg.materialize([made], instance=instance).run_id for _ in range(3)]
        assert len(log._engines) == 2
        assert all(events(log, run) for run in runs)  # closed in between, and opened again
        folder = Path(log._base_dir)
    assert not log._engines
    assert list(folder.glob("*.db"))
    assert not [*folder.glob("*-wal")]  # the journals are written back: the files can be copied


def test_a_run_that_dagster_starts_keeps_them_too(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with open_instance(store):
        pass
    job = dg.Definitions(assets=[made], executor=in_process).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.get() as instance:  # as `dagster api execute_run` does
        run = instance.create_run_for_job(job)
        assert execute_run(InMemoryJob(job), run, instance).success
        assert isinstance(instance.event_log_storage, KeptEventLog)
        assert {"PIPELINE_START", "ASSET_MATERIALIZATION", "PIPELINE_SUCCESS"} <= {
            entry.dagster_event_type.value for entry in events(instance.event_log_storage, run.run_id)
            if entry.dagster_event_type
        }  # fmt: skip


def test_the_migrations_are_read_once_by_a_process(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = pyfiles.load_module_py

    def counted(name: str, path: str) -> object:
        read.append(path)
        return load(name, path)

    with dg.DagsterInstance.ephemeral():
        pass
    monkeypatch.setattr(pyfiles, "load_module_py", counted)
    with dg.DagsterInstance.ephemeral() as instance:
        assert instance.get_runs() == []
    assert [path for path in read if "versions" in Path(path).parts] == []
    kept_events._migrations.clear()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with open_instance(store) as instance:  # with a database each for runs, events and schedules
        assert instance.get_runs() == []
    again = [path for path in read if "versions" in Path(path).parts]
    assert len(again) == len(set(again)) > 0


def test_the_files_that_were_used_last_stay_open_and_the_others_are_closed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_events, "_KEPT", 2)
    log = instance.event_log_storage
    assert isinstance(log, KeptEventLog)
    for shard in ("one", "two", "one", "three"):
        with log._connect(shard):
            pass
        assert list(log._engines)[-1] == shard
    assert list(log._engines) == ["one", "three"]
    assert {path.stem for path in open_files(Path(log._base_dir))} == {"one", "three"}


def open_files(folder: Path) -> list[Path]:
    """The databases of a folder that this process has open."""
    found = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return [path for path in found if path.parent == folder and path.suffix == ".db"]


def test_threads_take_turns(instance: dg.DagsterInstance) -> None:
    log = instance.event_log_storage
    assert isinstance(log, KeptEventLog)

    def second() -> None:
        with log._connect("index"):
            pass

    waiting = threading.Thread(target=second)
    with log._connect("index"):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive(), "a connection is used by one thread at a time"
    waiting.join(30)
    assert not waiting.is_alive()


def test_another_process_is_waited_for_in_a_run_of_the_daemon_too(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, KeptEventLog)
    event.remove(Engine, "connect", opening._be_patient)  # a run that the daemon starts does not import it
    try:
        log = KeptEventLog(instance.event_log_storage._base_dir)
        with log.index_connection() as connection:
            patience = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
        log.dispose()
    finally:
        event.listen(Engine, "connect", opening._be_patient)
    assert patience == SQLITE_BUSY_TIMEOUT_SECONDS * 1000 > 0


def test_only_dagsters_own_log_in_files_is_replaced_and_once(instance: dg.DagsterInstance) -> None:
    kept = instance.event_log_storage
    kept_events.keep_connections(instance)
    assert instance.event_log_storage is kept
    assert kept.has_instance, "it knows whose it is"
    with dg.DagsterInstance.ephemeral() as other:
        own = other.event_log_storage
        kept_events.keep_connections(other)
        assert other.event_log_storage is own
