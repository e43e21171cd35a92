"""What is open now: held against an instance in which runs, checks, sensors and the daemon do what they may do."""

# Dagster reads the annotations itself, not as strings: no `from __future__ import annotations` here.
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
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
from dagster._core.test_utils import instance_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from cm4ai_assets.alerts import memory
from cm4ai_assets.defs.incidents import open_incidents, runs
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

PARTITIONS = dg.StaticPartitionsDefinition(["a", "b"])
BROKEN: set[str] = set()
"""What fails now: `step`, `blocks` or `warns`, each with a partition; `sensor`."""


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks; see `products.check_spec`
    WHOLE = dg.AssetCheckSpec("whole", asset="fields", blocking=True, partitions_def=PARTITIONS)
    ODD = dg.AssetCheckSpec("odd", asset="fields", partitions_def=PARTITIONS)


@dg.asset(partitions_def=PARTITIONS, check_specs=[WHOLE])
def fields(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Audited before it is published, as every table of the platform is."""
    blocked = f"blocks {context.partition_key}" in BROKEN
    error = dg.AssetCheckSeverity.ERROR
    yield dg.AssetCheckResult(passed=not blocked, check_name="whole", severity=error, description="1 row \\| too many")
    if f"interrupted {context.partition_key}" in BROKEN:
        raise DagsterExecutionInterruptedError
    if blocked or f"step {context.partition_key}" in BROKEN:
        raise dg.Failure("The disk is full: free some space.", allow_retries=False)
    yield dg.MaterializeResult()


@dg.asset(partitions_def=PARTITIONS, deps=[fields])
def tensors() -> None:
    """Made of `fields`."""


@dg.multi_asset_check(specs=[ODD])
def odd() -> None:
    """Warns; what it finds is reported by the tests."""


@dg.asset
def counts() -> None:
    """An asset without partitions."""


@dg.sensor(target=[counts], default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=30)
def watching() -> dg.SkipReason:
    """A sensor."""
    return dg.SkipReason("Nothing.")


@dg.asset_check(asset=COLLECTION)
def release_due() -> None:
    """Stands for the check of this name."""


DEFS = dg.Definitions(
    assets=[fields, tensors, counts, dg.AssetSpec(COLLECTION)],
    asset_checks=[odd, release_due],
    sensors=[watching],
    executor=dg.in_process_executor,
)
REPOSITORY = DEFS.get_repository_def()
JOB = DEFS.resolve_implicit_global_asset_job_def()


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    """One for all tests here: each looks at what it did itself."""
    with instance_for_test(overrides={"run_monitoring": {"enabled": False}}) as instance:
        beat(instance, datetime.now(UTC))
        yield instance


@pytest.fixture(autouse=True)
def mended(instance: dg.DagsterInstance) -> Iterator[None]:
    BROKEN.clear()
    yield
    BROKEN.clear()
    beat(instance, datetime.now(UTC))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")


def beat(instance: dg.DagsterInstance, when: datetime, *, only: str | None = None) -> None:
    for daemon in [only] if only else instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(when.timestamp(), daemon, "1", []))


def now_open(instance: dg.DagsterInstance, store: Store, now: datetime | None = None) -> list[Incident]:
    return open_incidents(instance, store, REPOSITORY, now or datetime.now(UTC))


def make(instance: dg.DagsterInstance, partition: str, *names: str) -> str:
    """A run of some assets with their checks, as the UI starts it; its id."""
    keys = [dg.AssetKey(name) for name in names]
    return JOB.execute_in_process(
        instance=instance, partition_key=partition, asset_selection=keys, raise_on_error=False
    ).run_id


def ended(instance: dg.DagsterInstance, status: str, partition: str | None, *names: str) -> dg.DagsterRun:
    """A run of which only the end is recorded: `success`, `canceled`, or `failed` as one whose process died."""
    run = instance.create_run_for_job(
        JOB,
        asset_selection=frozenset(map(dg.AssetKey, names)),
        tags={"dagster/partition": partition} if partition else {},
    )
    if status == "success":
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", run.job_name), run.run_id)
    elif status == "canceled":
        instance.report_run_canceled(run)
    else:
        instance.report_run_failed(run, "The process of this run has died.")
    return run


def evaluated(
    instance: dg.DagsterInstance, check: str, partition: str | None, *, passed: bool, asset: str = "fields"
) -> None:
    """A warning check, as its run evaluates it."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=check,
        passed=passed,
        metadata={},
        severity=dg.AssetCheckSeverity.WARN,
        description="3 of 9 \\[rows\\]",
        blocking=False,
        partition=partition,
    )
    event = dg.DagsterEvent("ASSET_CHECK_EVALUATION", "checks", event_specific_data=evaluation)
    instance.report_dagster_event(event, str(uuid4()))


def test_a_failed_run_is_open_until_a_later_run_makes_the_same(instance: dg.DagsterInstance, store: Store) -> None:
    BROKEN.add("step a")
    run = make(instance, "a", "fields", "tensors")
    (one,) = now_open(instance, store)
    assert (one.kind, one.severity) == (Kind.RUN_FAILED, Severity.FAILURE)
    assert one.title == "Run failed: fields of a"
    assert one.text == "The disk is full: free some space."
    assert one.link_path == f"/runs/{run}"
    again = make(instance, "a", "fields", "tensors")
    (same,) = now_open(instance, store)
    assert (same.key, same.since, same.link_path) == (one.key, one.since, f"/runs/{again}")
    ended(instance, "success", "b", "fields", "tensors")
    assert now_open(instance, store) == [same], "another partition makes nothing good"
    ended(instance, "canceled", "a", "fields", "tensors")
    assert now_open(instance, store) == [same], "a cancelled run makes nothing good"
    ended(instance, "success", "a", "fields")
    (left,) = now_open(instance, store)
    assert left.key == one.key, "what follows of it was not made yet"
    ended(instance, "success", "a", "tensors")
    assert now_open(instance, store) == []
    ended(instance, "canceled", "a", "fields", "tensors")
    assert now_open(instance, store) == [], "a cancelled run is no failure"


def test_what_was_made_good_stays_so_however_many_runs_come_after(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MOST", 2)
    ended(instance, "failed", "a", "fields")
    ended(instance, "success", "a", "fields")
    ended(instance, "failed", None, "counts")
    instance.report_runless_asset_event(dg.AssetMaterialization("counts"))
    for _ in range(3):
        ended(instance, "success", "b", "fields")
    assert now_open(instance, store) == [runs._more()]
    monkeypatch.setattr(runs, "MOST", 1000)
    assert now_open(instance, store) == []


def test_a_run_whose_process_died_is_named_by_its_job_and_one_that_is_tried_again_is_not_open_yet(
    instance: dg.DagsterInstance, store: Store
) -> None:
    run = ended(instance, "failed", None, "counts")
    (one,) = now_open(instance, store)
    assert (one.text, one.link_path) == ("The process of this run has died.", f"/runs/{run.run_id}")
    instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "another"})
    assert now_open(instance, store) == []


def test_a_run_that_was_interrupted_says_so_and_whether_it_is_started_again(
    instance: dg.DagsterInstance, store: Store
) -> None:
    BROKEN.add("interrupted a")
    make(instance, "a", "fields")
    (one,) = now_open(instance, store)
    assert (one.text, one.runbook) == ("It was interrupted: Ctrl-C, or its process was ended.", "run-killed")
    instance.add_run_tags(one.link_path.removeprefix("/runs/"), {"dagster/will_retry": "true"})
    (one,) = now_open(instance, store)
    assert one.text.endswith("was ended. The daemon starts it again.")
    BROKEN.clear()
    make(instance, "a", "fields")
    assert now_open(instance, store) == []


def test_a_failure_that_nobody_repeated_for_a_month_is_not_wanted_any_more(
    instance: dg.DagsterInstance, store: Store
) -> None:
    ended(instance, "failed", "b", "fields")
    later = datetime.now(UTC) + timedelta(days=31)
    beat(instance, later)
    assert [one.kind for one in now_open(instance, store)] == [Kind.RUN_FAILED]
    assert [one.kind for one in now_open(instance, store, later)] == []
    ended(instance, "success", "b", "fields")


def test_a_blocking_check_is_one_incident_and_not_its_run_too(instance: dg.DagsterInstance, store: Store) -> None:
    BROKEN.add("blocks a")
    make(instance, "a", "fields")
    (one,) = now_open(instance, store)
    assert (one.kind, one.severity) == (Kind.CHECK_FAILED, Severity.FAILURE)
    assert one.title == "Check whole failed: fields of a"
    assert one.text == "1 row | too many"
    assert one.link_path == "/assets/fields?view=checks&checkDetail=whole"
    BROKEN.clear()
    make(instance, "a", "fields")
    assert now_open(instance, store) == []


def test_a_warning_is_that_of_the_latest_evaluation_of_its_partition_and_dates_from_the_first(
    instance: dg.DagsterInstance, store: Store
) -> None:
    evaluated(instance, "odd", "a", passed=False)
    (one,) = now_open(instance, store)
    assert (one.kind, one.severity, one.text) == (Kind.CHECK_WARNS, Severity.WARNING, "3 of 9 [rows]")
    assert one.key == "check:fields:odd:a"
    evaluated(instance, "odd", "a", passed=False)
    evaluated(instance, "odd", "b", passed=True)
    evaluated(instance, "gone", "a", passed=False)  # a check that was removed from the code
    assert now_open(instance, store) == [one]
    instance.report_run_canceled(ended_check_run(instance))  # planned, and nothing evaluated
    assert now_open(instance, store) == [one]
    evaluated(instance, "odd", "a", passed=True)
    assert now_open(instance, store) == []
    evaluated(instance, "odd", "a", passed=False)
    (later,) = now_open(instance, store)
    assert later.key == one.key
    assert later.since is not None
    assert one.since is not None
    assert later.since > one.since
    evaluated(instance, "odd", "a", passed=True)


def ended_check_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that was to evaluate `odd` of `a`."""
    tags = {"dagster/partition": "a"}
    run = instance.create_run_for_job(JOB, asset_selection=frozenset([dg.AssetKey("fields")]), tags=tags)
    planned = instance.event_log_storage.get_asset_check_execution_history(ODD.key, limit=1)
    assert planned[0].run_id == run.run_id
    return run


def test_a_check_without_partitions_is_open_too_and_an_overdue_release_has_a_kind_of_its_own(
    instance: dg.DagsterInstance, store: Store
) -> None:
    evaluated(instance, "release_due", None, passed=False, asset=COLLECTION)
    (one,) = now_open(instance, store)
    assert (one.kind, one.title) == (Kind.RELEASE_OVERDUE, "A release is overdue")
    evaluated(instance, "release_due", None, passed=True, asset=COLLECTION)
    assert now_open(instance, store) == []


def test_a_daemon_that_is_down_is_one_incident_and_of_its_parts_each_is_named(
    instance: dg.DagsterInstance, store: Store
) -> None:
    beat(instance, datetime.now(UTC) - timedelta(hours=2))
    (whole,) = now_open(instance, store)
    assert (whole.kind, whole.severity, whole.title) == (
        Kind.DAEMON_STOPPED,
        Severity.FAILURE,
        "The daemon is not running",
    )
    assert whole.since is not None
    assert timedelta(hours=1) < datetime.now(UTC) - whole.since < timedelta(hours=3)
    beat(instance, datetime.now(UTC))
    beat(instance, datetime.now(UTC) - timedelta(hours=2), only="SCHEDULER")
    (part,) = now_open(instance, store)
    assert part.title == "A part of the daemon is not running: SCHEDULER"


def test_a_sensor_that_was_switched_off_that_fails_or_that_is_silent_is_open(
    instance: dg.DagsterInstance, store: Store
) -> None:
    now = datetime.now(UTC)
    running = tick_state(instance, now, InstigatorStatus.RUNNING)
    instance.add_instigator_state(running)
    ticks(instance, running, now, TickStatus.SKIPPED, TickStatus.FAILURE, TickStatus.FAILURE)
    assert now_open(instance, store) == [], "two failures in a row are a moment's trouble"
    ticks(instance, running, now, TickStatus.FAILURE)
    (fails,) = now_open(instance, store)
    assert (fails.kind, fails.title, fails.text) == (Kind.TICKS_FAIL, "The sensor watching fails", "no network")
    assert fails.link_path == "/locations/somewhere/sensors/watching"
    ticks(instance, running, now, TickStatus.SKIPPED)
    assert now_open(instance, store) == []
    instance.update_instigator_state(tick_state(instance, now - timedelta(hours=1), InstigatorStatus.RUNNING))
    (silent,) = now_open(instance, store)
    assert (silent.kind, silent.title) == (Kind.AUTOMATION_STOPPED, "The sensor watching has stopped")
    instance.update_instigator_state(tick_state(instance, now, InstigatorStatus.STOPPED))
    (off,) = now_open(instance, store)
    assert (off.key, off.title) == (silent.key, "The sensor watching is switched off")
    instance.update_instigator_state(running)


def tick_state(
    instance: dg.DagsterInstance,
    last: datetime,
    status: InstigatorStatus,
    *,
    name: str = "watching",
    cursor: str | None = None,
) -> InstigatorState:
    """What the daemon notes of the sensor."""
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(
            ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(), "somewhere"), "__repository__"
        ),
        name,
    )
    data = SensorInstigatorData(last_tick_timestamp=last.timestamp(), min_interval=30, cursor=cursor)
    return InstigatorState(origin, InstigatorType.SENSOR, status, data)


def ticks(instance: dg.DagsterInstance, state: InstigatorState, now: datetime, *statuses: TickStatus) -> None:
    """Ticks one after the other."""
    for status in statuses:
        error = SerializableErrorInfo("no network", [], None) if status is TickStatus.FAILURE else None
        instance.create_tick(
            TickData(
                instigator_origin_id=state.instigator_origin_id,
                instigator_name=state.name,
                instigator_type=InstigatorType.SENSOR,
                status=status,
                timestamp=float(next(_TIMES)),
                error=error,
                selector_id=state.selector_id,
            )
        )


_TIMES = iter(range(int(datetime.now(UTC).timestamp()), 2**40))


def test_an_archive_that_was_not_seen_for_six_hours_is_open(instance: dg.DagsterInstance, store: Store) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(COLLECTION))
    assert now_open(instance, store) == []
    later = datetime.now(UTC) + timedelta(hours=7)
    beat(instance, later)
    assert Kind.ARCHIVE_NOT_SEEN in {one.kind for one in now_open(instance, store, later)}


def test_a_storage_that_cannot_be_read_is_open_and_hides_nothing_else(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(instance, "odd", "a", passed=False)

    def away(_: object) -> None:
        raise OSError("The bucket does not answer")

    monkeypatch.setattr(ReleaseRegistry, "all", away)
    found = {one.kind: one for one in now_open(instance, store)}
    assert {Kind.STORAGE_AWAY, Kind.CHECK_WARNS} <= set(found)
    assert "The bucket does not answer" in found[Kind.STORAGE_AWAY].text
    monkeypatch.undo()
    evaluated(instance, "odd", "a", passed=True)


def test_a_channel_that_messages_do_not_arrive_at_is_open(instance: dg.DagsterInstance, store: Store) -> None:
    now = datetime.now(UTC)
    knowledge = memory.Knowledge()
    for tries in range(1, 4):
        knowledge = knowledge.failed("Connection refused", now)
        state = tick_state(
            instance, now, InstigatorStatus.RUNNING, name="alerts", cursor=memory.write({"json-1a2b": knowledge})
        )
        if tries == 1:
            instance.add_instigator_state(state)
        else:
            instance.update_instigator_state(state)
        found = [one for one in now_open(instance, store) if one.kind is Kind.CHANNEL_FAILS]
        assert len(found) == (tries == 3)
    assert found[0].key == "channel:json-1a2b"
    assert "Connection refused" in found[0].text
    assert found[0].link_path == "/locations/somewhere/sensors/alerts"
