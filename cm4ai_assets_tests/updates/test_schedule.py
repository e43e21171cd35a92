"""The quarterly refresh: when, what, and that it costs nothing that is there already."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.defs.updates.schedules import CRON, TIMEZONE, quarterly_refresh, refresh
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.updates.archives import released
from cm4ai_assets_tests.updates.conftest import QUIET, Daemon, daemon_over


def requests(
    daemon: Daemon, when: datetime = datetime(2026, 10, 2, 7, tzinfo=UTC)
) -> list[dg.RunRequest | dg.SkipReason]:
    known = daemon.instance.get_dynamic_partitions(RELEASE)
    return list(refresh(daemon.platform, known, daemon.defs.resolve_asset_graph(), when))


def test_it_runs_in_the_first_week_of_each_quarter_at_night_in_virginia() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    times = schedule_execution_time_iterator(start, CRON, TIMEZONE, ascending=True)
    found = [next(times).astimezone(ZoneInfo(TIMEZONE)) for _ in range(5)]
    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in found] == [
        "2026-01-02 03:00", "2026-04-02 03:00", "2026-07-02 03:00", "2026-10-02 03:00", "2027-01-02 03:00",
    ]  # fmt: skip
    assert quarterly_refresh.default_status is dg.DefaultScheduleStatus.RUNNING
    assert quarterly_refresh.execution_timezone == TIMEZONE


def test_without_releases_it_says_so(daemon: Daemon) -> None:
    (skipped,) = requests(daemon)
    assert isinstance(skipped, dg.SkipReason)
    assert "No release is registered yet." in str(skipped.skip_message)


def test_a_release_without_a_lock_is_locked_and_nothing_else(daemon: Daemon) -> None:
    daemon.tick()
    (only,) = requests(daemon)
    assert isinstance(only, dg.RunRequest)
    assert only.partition_key == "2026-06-v2.0"
    assert {key.to_user_string() for key in only.asset_selection or ()} == {"release_files", "release_changes"}


def test_the_newest_release_is_made_again_for_all_conditions(daemon: Daemon) -> None:
    daemon.settle()
    found = [request for request in requests(daemon) if isinstance(request, dg.RunRequest)]
    assert [request.partition_key for request in found] == [
        "2026-06-v2.0", *(f"{c}|2026-06-v2.0" for c in ("untreated", "paclitaxel", "vorinostat")),
    ]  # fmt: skip
    assert {key.to_user_string() for key in found[1].asset_selection or ()} == {
        "if_archive", "if_images", "if_antibodies", "if_fields", "if_tensors", "if_quality", "if_cells",
    }  # fmt: skip
    priorities = [int(request.tags["dagster/priority"]) for request in found]
    assert priorities[0] > max(priorities[1:]), "the lock is taken from the queue first"
    keys = {request.run_key for request in found}
    assert {r.run_key for r in requests(daemon) if isinstance(r, dg.RunRequest)} == keys, "asked twice, run once"
    later = requests(daemon, datetime(2027, 1, 2, 8, tzinfo=UTC))
    assert not keys & {r.run_key for r in later if isinstance(r, dg.RunRequest)}


def test_a_release_that_shares_its_bytes_gets_tables_of_its_own(daemon: Daemon, sandbox: Path) -> None:
    daemon.server.publish_until(released(sandbox, "F3SBX5", "2.1"))
    daemon.settle()
    found = [r.partition_key for r in requests(daemon) if isinstance(r, dg.RunRequest)]
    assert found[0] == "2025-06-v2.1"
    assert len(found) == 4


def test_everything_is_in_it(daemon: Daemon, sandbox: Path, every_feed: None) -> None:
    daemon.server.publish_until(released(sandbox, "H1SBXC", "1.0"))
    for request in daemon.tick().run_requests or ():
        daemon.claim_lock(request)
    names = [
        key.to_user_string()
        for request in requests(daemon)
        if isinstance(request, dg.RunRequest)
        for key in request.asset_selection or ()
    ]
    assert {"release_files", "if_tensors", "secms_profiles", "apms_interactions"} <= set(names)


@pytest.mark.slow
def test_the_refresh_fetches_and_decodes_nothing_that_is_there(sandbox: Path, tmp_path: Path) -> None:
    for daemon in daemon_over(sandbox, tmp_path, "decodes"):
        daemon.server.publish_until(released(sandbox, "B3SBXX", "1.0"))
        daemon.settle()
        daemon.server.clear_log()
        before = {p: p.read_bytes() for p in (tmp_path / "storage").rglob("*.parquet")}
        for request in requests(daemon):
            assert isinstance(request, dg.RunRequest)
            job = daemon.defs.resolve_implicit_global_asset_job_def().get_subset(
                asset_selection=set(request.asset_selection or ())
            )
            assert job.execute_in_process(
                instance=daemon.instance, partition_key=request.partition_key, run_config=QUIET
            ).success
        assert daemon.downloads() == []
        assert daemon.metadata("if_tensors", "paclitaxel|2025-03-v1.0")["images_decoded"] == 0
        assert {p: p.read_bytes() for p in (tmp_path / "storage").rglob("*.parquet")} == before
        assert daemon.platform.store.has_table("if_tensors", Partition("2025-03-v1.0", "paclitaxel"))
