"""What Dagster's own loops do with the results of sensors and schedules that this platform relies on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time, instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from cm4ai_assets.defs.automation import automation
from cm4ai_assets_tests.contract import location

pytestmark = pytest.mark.slow
LOG = logging.getLogger("contract")
CHECK = dg.AssetCheckKey(location.LOCK, "standing")


@pytest.fixture
def workspace() -> Iterator[WorkspaceProcessContext]:
    overrides = {
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "run_launcher": {
            "module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher",
        },
    }  # fmt: skip
    target = PythonFileTarget(location.__file__, "defs", str(Path(__file__).parents[2]), "contract")
    with (
        instance_for_test(overrides=overrides) as instance,
        create_test_daemon_workspace_context(target, instance) as context,
    ):
        yield context


def runs(instance: dg.DagsterInstance) -> list[tuple[str, str, str]]:
    return [
        (run.tags.get("dagster/run_key", ""), run.tags["dagster/partition"], run.status.value)
        for run in reversed(instance.get_runs())
    ]


def test_a_sensors_partition_run_check_and_event(workspace: WorkspaceProcessContext) -> None:
    instance, minutes = workspace.instance, count()

    def tick() -> list[Any]:
        with freeze_time(datetime(2027, 1, 1, 12, next(minutes), tzinfo=UTC)):
            list(execute_sensor_iteration(workspace, LOG, threadpool_executor=None, submit_threadpool_executor=None))
        (state,) = instance.all_instigator_state(instigator_type=None)[:1]
        return list(instance.get_ticks(state.instigator_origin_id, state.selector_id))

    # A partition and the run for it, in one tick.
    assert tick()[0].status is TickStatus.SUCCESS
    assert instance.get_dynamic_partitions("release") == ["r1"]
    assert runs(instance) == [("lock#1", "r1", "SUCCESS")]
    # The same run key starts nothing again, ever.
    assert tick()[0].status is TickStatus.SKIPPED
    assert len(runs(instance)) == 1
    # A run of one check of one partition: it counts for the materialization that is there, and makes none.
    tick()
    assert runs(instance)[1:] == [("check#1", "r1", "SUCCESS")]
    assert len(instance.fetch_materializations(location.LOCK, limit=9).records) == 1
    (info,) = instance.event_log_storage.get_asset_check_partition_info([CHECK])
    assert (info.partition_key, info.latest_execution_status.value, info.is_current) == ("r1", "FAILED", True)
    # A skipped tick keeps its cursor and reports its events all the same.
    last = tick()[0]
    assert last.status is TickStatus.SKIPPED
    assert last.skip_reason == "nothing to do"
    assert last.cursor == "4"
    events = instance.fetch_materializations(dg.AssetKey("collection"), limit=9).records
    assert [e.asset_materialization.metadata["step"].value for e in events if e.asset_materialization] == [3, 2, 1, 0]


def test_one_schedule_starts_runs_of_assets_with_different_partitions(workspace: WorkspaceProcessContext) -> None:
    instance = workspace.instance
    instance.add_dynamic_partitions("release", ["r1"])
    times: dict[str, Any] = {}
    for day in ((2026, 12, 30), (2027, 1, 2, 7, 59), (2027, 1, 2, 8, 1), (2027, 1, 9)):
        now = datetime(*day, tzinfo=UTC)  # type: ignore[misc,arg-type]
        with freeze_time(now):
            list(launch_scheduled_runs(workspace, LOG, now, times))
        if day == (2027, 1, 2, 7, 59):
            assert runs(instance) == [], "03:00 in New York is 08:00 UTC in winter"
    assert sorted(runs(instance)) == [("1", "r1", "SUCCESS"), ("2", "a|r1", "SUCCESS")]


def test_automation_starts_runs_and_no_backfills() -> None:
    """Dagster ends a backfill as failed in which a step rightly made nothing."""
    assert not automation.emit_backfills
