"""The release sensor: exactly the runs that a change needs, whatever was missed or repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.sandbox.catalog import Embargo, Entry
from cm4ai_assets.sandbox.exchange import Request
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.updates.cursor import Cursor
from cm4ai_assets_tests.updates.archives import altering, file_of, released, with_version
from cm4ai_assets_tests.updates.conftest import Daemon, daemon_over, image_runs, told

ALL = {
    "2024-05-v1.0", "2025-03-v1.0", "2025-03-v1.1", "2025-06-v1.0", "2025-06-v2.0", "2025-06-v2.1", "2025-10-v1.0",
    "2025-10-v1.1", "2026-06-v1.0", "2026-06-v2.0",
}  # fmt: skip
NEWEST = "2026-06-v2.0"
MADE_BY = {"secms": ("secms_profiles", "secms_proteins"), "apms": ("apms_interactions", "apms_runs")}


def lock_runs(keys: set[str]) -> set[str]:
    return {f"release_lock:{key}" for key in keys}


# --- what is requested


def test_at_first_contact_everything_is_locked_and_only_the_newest_is_fetched(daemon: Daemon) -> None:
    first = daemon.tick()
    assert daemon.partitions == ALL
    assert {f"{r.job_name}:{r.partition_key}" for r in first.run_requests or ()} == lock_runs(ALL)
    newest = next(request for request in first.run_requests or () if request.partition_key == NEWEST)
    assert int(newest.tags["dagster/priority"]) > max(
        int(r.tags["dagster/priority"]) for r in first.run_requests or () if r is not newest
    )
    for request in first.run_requests or ():
        assert daemon.run(request)
    assert sorted(daemon.requests()) == sorted(image_runs(NEWEST))
    assert daemon.downloads() == []


def test_a_look_asks_six_light_questions_and_never_the_search(quarter: Daemon) -> None:
    quarter.server.publish_until(None)
    quarter.tick()
    asked = quarter.questions()
    assert len(asked) == 7  # the collection, five datasets, the files of one locked release
    assert not [path for path in asked if "search" in path]
    listings = [record for record in quarter.server.log if record.path.endswith("/versions")]
    assert {record.query["excludeFiles"] for record in listings} == {"true"}
    assert sum(record.sent for record in quarter.server.log) < 100_000


def test_a_broken_search_index_hides_nothing(daemon: Daemon) -> None:
    daemon.server.faults.append(lambda request: pytest.fail("asked") if request.path == "/search" else None)
    daemon.tick()
    assert daemon.partitions == ALL


def test_a_second_tick_a_lost_cursor_and_a_new_instance_request_nothing_else(quarter: Daemon) -> None:
    quarter.server.publish_until(released(quarter.archive, "F3SBX5", "1.0") + timedelta(days=1))
    first = quarter.tick()
    (request,) = first.run_requests or ()
    assert (request.job_name, request.partition_key) == ("release_lock", "2025-06-v1.0")
    assert quarter.requests() == []
    quarter.cursor = None
    (again,) = quarter.tick().run_requests or ()
    assert again.run_key == request.run_key == "release_lock:2025-06-v1.0@doi:10.5072/FK2/F3SBX5#1"
    with dg.DagsterInstance.ephemeral() as lost:
        quarter.instance, quarter.cursor = lost, None
        (once_more,) = quarter.tick().run_requests or ()
        assert quarter.partitions == {"2024-05-v1.0", "2025-03-v1.0", "2025-03-v1.1", "2025-06-v1.0"}
        assert once_more.run_key == request.run_key


def test_the_run_keys_of_two_versions_and_datasets_differ(daemon: Daemon) -> None:
    keys = [request.run_key for request in daemon.tick().run_requests or ()]
    assert len(set(keys)) == len(ALL)
    assert all("@doi:10.5072/FK2/" in str(key) for key in keys)


def test_what_another_process_registered_becomes_a_partition_too(daemon: Daemon) -> None:
    with daemon.platform.archive() as client:
        daemon.platform.registry.register(client.releases("CM4AI"))
    daemon.tick()
    assert daemon.partitions == ALL
    assert sync_partitions(daemon.instance, daemon.platform.registry) == []


def _replaced(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    """The paclitaxel ZIP of March replaced by the one of October, under the old name."""
    for entry in entries:
        yield entry.model_copy(update={"file_id": 999001}) if "paclitaxel" in entry.label else entry


@pytest.fixture
def with_replacement(sandbox: Path, tmp_path: Path) -> Path:
    other = file_of(sandbox, 703725).model_copy(update={"id": 999001})
    return with_version(sandbox, tmp_path / "replaced", "B3SBXX 1.2", _replaced, [other])


def test_a_version_that_replaces_one_archive_needs_that_condition_only(with_replacement: Path, tmp_path: Path) -> None:
    for daemon in daemon_over(with_replacement, tmp_path):
        daemon.server.publish_until(released(with_replacement, "B3SBXX", "1.1"))
        daemon.settle()
        daemon.server.publish_until(released(with_replacement, "B3SBXX", "1.2"))
        assert daemon.settle() == ["release_lock:2025-03-v1.2", "images:paclitaxel|2025-03-v1.2"]


def test_a_late_version_of_an_old_release_is_fetched_if_that_release_is_kept(
    with_replacement: Path, tmp_path: Path
) -> None:
    for daemon in daemon_over(with_replacement, tmp_path):
        daemon.server.publish_until(released(with_replacement, "F3SBX5", "1.0"))
        hidden = altering(daemon.server, _without_version("B3SBXX", 2))
        daemon.server.faults.append(hidden)
        daemon.settle()
        daemon.claim_tensor("untreated|2025-03-v1.0")  # somebody had asked for one condition of the old release
        daemon.server.faults.remove(hidden)
        runs = daemon.settle()
        assert runs[0] == "release_lock:2025-03-v1.2"
        assert set(runs[1:]) == {"images:paclitaxel|2025-03-v1.2", "images:vorinostat|2025-03-v1.2"}


def test_a_late_version_of_an_old_release_that_is_not_kept_is_only_locked(
    with_replacement: Path, tmp_path: Path
) -> None:
    for daemon in daemon_over(with_replacement, tmp_path):
        daemon.server.publish_until(released(with_replacement, "F3SBX5", "1.0"))
        hidden = altering(daemon.server, _without_version("B3SBXX", 2))
        daemon.server.faults.append(hidden)
        daemon.settle()
        daemon.server.faults.remove(hidden)
        assert daemon.settle() == ["release_lock:2025-03-v1.2"]


def _without_version(suffix: str, minor: int) -> Callable[[Request, Any], Any]:
    def change(request: Request, answer: Any) -> Any:
        if not request.path.endswith("/versions") or suffix not in request.query["persistentId"]:
            return None
        answer["data"] = [version for version in answer["data"] if version["versionMinorNumber"] != minor]
        return answer

    return change


def test_an_embargoed_archive_is_fetched_when_its_embargo_ends(sandbox: Path, tmp_path: Path) -> None:
    until = date.today() + timedelta(days=40)  # noqa: DTZ011 - any day to come
    closed = file_of(sandbox, 700636).model_copy(update={"embargo": Embargo(available=until, reason="paper")})
    archive = with_version(sandbox, tmp_path / "embargoed", "B3SBXX 1.2", lambda entries: entries, [closed])
    for daemon in daemon_over(archive, tmp_path):
        daemon.server.publish_until(released(archive, "B3SBXX", "1.2"))
        daemon.effort = "fetches"
        runs = daemon.settle()
        assert set(runs[-2:]) == {"images:untreated|2025-03-v1.2", "images:vorinostat|2025-03-v1.2"}
        assert f"paclitaxel.zip is embargoed until {until}" in daemon.said()
        assert not daemon.check("release_files", "files_accessible", "2025-03-v1.2").passed
        daemon.late = timedelta(days=40)
        assert daemon.requests() == ["images:paclitaxel|2025-03-v1.2"]


def test_an_unknown_treatment_and_cell_line_are_told_and_not_guessed(sandbox: Path, tmp_path: Path) -> None:
    def entries(before: tuple[Entry, ...]) -> Iterator[Entry]:
        yield from before
        yield Entry(file_id=999002, label="cm4ai_ifimages_MDA-MB-468_doxorubicin.zip", directory="Images")
        yield Entry(file_id=999003, label="cm4ai_ifimages_U2OS_paclitaxel.zip", directory="Images")

    files = [file_of(sandbox, 700636).model_copy(update={"id": number}) for number in (999002, 999003)]
    archive = with_version(sandbox, tmp_path / "unknown", "B3SBXX 1.2", entries, files)
    for daemon in daemon_over(archive, tmp_path):
        daemon.server.publish_until(released(archive, "B3SBXX", "1.2"))
        daemon.effort = "fetches"
        runs = daemon.settle()
        assert set(runs[-3:]) == set(image_runs("2025-03-v1.2"))
        check = daemon.check("release_files", "files_recognised", "2025-03-v1.2")
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "Treatment 'doxorubicin' is not known." in str(check.description)
        assert "Treatment 'U2OS_paclitaxel' is not known." in str(check.description)
        assert "conditions.py" in str(check.description)


# --- more than images


def test_other_jobs_follow_the_same_rule_and_what_they_do_not_find_is_an_answer(
    sandbox: Path, tmp_path: Path, every_feed: None
) -> None:
    for daemon in daemon_over(sandbox, tmp_path, "fetches"):
        daemon.server.publish_until(released(sandbox, "H1SBXC", "1.0"))
        first = [request for request in daemon.tick().run_requests or () if request.partition_key == "2026-06-v1.0"]
        daemon.effort = "claims"
        for request in first:
            daemon.run(request)
        daemon.effort = "fetches"
        proteomics = [request for request in daemon.tick().run_requests or () if request.job_name in {"secms", "apms"}]
        assert sorted(told(request) for request in proteomics) == [
            "apms:paclitaxel|2026-06-v1.0",
            "apms:vorinostat|2026-06-v1.0",
            *(f"secms:{condition}|2026-06-v1.0" for condition in ("paclitaxel", "untreated", "vorinostat")),
        ]
        # The ZIPs of June 2026 are named like tables and hold metadata: the runs succeed and make nothing.
        assert all(daemon.run(request) for request in proteomics)
        assert daemon.platform.store.partitions("secms_profiles") == []
        assert _proteomics_requests(daemon) == []
        # A lock that is made again opens the question again; a run of an operator's own is an answer as well.
        assert daemon.run(dg.RunRequest(job_name="release_lock", partition_key="2026-06-v1.0"))
        daemon.late = timedelta(minutes=11)
        assert _proteomics_requests(daemon) == sorted(told(request) for request in proteomics)
        for request in proteomics:
            tables = [dg.AssetKey(name) for name in MADE_BY[str(request.job_name)]]
            own = dg.RunRequest(
                job_name=IMPLICIT_ASSET_JOB_NAME, partition_key=request.partition_key, asset_selection=tables
            )
            assert daemon.run(own)
        assert _proteomics_requests(daemon) == []
        absence = daemon.platform.absences.find("secms_profiles", Partition("2026-06-v1.0", "untreated"))
        assert absence is not None
        assert absence.reason.startswith("This release has no SEC-MS tables")
        daemon.late = timedelta(days=1)
        daemon.server.publish_until(None)
        for request in daemon.tick().run_requests or ():
            if request.partition_key == NEWEST:
                daemon.claim_lock(request)
        assert _proteomics_requests(daemon) == [], "the same bytes hold no more under another version"


def _proteomics_requests(daemon: Daemon) -> list[str]:
    """One tick; what it requests of SEC-MS and AP-MS."""
    return sorted(told(r) for r in daemon.tick().run_requests or () if r.job_name in {"secms", "apms"})


# --- what it shows


def test_a_damaged_record_is_reported_and_the_sensor_goes_on(quarter: Daemon) -> None:
    path = Path(quarter.platform.store.root) / "registry/releases"
    (damaged, *others) = sorted(path.glob("*.json"))
    assert others
    content = damaged.read_text()
    damaged.write_text(content[:50])
    try:
        quarter.late = timedelta(hours=2)
        assert f"{damaged.name} is no release record" in quarter.said()
        check = quarter.check("dataverse_collection", "records_readable")
        assert not check.passed
        assert damaged.name in str(check.description)
        assert "cm4ai releases --register" in str(check.description)
    finally:
        damaged.write_text(content)


def test_the_cursor_and_the_collections_page_tell_what_was_seen(quarter: Daemon) -> None:
    cursor = Cursor.model_validate_json(quarter.cursor or "")
    assert cursor.versions == {"doi:10.5072/FK2/DXSBX5": ["1.0"], "doi:10.5072/FK2/B3SBXX": ["1.0", "1.1"]}
    assert cursor.last_success is not None
    assert cursor.trouble == ""
    shown = quarter.metadata("dataverse_collection")
    assert shown["newest_release"] == "2025-03-v1.1"
    assert "2025-03-v1.0, 2025-03-v1.1" in shown["datasets"]
    assert shown["requests"] == 3
    due = quarter.check("dataverse_collection", "release_due")
    assert "The newest dataset came out on 2025-03-03" in str(due.description)
    assert not due.passed


def test_the_page_is_not_written_at_every_look(quarter: Daemon) -> None:
    assert not quarter.tick().asset_events
    quarter.late = timedelta(hours=3)
    shown = [event for event in quarter.tick().asset_events if isinstance(event, dg.AssetMaterialization)]
    assert [event.asset_key.to_user_string() for event in shown] == ["dataverse_collection"]


def test_the_lag_of_a_release_is_measured_only_under_watch(quarter: Daemon) -> None:
    archive, cursor = quarter.archive, Cursor.model_validate_json(quarter.cursor or "")
    assert cursor.lag == {}
    watched_since = released(archive, "F3SBX5", "1.0") - timedelta(minutes=5)
    quarter.cursor = cursor.model_copy(update={"last_success": watched_since}).text()
    quarter.server.publish_until(released(archive, "F3SBX5", "1.0"))
    quarter.tick()
    assert set(Cursor.model_validate_json(quarter.cursor or "").lag) == {"2025-06-v1.0"}


def test_the_sensor_is_on_and_takes_the_platform_from_the_definitions(daemon: Daemon) -> None:
    sensor = daemon.defs.get_repository_def().get_sensor_def("release_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 30
    context = dg.build_sensor_context(instance=daemon.instance, resources={"platform": daemon.platform})
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    assert len(result.run_requests or ()) == len(ALL)
