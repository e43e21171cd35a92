"""Runs on Celery workers of separate processes, over real PostgreSQL and Redis servers, whatever happens to them."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._daemon.monitoring.run_monitoring import monitor_started_run, monitor_starting_run

from cm4ai_assets import definitions
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.coordination import machines
from cm4ai_assets.defs.dead_runs import end_dead_runs
from cm4ai_assets.defs.instance import open_instance, sync_partitions
from cm4ai_assets.defs.launching import materialize
from cm4ai_assets.defs.waiting import takers, withdraw
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.settings import PROJECT, Settings, service_variables
from cm4ai_assets_tests.operate.sections import acts
from cm4ai_assets_tests.processes import end_group
from cm4ai_assets_tests.servers import postgres, redis
from cm4ai_assets_tests.servers.postgres import PostgresServer
from cm4ai_assets_tests.servers.redis import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("dagster_celery", reason="Celery is not installed (extra: celery)")

RELEASE, OTHER, THIRD = "2026-06-v2.0", "2025-03-v1.0", "2024-05-v1.0"
IMAGES = ("if_archive", "if_images", "if_antibodies", "if_fields", "if_quality", "if_tensors")
(WORKER,) = (act for act in acts("machines-away") if act.startswith("python "))
DOMAIN = ReconstructableRepository(ModuleCodePointer("cm4ai_assets.definitions", "defs", str(PROJECT)))


@dataclass
class Deployment:
    """An archive, the two servers, an instance, and workers."""

    folder: Path
    archive: SandboxServer
    redis: RedisServer
    instance: dg.DagsterInstance
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        words = [sys.executable, *shlex.split(WORKER)[1:], "--name", name]
        with self.log(name).open("ab") as log:
            self.workers[name] = subprocess.Popen(words, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait_for_workers(self) -> None:
        until(lambda: len(takers(self.launcher.celery, "runs")) == len(self.workers), 120)

    @property
    def launcher(self) -> Any:
        return self.instance.run_launcher

    def create(self, job: str, partition: str, *assets: str, **tags: str) -> str:
        made = definitions.defs.resolve_job_def(job)
        selection = frozenset(map(dg.AssetKey, assets))
        run = self.instance.create_run_for_job(
            made.get_subset(asset_selection=selection) if assets else made,
            asset_selection=selection or None, job_code_origin=DOMAIN.get_reconstructable_job(job).get_python_origin(),
            tags={**made.tags, "dagster/partition": partition, **tags},
        )  # fmt: skip
        return run.run_id

    def launch(self, job: str, partition: str, *assets: str, **tags: str) -> str:
        run_id = self.create(job, partition, *assets, **tags)
        self.instance.launch_run(run_id, None)  # type: ignore[arg-type]
        return run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def where(self, run_id: str) -> str | None:
        """Where a run is that has not started."""
        found: str | None = self.launcher.get_run_worker_debug_info(self.run(run_id))
        return found

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        until(lambda: self.run(run_id).is_finished, 240)
        return self.run(run_id).status

    def messages(self, run_id: str) -> str:
        return "\n".join(f"{record.message} {record.user_message}" for record in self.instance.all_logs(run_id))

    def monitored(self, run_id: str, how: Callable[..., None]) -> dg.DagsterRun:
        """A run after the daemon has looked at it."""
        record = self.instance.get_run_record_by_id(run_id)
        arguments = (record,) if how is monitor_starting_run else (None, record)
        how(self.instance, *arguments, dg.get_dagster_logger())
        return self.run(run_id)

    def child(self, run_id: str) -> int:
        """The process of a run."""
        events = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        found = [e.dagster_event.engine_event_data.metadata["pid"].value for e in events
                 if e.dagster_event and "pid" in e.dagster_event.engine_event_data.metadata]  # fmt: skip
        return int(str(found[-1]))


def until(holds: Callable[[], bool], seconds: float) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, "not within the time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def deployment(
    sandbox: Path, postgres_server: PostgresServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("workers")
    with SandboxServer(sandbox) as archive, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **service_variables(archive.url), "DAGSTER_HOME": str(folder / "home"), "CM4AI_TENSOR_SIZE": "256",
            "CM4AI_STORAGE": str(folder / "storage"), "CM4AI_SCRATCH": str(folder / "scratch"),
            "CM4AI_DATABASE": postgres_server.new_database(), "CM4AI_BROKER": redis_server.url, "CM4AI_RUNS": "2",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        platform = Platform()
        with open_instance(platform.store) as instance:
            made = Deployment(folder, archive, redis_server, instance)
            try:
                for name in ("one", "two"):
                    made.start(name)
                with platform.archive() as client:
                    platform.registry.register(client.releases(platform.settings.collection))
                sync_partitions(instance, platform.registry)
                made.wait_for_workers()
                yield made
            finally:
                for process in made.workers.values():
                    end_group(process)
                    process.wait()


@contextmanager
def held(archive: SandboxServer, path: str) -> Iterator[threading.Event]:
    """The archive sends half of what is asked for at a path, and then nothing while this lasts; set once it has."""
    reached, over = threading.Event(), threading.Event()

    def fault(request: Request) -> Answer | None:
        if path not in request.path or over.is_set():
            return None
        answer = archive.answer(request)
        answer.body = halves(b"".join(answer.body))
        return answer

    def halves(body: bytes) -> Iterator[bytes]:
        yield body[: len(body) // 2]
        reached.set()
        over.wait(300)
        yield body[len(body) // 2 :]

    archive.faults.append(fault)
    try:
        yield reached
    finally:
        over.set()
        archive.faults.remove(fault)


def published(storage: Path) -> dict[str, str]:
    """The digest of every file of the tables and tensors."""
    files = (path for kind in ("tables", "tensors") for path in (storage / kind).rglob("*") if path.is_file())
    return {path.relative_to(storage).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_workers_make_what_one_process_makes(deployment: Deployment, tmp_path: Path) -> None:
    storage = deployment.folder / "storage"
    assert deployment.ended(deployment.launch("release_lock", RELEASE, "release_files")) is dg.DagsterRunStatus.SUCCESS
    deployment.archive.clear_log()
    with held(deployment.archive, "/access/datafile/") as reached:
        killed = deployment.launch("images", f"untreated|{RELEASE}", *IMAGES)
        assert reached.wait(120)
        os.kill(deployment.child(killed), signal.SIGKILL)
        until(lambda: deployment.launcher.celery.AsyncResult(task(deployment, killed)).state == "FAILURE", 60)
    assert deployment.monitored(killed, monitor_started_run).status is dg.DagsterRunStatus.FAILURE
    assert "signal 9 (SIGKILL)" in deployment.messages(killed)
    end_dead_runs(deployment.instance)  # as the daemon does every minute: the pool slot of the killed run is free again
    assert not (storage / "tables" / "if_archive").exists()
    runs = [deployment.launch("images", f"{condition}|{RELEASE}", *IMAGES) for condition in CONDITIONS]
    waiting = [run for run in runs if "whose workers are busy" in (deployment.where(run) or "")]
    assert len(waiting) == 1, "no worker takes a run that it has no process for"
    assert {deployment.ended(run) for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert all("Task execute_job" in deployment.log(name).read_text() for name in ("one", "two"))
    assert list(storage.glob(".staging/*")) == []
    fetched = [one for one in deployment.archive.log if "/access/datafile/" in one.path]
    sizes = {one.path: one for one in fetched if not one.headers.get("range")}
    assert len(sizes) == len(fetched) - 1 == 3, "each file once, and the killed one went on from where it was"
    apart = Platform(
        Settings.served_by(deployment.archive.url, storage=str(tmp_path / "s"), scratch=tmp_path / "x", tensor_size=256)
    )
    with apart.archive() as client:
        apart.registry.register(client.releases(apart.settings.collection))
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, apart.registry)
        selection = " or ".join(f"key:{name}" for name in ("release_files", *IMAGES))
        made = materialize(
            definitions.build(apart), instance, release=RELEASE, conditions=list(map(str, CONDITIONS)),
            selection=selection,
        )  # fmt: skip
        assert all(outcome.succeeded for outcome in made)
    expected = published(tmp_path / "s")
    assert len(expected) > 3 * len(IMAGES)
    assert published(storage) == expected


def task(deployment: Deployment, run_id: str) -> str:
    return deployment.run(run_id).tags["dagster-celery/task_id"]


def test_a_run_that_no_worker_takes_says_so_at_once_and_when_its_time_is_over(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = deployment.launch("release_lock", RELEASE, **{"dagster-celery/queue": "nobody"})
    assert "no worker takes runs from there. Start one: `python -m cm4ai_assets.worker --queue nobody`" in (
        deployment.messages(run)
    )
    monkeypatch.setattr(dg.DagsterInstance, "run_monitoring_start_timeout_seconds", 0)
    assert deployment.monitored(run, monitor_starting_run).status is dg.DagsterRunStatus.FAILURE
    assert deployment.messages(run).count("waits in the queue `nobody`, and no worker takes runs") == 2


def test_a_run_that_waits_is_cancelled_at_once_and_no_worker_will_take_it(deployment: Deployment) -> None:
    run = deployment.launch("release_lock", RELEASE, **{"dagster-celery/queue": "nobody"})
    assert deployment.launcher.terminate(run)
    assert deployment.run(run).status is dg.DagsterRunStatus.CANCELED
    assert not withdraw(deployment.launcher.celery, task(deployment, run), "nobody")
    assert not deployment.launcher.terminate(run)


def test_a_run_that_works_is_cancelled_in_order(deployment: Deployment) -> None:
    with held(deployment.archive, "/versions/") as reached:
        run = deployment.launch("release_lock", OTHER, "release_files")
        assert reached.wait(60)
        assert deployment.launcher.terminate(run)
        assert deployment.ended(run) is dg.DagsterRunStatus.CANCELED
    assert not deployment.instance.event_log_storage.get_concurrency_run_ids()


def test_when_redis_is_emptied_waiting_runs_fail_with_the_cause_and_working_ones_go_on(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dg.DagsterInstance, "run_monitoring_start_timeout_seconds", 0)
    with held(deployment.archive, "/versions/") as reached:
        working = deployment.launch("release_lock", OTHER, "release_files")
        assert reached.wait(60)
        waiting = deployment.launch("release_lock", OTHER, "release_files", **{"dagster-celery/queue": "nobody"})
        deployment.redis.client().flushall()
        assert deployment.monitored(working, monitor_started_run).status is dg.DagsterRunStatus.STARTED
        assert deployment.monitored(waiting, monitor_starting_run).status is dg.DagsterRunStatus.FAILURE
        assert "Redis was emptied or restarted" in deployment.messages(waiting)
    assert deployment.ended(working) is dg.DagsterRunStatus.SUCCESS
    assert deployment.ended(deployment.launch("release_lock", OTHER, "release_files")) is dg.DagsterRunStatus.SUCCESS


def test_when_redis_restarts_launching_waits_for_it_and_workers_come_back(deployment: Deployment) -> None:
    deployment.redis.stop()
    timer = threading.Timer(2.0, deployment.redis.start)
    timer.start()
    run = deployment.launch("release_lock", OTHER, "release_files")
    timer.join()
    assert deployment.ended(run) is dg.DagsterRunStatus.SUCCESS


def test_a_worker_that_is_lost_with_its_run_is_found_by_the_mark_of_the_run(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines(), "_grace", 0.0)
    with held(deployment.archive, "/versions/") as reached:
        run = deployment.launch("release_lock", THIRD, "release_files")
        assert reached.wait(60)
        assert end_dead_runs(deployment.instance) == []
        (lost,) = [name for name in deployment.workers if task(deployment, run) in deployment.log(name).read_text()]
        end_group(deployment.workers[lost])
        until(lambda: end_dead_runs(deployment.instance) == [run], 30)
    assert deployment.run(run).status is dg.DagsterRunStatus.FAILURE
    assert not (deployment.folder / "storage" / "tables" / "release_files" / f"release={THIRD}").exists()
    assert deployment.ended(deployment.launch("release_lock", THIRD, "release_files")) is dg.DagsterRunStatus.SUCCESS


def test_no_file_log_or_record_shows_a_password(deployment: Deployment) -> None:
    written = [path.read_text(errors="replace") for path in deployment.folder.glob("*.log")]
    written += [path.read_text(errors="replace") for path in (deployment.folder / "home").rglob("*") if path.is_file()]
    written += [deployment.messages(run.run_id) for run in deployment.instance.get_runs()]
    written += [deployment.instance.info_str(), repr(deployment.launcher), repr(deployment.launcher.inst_data)]
    assert not [text for text in written if redis.PASSWORD in text or postgres.PASSWORD in text]
