"""A small code location whose sensor and schedule show what Dagster does with what ours return."""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import warnings
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

releases = dg.DynamicPartitionsDefinition(name="release")
conditions = dg.MultiPartitionsDefinition({"condition": dg.StaticPartitionsDefinition(["a", "b"]), "release": releases})
LOCK, IMAGE = dg.AssetKey("lock"), dg.AssetKey("image")

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)
    standing = dg.AssetCheckSpec("standing", asset=LOCK, partitions_def=releases)

    @dg.multi_asset_check(specs=[standing])
    def lock_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(partitions_def=releases)
def lock() -> None: ...


@dg.asset(partitions_def=conditions, deps=[lock])
def image() -> None: ...


lock_job = dg.define_asset_job("lock_job", dg.AssetSelection.assets(lock), executor_def=dg.in_process_executor)


@dg.sensor(jobs=[lock_job], default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=30)
def release_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """First a partition and its run, in one tick; then the same key again; then a check alone, beside an event."""
    step = int(context.cursor or 0)
    request = dg.RunRequest(run_key="lock#1", job_name="lock_job", partition_key="r1")
    if step == 2:
        check = dg.AssetCheckKey(LOCK, "standing")
        request = dg.RunRequest(
            run_key="check#1", job_name="lock_job", partition_key="r1", asset_selection=[], asset_check_keys=[check]
        )
    return dg.SensorResult(
        run_requests=[request] if step < 3 else [],
        skip_reason=None if step < 3 else "nothing to do",
        cursor=str(step + 1),
        dynamic_partitions_requests=[releases.build_add_request(["r1"])],
        asset_events=[dg.AssetMaterialization("collection", metadata={"step": step})],
    )


@dg.schedule(
    job_name=IMPLICIT_ASSET_JOB_NAME, cron_schedule="0 3 2 1,4,7,10 *", execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)  # fmt: skip
def quarterly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield dg.RunRequest(run_key="1", partition_key="r1", asset_selection=[LOCK])
    yield dg.RunRequest(run_key="2", partition_key="a|r1", asset_selection=[IMAGE])


defs = dg.Definitions(
    assets=[lock, image, dg.AssetSpec("collection")], asset_checks=[lock_checks], jobs=[lock_job],
    sensors=[release_sensor], schedules=[quarterly], executor=dg.in_process_executor,
)  # fmt: skip
