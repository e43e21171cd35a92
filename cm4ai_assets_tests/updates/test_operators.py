"""The release sensor beside operators, and after failures: nothing is fought over, nothing is tried for ever."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from cm4ai_assets.defs.updates.requests import REQUEST_TAG
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.updates.archives import released
from cm4ai_assets_tests.updates.conftest import Daemon, image_runs


def _start(daemon: Daemon, request: dg.RunRequest) -> dg.DagsterRun:
    assert request.job_name is not None
    tags = {**request.tags, "dagster/partition": str(request.partition_key)}
    return daemon.instance.create_run_for_job(daemon.defs.resolve_job_def(request.job_name), tags=tags)


@pytest.fixture
def asked(quarter: Daemon) -> tuple[Daemon, dg.RunRequest]:
    """The lock of June 2025 is requested."""
    quarter.server.publish_until(released(quarter.archive, "F3SBX5", "1.0"))
    (request,) = quarter.tick().run_requests or ()
    return quarter, request


def _fail(daemon: Daemon, request: dg.RunRequest) -> None:
    run = _start(daemon, request)
    daemon.instance.report_run_failed(run)


def test_a_failed_run_is_requested_again_twice_and_then_left_to_a_person(asked: tuple[Daemon, dg.RunRequest]) -> None:
    daemon, request = asked
    _fail(daemon, request)
    assert "is tried again after" in daemon.said()
    daemon.late = timedelta(minutes=11)
    (second,) = daemon.tick().run_requests or ()
    assert str(second.run_key) == str(request.run_key).replace("#1", "#2")
    _fail(daemon, second)
    daemon.late = timedelta(hours=1)
    assert "is tried again after" in daemon.said()
    daemon.late = timedelta(hours=7)
    (third,) = daemon.tick().run_requests or ()
    _fail(daemon, third)
    for days in (1, 10, 100):
        daemon.late = timedelta(days=days)
        assert "release_lock of 2025-06-v1.0: 3 runs came to nothing, so it is left to you" in daemon.said()


def test_a_cancelled_run_is_not_requested_again(asked: tuple[Daemon, dg.RunRequest]) -> None:
    daemon, request = asked
    daemon.instance.report_run_canceled(_start(daemon, request))
    daemon.late = timedelta(days=3)
    assert "a run was cancelled, so it is left to you" in daemon.said()


def test_what_an_operator_is_making_is_not_requested_beside(asked: tuple[Daemon, dg.RunRequest]) -> None:
    daemon, request = asked
    own = dg.RunRequest(job_name=request.job_name, partition_key=request.partition_key)
    run = _start(daemon, own)
    daemon.late = timedelta(hours=1)
    assert "release_lock of 2025-06-v1.0 waits for a run of that partition" in daemon.said()
    daemon.instance.report_run_failed(run)
    assert daemon.requests() == ["release_lock:2025-06-v1.0"]  # a failure of theirs is not one of ours


def test_an_operator_may_make_an_old_release_and_the_sensor_leaves_it(quarter: Daemon) -> None:
    quarter.server.publish_until(released(quarter.archive, "F3SBX5", "1.0"))
    quarter.settle()
    quarter.server.clear_log()
    old = dg.RunRequest(job_name="images", partition_key="untreated|2025-03-v1.0")
    quarter.effort = "fetches"
    assert quarter.run(old)
    assert quarter.platform.store.has_table("if_archive", Partition("2025-03-v1.0", "untreated"))
    assert len(quarter.downloads()) == 1
    assert quarter.settle() == []


@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`")  # Dagster calls it itself
def test_what_a_backfill_may_still_make_is_not_requested_beside(quarter: Daemon) -> None:
    quarter.server.publish_until(released(quarter.archive, "F3SBX5", "1.0"))
    for request in quarter.tick().run_requests or ():
        assert quarter.run(request)
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id="theirs", asset_graph=quarter.defs.resolve_asset_graph(), backfill_timestamp=1.0, tags={},
        asset_selection=[dg.AssetKey("if_archive"), dg.AssetKey("if_images")],
        partition_names=["untreated|2025-06-v1.0"], dynamic_partitions_store=quarter.instance, all_partitions=False,
        title=None, description=None, run_config=None,
    )  # fmt: skip
    quarter.instance.add_backfill(backfill)
    assert "images of paclitaxel|2025-06-v1.0 waits for backfill theirs" in quarter.said()
    quarter.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert quarter.requests() == image_runs("2025-06-v1.0")


def test_a_renamed_version_waits_for_the_run_that_makes_the_same_bytes(quarter: Daemon) -> None:
    archive = quarter.archive
    quarter.server.publish_until(released(archive, "F3SBX5", "2.0"))
    for request in quarter.tick().run_requests or ():
        assert quarter.run(request)
    images = list(quarter.tick().run_requests or ())
    running = [_start(quarter, request) for request in images]
    quarter.server.publish_until(released(archive, "F3SBX5", "2.1"))
    for request in quarter.tick().run_requests or ():
        assert quarter.run(request)
    assert "images of paclitaxel|2025-06-v2.0 makes it from the same bytes" in quarter.said()
    for run, request in zip(running, images, strict=True):
        quarter.instance.report_run_canceled(run)
        quarter.claim_tensor(str(request.partition_key))
    assert "Same bytes as before, nothing to make" in quarter.said()


def test_runs_tell_what_requested_them(daemon: Daemon) -> None:
    request = next(iter(daemon.tick().run_requests or ()))
    assert request.tags[REQUEST_TAG].startswith("release_lock:")
    assert request.tags["cm4ai/release"] == request.partition_key
    assert request.tags["cm4ai/reason"]
