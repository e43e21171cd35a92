"""The instance in a database: configured by one setting, made by one of several, bound to one storage for all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
import yaml
from dagster_postgres.utils import retry_pg_connection_fn

from cm4ai_assets import daemon, ui
from cm4ai_assets.causes import of_exception
from cm4ai_assets.coordination import Postgres
from cm4ai_assets.defs import broker
from cm4ai_assets.defs.binding import require_bound
from cm4ai_assets.defs.dead_runs import alive, end_dead_runs
from cm4ai_assets.defs.home import describe, prepare_home
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.defs.launching import materialize
from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.errors import ConfigurationError, DatabaseError
from cm4ai_assets.settings import PROJECT
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.operate.test_instance import OPENS
from cm4ai_assets_tests.servers import redis
from cm4ai_assets_tests.servers.postgres import PASSWORD, PostgresServer

KEY = "2026-06-v2.0"
LAUNCHER = {"module": "cm4ai_assets.defs.workers", "class": "WorkerLauncher", "config": {}}
STORAGE = {"custom": {"module": "cm4ai_assets.defs.database", "class": "InstanceDatabase", "config": {}}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    for name in ("CM4AI_DATABASE", "CM4AI_BROKER", "CM4AI_RUNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def url(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CM4AI_DATABASE", database)
    return database


# --- dagster.yaml


def test_without_the_setting_the_file_is_a_link_to_the_projects_own(home: Path) -> None:
    prepare_home()
    assert (home / "dagster.yaml").samefile(PROJECT / "dagster.yaml")
    assert (home / "dagster.yaml").is_symlink()


def test_a_link_to_the_file_of_another_installation_is_led_to_this_one(home: Path, tmp_path: Path) -> None:
    old = tmp_path / "old/site-packages/cm4ai_assets/dagster.yaml"
    old.parent.mkdir(parents=True)
    old.write_text("telemetry: {enabled: false}\n")
    home.mkdir()
    (home / "dagster.yaml").symlink_to(old)
    prepare_home()
    assert (home / "dagster.yaml").samefile(PROJECT / "dagster.yaml")
    assert old.read_text() == "telemetry: {enabled: false}\n"


def test_a_link_to_an_own_file_is_kept(home: Path, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    home.mkdir()
    (home / "dagster.yaml").symlink_to(tmp_path / "dagster.yaml")
    prepare_home()
    assert (home / "dagster.yaml").samefile(tmp_path / "dagster.yaml")


def test_with_it_the_file_is_the_projects_own_and_the_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_home()
    monkeypatch.setenv("CM4AI_DATABASE", f"postgresql://me:{PASSWORD}@db/cm4ai")
    for _ in range(2):
        prepare_home()
        text = (home / "dagster.yaml").read_text()
        assert yaml.safe_load(text) == {**yaml.safe_load((PROJECT / "dagster.yaml").read_text()), "storage": STORAGE}
        assert PASSWORD not in text
    assert "storage" not in (PROJECT / "dagster.yaml").read_text()
    monkeypatch.delenv("CM4AI_DATABASE")
    prepare_home()
    assert (home / "dagster.yaml").samefile(PROJECT / "dagster.yaml")
    assert [path.name for path in home.iterdir()] == ["dagster.yaml"]


def test_with_a_broker_runs_go_to_workers_and_no_address_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CM4AI_DATABASE", f"postgresql://me:{PASSWORD}@db/cm4ai")
    monkeypatch.setenv("CM4AI_BROKER", f"redis://:{redis.PASSWORD}@queue")
    monkeypatch.setenv("CM4AI_RUNS", "7")
    prepare_home()
    own, made = (yaml.safe_load((folder / "dagster.yaml").read_text()) for folder in (PROJECT, home))
    assert made["run_launcher"] == LAUNCHER
    assert made["concurrency"]["runs"].pop("max_concurrent_runs") == 7
    assert own["concurrency"]["runs"].pop("max_concurrent_runs") == 2
    assert made == {**own, "storage": STORAGE, "run_launcher": LAUNCHER}
    assert "queue" not in (home / "dagster.yaml").read_text()


@pytest.mark.parametrize("missing", ["dagster_celery", "redis"])
def test_without_celery_the_remedy_is_to_install_it(missing: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CM4AI_DATABASE", "postgresql://me@db/cm4ai")
    monkeypatch.setenv("CM4AI_BROKER", "redis://queue")
    monkeypatch.setattr(broker, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(ConfigurationError, match=rf"{missing} is not installed.*\[celery\]'`"):
        prepare_home()


def test_an_own_file_has_to_say_how_many_runs_work_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "dagster.yaml").write_text("concurrency: {runs: {max_concurrent_runs: 3}}\n")
    monkeypatch.setenv("CM4AI_RUNS", "3")
    prepare_home()
    monkeypatch.setenv("CM4AI_RUNS", "4")
    with pytest.raises(ConfigurationError, match=r"`concurrency: {runs: {max_concurrent_runs: 4}}`"):
        prepare_home()


@pytest.mark.parametrize("own", ["telemetry: {enabled: false}\n", "storage: {sqlite: {base_dir: /x}}\n", ""])
def test_an_own_file_is_never_written_and_has_to_agree(own: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    config = home / "dagster.yaml"
    config.write_text(own)
    prepare_home()
    assert config.read_text() == own
    monkeypatch.setenv("CM4AI_DATABASE", "postgresql://me@db/cm4ai")
    with pytest.raises(ConfigurationError, match="does not say what CM4AI_DATABASE asks for") as raised:
        prepare_home()
    assert config.read_text() == own
    asked = str(raised.value).split("`")[1]
    agreeing = f"{asked}\ntelemetry: {{enabled: false}}\n"
    config.write_text(agreeing)
    prepare_home()
    assert config.read_text() == agreeing


def test_without_the_libraries_the_remedy_is_to_install_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CM4AI_DATABASE", "postgresql://me@db/cm4ai")
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cm4ai_assets\[postgres\]'"):
        prepare_home()


# --- the instance


def test_two_machines_that_start_at_once_make_one_instance(tmp_path: Path, store: Store, url: str) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS, store.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "DAGSTER_HOME": str(tmp_path / name)},
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    ends = [process.communicate(input="\n", timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alembic_version")
        assert cursor.fetchone() == (1,)


def test_partitions_of_one_machine_are_seen_by_another_and_so_is_the_storage(
    home: Path, tmp_path: Path, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(store) as instance:
        instance.add_dynamic_partitions(RELEASE, ["2025-06-v2.0"])
        assert describe(instance).endswith(f"/home, in the database 127.0.0.1:{url.rsplit(':', maxsplit=1)[-1]}")
    assert list(home.rglob("*.db")) == []
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "another"))
    with open_instance(store) as instance:
        assert instance.get_dynamic_partitions(RELEASE) == ["2025-06-v2.0"]
        require_bound(instance, store)
        instance.upgrade()  # `dagster instance migrate`
        other = Store(str(tmp_path / "other"), scratch=tmp_path / "scratch")
        with pytest.raises(ConfigurationError, match="in the database of CM4AI_DATABASE belongs to the storage"):
            require_bound(instance, other)
    with pytest.raises(ConfigurationError, match="belongs to the storage"), open_instance(other):
        pytest.fail("it is bound to another one")


def test_a_run_that_another_machine_makes_is_alive_and_dead_when_it_has_not_been_seen_for_a_while(
    home: Path, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(store) as instance:
        run = instance.create_run_for_job(_job, status=dg.DagsterRunStatus.STARTED)
        with alive(instance, run.run_id):
            assert end_dead_runs(instance) == []
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO cm4ai_marks (name, key) VALUES (%s, 1)", (run.run_id,))
        assert end_dead_runs(instance) == []
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("UPDATE cm4ai_marks SET missing_since = now() - interval '61 s'")
        assert end_dead_runs(instance) == [run.run_id]
        assert end_dead_runs(instance) == []
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert ended.status is dg.DagsterRunStatus.FAILURE


@dg.job
def _job() -> None: ...


@pytest.mark.usefixtures("home")
def test_a_run_that_the_database_left_alone_is_recorded_as_failed_once_it_is_back(
    store: Store, url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_pg_connection_fn, "__defaults__", (0, 0.0))  # Dagster gives up while it is away
    back = threading.Timer(2.0, postgres_server.start)

    @dg.asset
    def made() -> None:
        postgres_server.stop()
        back.start()

    with open_instance(store) as instance:
        runs = materialize(dg.Definitions(assets=[made]), instance, release=KEY, conditions=["untreated"])
        with pytest.raises(Exception, match="connection") as caught:
            list(runs)
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.FAILURE
        (failure,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert failure.dagster_event is not None
        assert failure.dagster_event.message == f"The run broke off. {of_exception(caught.value)}"
        assert "it goes on from what is stored." in failure.dagster_event.message


def test_a_database_that_cannot_be_reached_is_one_line(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CM4AI_DATABASE", f"postgresql://me:{PASSWORD}@127.0.0.1:9/cm4ai")
    unusable = r"127\.0\.0\.1:9/cm4ai of CM4AI_DATABASE cannot be used"
    with pytest.raises(DatabaseError, match=unusable) as raised, open_instance(store):
        pytest.fail("nobody answers there")
    assert PASSWORD not in str(raised.value)


def test_an_own_file_with_the_database_and_no_setting_says_what_is_missing(home: Path, store: Store) -> None:
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump({"storage": STORAGE}))
    missing = "the database of CM4AI_DATABASE, which is not set"
    with pytest.raises(ConfigurationError, match=missing), open_instance(store):
        pytest.fail("which database?")


def test_a_second_daemon_is_refused(
    home: Path, store: Store, url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", store.url)
    monkeypatch.chdir(home.parent)  # restored: the UI works in DAGSTER_HOME
    started = []
    monkeypatch.setattr(daemon.subprocess, "Popen", lambda *words, **_: started.append(words))
    with Postgres(url).hold(["daemon"]):
        assert ui.main(["--port", "0"]) == 2
    assert (
        "Another process, here or on another machine, runs the daemon of this instance."
        in capfd.readouterr().err.replace("\n", " ")
    )
    assert started == []
