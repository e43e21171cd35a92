"""From SQLite to a database: everything that the instance knew is known there, and nothing is fetched again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from cm4ai_assets import cli
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.defs.moving import open_files
from cm4ai_assets.defs.updates.requests import REQUEST_TAG
from cm4ai_assets.defs.updates.sensor import build_release_sensor
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.operate.conftest import Operator

RELEASE = "2026-06-v2.0"
FAILED = f"images:untreated|{RELEASE}@doi:10.5072/FK2/H1SBXC"  # what a run was requested for, and came to nothing


def state(name: str, sensor_type: SensorType, cursor: str) -> InstigatorState:
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file="x"), location_name="cm4ai_assets")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    data = SensorInstigatorData(cursor=cursor, sensor_type=sensor_type, last_run_key="k")
    return InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.STOPPED, data)


@pytest.fixture
def old(operator: Operator) -> Path:
    """A home with a run that succeeded and one that failed, an event of no run, switches, a tick, a pool's limit."""
    assert cli.main(["materialize", "--release", RELEASE, "--select", "release_files"]) == cli.DONE
    with open_instance(Store.from_settings(Platform().settings)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("dataverse_collection", tags={"a": "b"}))
        run = instance.create_run_for_job(_job, status=dg.DagsterRunStatus.STARTED, tags={REQUEST_TAG: FAILED})
        instance.report_run_failed(run, "It was killed.")
        for one in (state("release_sensor", SensorType.STANDARD, "mine"),
                    state("automation", SensorType.AUTOMATION, "ids")):  # fmt: skip
            instance.schedule_storage.add_instigator_state(one)  # type: ignore[union-attr]
        sensor = state("release_sensor", SensorType.STANDARD, "mine")
        tick = TickData(sensor.instigator_origin_id, sensor.name, sensor.instigator_type, TickStatus.SKIPPED, 7.0,
                        selector_id=sensor.selector_id)  # fmt: skip
        instance.schedule_storage.create_tick(tick)  # type: ignore[union-attr]
        instance.event_log_storage.set_concurrency_slots("dataverse", 3)
    return operator.home


@dg.job
def _job() -> None: ...


def known(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What an instance knows, without the ids that it gave."""
    storage, keys = instance.event_log_storage, sorted(instance.get_asset_keys())
    checks = [dg.AssetCheckKey(dg.AssetKey("release_files"), name) for name in ("schema", "files_accessible")]
    runs = sorted(instance.get_run_records(), key=lambda record: record.dagster_run.run_id)
    last = {key: instance.get_latest_materialization_event(key) for key in keys}
    return {
        "partitions": instance.get_dynamic_partitions("release"),
        "runs": [(r.dagster_run, r.create_timestamp, r.start_time, r.end_time) for r in runs],
        "logs": [instance.all_logs(r.dagster_run.run_id) for r in runs],
        "materialized": {key: instance.get_materialized_partitions(key) for key in keys},
        "latest": {key: event and (event.run_id, event.asset_materialization) for key, event in last.items()},
        "checks": {
            (info.check_key, info.partition_key, info.latest_execution_status, info.latest_planned_run_id)
            for info in storage.get_asset_check_partition_info(checks)
        },
        "job": [instance.get_job_snapshot(str(r.dagster_run.job_snapshot_id)).name for r in runs],
        "pool": {limit.name: limit.limit for limit in storage.get_pool_limits()},
        "ticks": [
            (one.name, one.status, one.instigator_data and one.instigator_data.last_run_key,
             [tick.timestamp for tick in instance.get_ticks(one.instigator_origin_id, one.selector_id)])
            for one in instance.all_instigator_state()
        ],
    }  # fmt: skip


def requested(instance: dg.DagsterInstance) -> set[str | None]:
    """The runs that the release sensor asks for, its memory lost."""
    context = dg.build_sensor_context(instance=instance, resources={"platform": Platform()})
    return {request.run_key for request in build_release_sensor()(context).run_requests or ()}


def test_all_that_was_known_is_known_and_nothing_is_asked_for_again(
    old: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_files(old) as instance:
        before, asked = known(instance), requested(instance)
    assert before["materialized"][dg.AssetKey("release_files")] == {RELEASE}
    assert len(before["checks"]) == 2
    assert f"images:vorinostat|{RELEASE}@doi:10.5072/FK2/H1SBXC#1" in asked  # what nobody tried
    assert not {key for key in asked if key and key.startswith(FAILED)}
    monkeypatch.setenv("CM4AI_DATABASE", database)
    assert cli.main(["migrate", str(old)]) == cli.DONE
    assert "Copied 2 runs with " in capsys.readouterr().out
    with open_instance(Store.from_settings(Platform().settings)) as instance:
        assert known(instance) == before
        cursors = {one.name: one.instigator_data.cursor for one in instance.all_instigator_state()}
        assert cursors == {"release_sensor": "mine", "automation": None}
        assert requested(instance) == asked
    assert cli.main(["migrate", str(old)]) == cli.WRONG_USE
    assert "has runs or assets already" in " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_copied_is_said(
    operator: Operator,
    tmp_path: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["migrate", str(tmp_path)]) == cli.WRONG_USE
    assert "CM4AI_DATABASE is not set" in capsys.readouterr().err
    with open_instance(Store.from_settings(Platform().settings)) as instance:
        instance.create_run_for_job(_job, status=dg.DagsterRunStatus.STARTED)
    monkeypatch.setenv("CM4AI_DATABASE", database)
    assert cli.main(["migrate", str(tmp_path)]) == cli.WRONG_USE
    assert "holds no Dagster instance" in " ".join(capsys.readouterr().err.split())
    assert cli.main(["migrate", str(operator.home)]) == cli.FAILED
    assert "1 runs have not ended" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv("CM4AI_STORAGE", str(tmp_path / "another"))
    assert cli.main(["migrate", str(operator.home)]) == cli.WRONG_USE
    assert "belongs to the storage" in " ".join(capsys.readouterr().err.split())
