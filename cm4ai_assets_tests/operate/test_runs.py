"""Runs beside each other and after each other: dead ones end, living ones are waited for, one Ctrl-C stops all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs.dead_runs import Waiting, alive, end_dead_runs, recorded
from cm4ai_assets.defs.executor import in_process
from cm4ai_assets.defs.housekeeping import dead_runs
from cm4ai_assets.defs.launching import Outcome, materialize
from cm4ai_assets.defs.partitions import RELEASE, condition_releases
from cm4ai_assets.errors import RunError

KEY = "2026-06-v2.0"
PROJECT = Path(__file__).resolve().parents[2]
DIES = """
import os, signal, sys
import dagster as dg
from cm4ai_assets.defs.launching import materialize

@dg.asset(pool="dataverse")
def pulled() -> None:
    print("working", flush=True)
    sys.stdin.readline()

instance = dg.DagsterInstance.from_config(sys.argv[1])
list(materialize(dg.Definitions(assets=[pulled]), instance, release="2026-06-v2.0", conditions=["untreated"]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


@dg.asset(pool="dataverse")
def pulled() -> None:
    """One that needs the pool."""


def _asked() -> dg.JobDefinition:
    return dg.Definitions(assets=[pulled]).resolve_implicit_global_asset_job_def()


def _pull(instance: dg.DagsterInstance, waiting: Waiting) -> Outcome:
    defs = dg.Definitions(assets=[pulled])
    (outcome,) = materialize(defs, instance, release=KEY, conditions=["untreated"], wait=waiting)
    return outcome


@pytest.fixture
def other(home: Path, instance: dg.DagsterInstance) -> Iterator[subprocess.Popen[str]]:
    """A run in another process that holds the pool until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, str(home)], cwd=PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    yield process
    process.kill()
    process.wait()


def test_a_killed_run_is_ended_and_its_pool_slot_is_free(
    other: subprocess.Popen[str], instance: dg.DagsterInstance
) -> None:
    (run,) = instance.get_runs()
    other.kill()
    other.wait()
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED
    assert end_dead_runs(instance) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.get_concurrency_run_ids() == set()
    assert _pull(instance, Waiting(limit=0.0)).succeeded
    assert end_dead_runs(instance) == []


def test_a_living_run_is_left_alone_and_waited_for_with_a_message_and_a_limit(
    other: subprocess.Popen[str], instance: dg.DagsterInstance
) -> None:
    (run,) = instance.get_runs()
    assert end_dead_runs(instance) == []
    messages: list[str] = []
    with pytest.raises(RunError, match=f"Run {run.run_id} still uses the pool dataverse"):
        _pull(instance, Waiting(limit=0.5, every=0.1, tell=messages.append))
    assert len(messages) == 1
    assert run.run_id in messages[0]
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED


def test_a_run_that_dies_while_it_is_waited_for_is_waited_for_no_longer(
    other: subprocess.Popen[str], instance: dg.DagsterInstance
) -> None:
    def kill(_message: str) -> None:
        other.kill()
        other.wait()

    assert _pull(instance, Waiting(limit=60.0, every=0.1, tell=kill)).succeeded


def test_slots_of_runs_that_have_ended_are_freed(instance: dg.DagsterInstance) -> None:
    assert _pull(instance, Waiting()).succeeded
    (run,) = instance.get_runs()
    instance.event_log_storage.claim_concurrency_slot("dataverse", run.run_id, "pulled")
    assert instance.event_log_storage.get_concurrency_run_ids() == {run.run_id}
    end_dead_runs(instance)
    assert instance.event_log_storage.get_concurrency_run_ids() == set()


def test_a_run_that_was_being_cancelled_when_it_died_is_cancelled(instance: dg.DagsterInstance, home: Path) -> None:
    run = instance.create_run_for_job(_asked())
    instance.report_run_canceling(run)
    with alive(instance, run.run_id):
        assert end_dead_runs(instance) == []
    (home / "processes" / run.run_id).touch()
    assert end_dead_runs(instance) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED


LOOKED: list[tuple[bool, list[str]]] = []


@dg.asset
def watched(context) -> None:  # noqa: ANN001 - Dagster reads the annotation itself
    """One that looks at its own run from outside."""
    locks = Path(context.instance.root_directory) / "processes"
    LOOKED.append(((locks / context.run.run_id).exists(), end_dead_runs(context.instance)))


def watched_job() -> dg.JobDefinition:
    made = dg.Definitions(assets=[watched], jobs=[dg.define_asset_job("look")], executor=in_process)
    return made.resolve_job_def("look")


def test_a_run_of_the_daemon_can_be_seen_to_be_alive_too(instance: dg.DagsterInstance, home: Path) -> None:
    LOOKED.clear()
    with dg.execute_job(dg.reconstructable(watched_job), instance=instance) as result:
        assert result.success
    assert LOOKED == [(True, [])]
    assert list((home / "processes").iterdir()) == []


def test_a_run_that_broke_off_out_of_dagsters_sight_is_recorded_as_failed_and_the_error_goes_on(
    instance: dg.DagsterInstance,
) -> None:
    run = instance.create_run_for_job(_asked(), status=dg.DagsterRunStatus.STARTED)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"), recorded(instance, run.run_id):
        raise sqlite3.OperationalError("database or disk is full")
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    (failure,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "Free some space" in str(failure.dagster_event)


def test_without_a_database_nobody_waits_for_a_record_that_cannot_be_written(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    run = instance.create_run_for_job(_asked(), status=dg.DagsterRunStatus.STARTED)
    tries: list[float] = []
    monkeypatch.setattr(time, "sleep", tries.append)
    monkeypatch.setattr(instance, "report_run_failed", full)
    with pytest.raises(ValueError, match="no"), recorded(instance, run.run_id):
        raise ValueError("no")
    assert tries == []
    assert f"The end of run {run.run_id} could not be recorded" in caplog.text
    assert "disk is full" in caplog.text


def test_what_has_ended_stays_as_it_ended(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(_asked(), status=dg.DagsterRunStatus.SUCCESS)
    with pytest.raises(ValueError, match="no"), recorded(instance, run.run_id):
        raise ValueError("no")
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.SUCCESS


def test_the_daemon_ends_the_records_of_dead_runs(other: subprocess.Popen[str], instance: dg.DagsterInstance) -> None:
    context = dg.build_sensor_context(instance=instance)
    assert "alive" in str(dead_runs(context).skip_message)
    other.kill()
    other.wait()
    (run,) = instance.get_runs()
    assert run.run_id in str(dead_runs(context).skip_message)
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


def test_every_job_is_executed_by_that_executor_and_every_minute_the_daemon_looks() -> None:
    assert defs.executor is in_process
    sensor = defs.resolve_sensor_def("dead_runs")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 60


def test_one_interrupt_stops_the_run_and_starts_no_other() -> None:
    started: list[str] = []

    @dg.asset(partitions_def=condition_releases)
    def interrupted() -> None:
        started.append("one")
        os.kill(os.getpid(), signal.SIGINT)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(RELEASE, [KEY])
        outcomes: list[Outcome] = []
        with pytest.raises(KeyboardInterrupt):
            outcomes.extend(
                materialize(
                    dg.Definitions(assets=[interrupted]), instance, release=KEY, conditions=[str(c) for c in CONDITIONS]
                )
            )
    assert len(started) == 1
