"""The state of everything through Dagster: what the instance says, the page behind the gate, when it is made again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._daemon.types import DaemonHeartbeat

from cm4ai_assets import cli, tables
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.names import REASON_TAG
from cm4ai_assets.defs.selection import waves
from cm4ai_assets.defs.status.asking import checks_of, pictures, recorded
from cm4ai_assets.defs.status.reading import read_status
from cm4ai_assets.defs.status.refreshing import AT_MOST_EVERY, is_own, refresh
from cm4ai_assets.plain import from_markdown
from cm4ai_assets.platform import Platform
from cm4ai_assets.settings import Settings
from cm4ai_assets.status.page import BESIDE
from cm4ai_assets.storage.layout import Partition, table_path
from cm4ai_assets.tables import table
from cm4ai_assets.tables.status import PLATFORM_STATUS
from cm4ai_assets_tests.defs.conftest import Workbench
from cm4ai_assets_tests.status.statuses import KEY, picture, store_with_a_lock

IMAGE = f"![two fields \\| one](data:image/png;base64,{base64.b64encode(picture()).decode()})"
OWN = frozenset({dg.AssetKey(PLATFORM_STATUS.name)})


def workbench(folder: Path, instance: dg.DagsterInstance) -> Workbench:
    settings = Settings.served_by("http://127.0.0.1:9", storage=str(folder / "storage"), scratch=folder / "scratch")
    return Workbench(Platform(settings), instance)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as made:  # an ephemeral one has no sensors
        yield made


@pytest.fixture
def bench(tmp_path: Path, instance: dg.DagsterInstance) -> Workbench:
    """One locked release, no archive that could be asked, and a check that warns."""
    made = workbench(tmp_path, instance)
    store_with_a_lock(made.platform.store)
    sync_partitions(instance, made.platform.registry)
    return made


def report(instance: dg.DagsterInstance, *, passed: bool, partition: str = f"untreated|{KEY}") -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("if_quality"), check_name="in_focus", passed=passed, partition=partition,
            severity=dg.AssetCheckSeverity.WARN, description="2 of 46 rows\\.",
            metadata={"shown": dg.MetadataValue.md(IMAGE)},
        )
    )  # fmt: skip


def test_the_page_is_published_with_what_storage_and_instance_say(bench: Workbench) -> None:
    report(bench.instance, passed=False)
    (outcome,) = bench.run(KEY, selection="platform_status")
    assert outcome.succeeded, outcome.failure
    assert [(check.check_name, check.passed) for check in outcome.checks] == [
        ("well_formed", True),
        ("everything_read", True),
    ]
    store = bench.platform.store
    published = store.document(PLATFORM_STATUS, Partition())
    assert set(published.files) == {"index.html", "status.json"}
    found = json.loads(store.read(f"{published.folder}/status.json"))
    (check,) = found["checks"]["open"]
    assert (check["asset"], check["partition"], check["pictures"]) == ("if_quality", f"untreated|{KEY}", 1)
    assert found["requests"] == []  # not the run that read it
    assert [one["release"] for one in found["releases"]] == [KEY]
    html = store.read(published.entry).decode()
    assert f'href="{BESIDE}/assets/if_quality?view=checks&amp;checkDetail=in_focus"' in html
    assert base64.b64encode(picture()).decode() in html
    record = bench.instance.fetch_materializations(dg.AssetKey("platform_status"), limit=1).records[0]
    assert record.asset_materialization is not None
    shown = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    assert str(shown["open"]).startswith("[index.html](/documents/platform_status/)")
    assert shown["checks_that_warn_or_fail"] == 1


def test_the_page_of_a_damaged_release_is_published_and_its_check_warns(bench: Workbench) -> None:
    store = bench.platform.store
    path = table_path(table("release_files"), Partition(KEY))
    Path(store.address(path)).write_bytes(b"PAR1")
    (outcome,) = bench.run(KEY, selection="platform_status")
    assert outcome.succeeded, outcome.failure
    whole, read = outcome.checks
    assert (whole.check_name, whole.passed) == ("well_formed", True)
    assert (read.check_name, read.passed, read.severity) == ("everything_read", False, dg.AssetCheckSeverity.WARN)
    assert read.description is not None
    assert path in from_markdown(read.description)
    assert "#release-record" in str(read.metadata)
    found = json.loads(store.read(f"{store.document(PLATFORM_STATUS, Partition()).folder}/status.json"))
    assert {one["state"] for one in found["releases"][0]["conditions"].values()} == {"unknown"}


def test_of_a_check_those_partitions_are_open_in_which_it_does_not_pass(bench: Workbench) -> None:
    settings, now = bench.platform.settings, datetime.now(UTC)
    report(bench.instance, passed=False, partition=f"vorinostat|{KEY}")
    report(bench.instance, passed=True)
    found = recorded(bench.instance, settings, now, checks_of(bench.instance))
    assert [one.partition for one in found.checks] == [f"vorinostat|{KEY}"]
    assert found.evaluated == 2
    status = read_status(bench.instance, bench.platform.store, settings, now)
    assert status.incidents is not None
    assert f"check:if_quality:in_focus:vorinostat|{KEY}" in {one.key for one in status.incidents}


def test_pictures_are_taken_out_of_what_a_check_shows() -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("a"), check_name="c", passed=False,
        metadata={
            "two": dg.MetadataValue.md(f"| a | b |\n|---|---|\n| {IMAGE} | {IMAGE} |"),
            "text": "![x](data:image/png;base64,AAAA)",
            "broken": dg.MetadataValue.md("![x](data:image/png;base64,A)"), "number": 3,
        },
    )  # fmt: skip
    found = list(pictures(evaluation))
    assert [(one.alt, one.mime, one.data) for one in found] == [("two fields | one", "image/png", picture())] * 2


def test_what_waits_says_why(bench: Workbench) -> None:
    instance, settings = bench.instance, bench.platform.settings
    create_run_for_test(
        instance, job_name="images", status=dg.DagsterRunStatus.NOT_STARTED,
        tags={"dagster/partition": f"untreated|{KEY}", REASON_TAG: "nothing of it is published"},
    )  # fmt: skip
    (waiting,) = recorded(instance, settings, datetime.now(UTC), checks_of(instance)).requests
    assert (waiting.what, waiting.partition, waiting.state) == ("images", f"untreated|{KEY}", "queued")
    assert waiting.asked_by == "nothing of it is published"
    assert waiting.waits == "No daemon runs that would take it: `make ui` starts one."


def test_a_queue_that_is_full_says_so() -> None:
    with instance_for_test(overrides={"concurrency": {"runs": {"max_concurrent_runs": 1}}}) as made:
        for daemon in made.get_required_daemon_types():
            made.add_daemon_heartbeat(DaemonHeartbeat(datetime.now(UTC).timestamp(), daemon, "one", []))
        create_run_for_test(made, job_name="images", status=dg.DagsterRunStatus.STARTED)
        create_run_for_test(made, job_name="secms", status=dg.DagsterRunStatus.NOT_STARTED)
        running, queued = recorded(made, Settings(), datetime.now(UTC), checks_of(made)).requests
    assert (running.state, running.waits) == ("running", "")
    assert queued.waits == "1 runs are under way, and no more than 1 may be at once."


def test_it_is_made_again_when_runs_have_ended_and_not_because_it_was_made(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC) + timedelta(seconds=5)
    assert isinstance(refresh(instance, None, now), dg.SkipReason)
    create_run_for_test(instance, job_name="images", status=dg.DagsterRunStatus.SUCCESS)
    first = refresh(instance, None, now)
    assert isinstance(first, dg.SensorResult)
    assert len(first.run_requests or ()) == 1
    for job, selection in (("status", None), ("__ASSET_JOB", OWN)):
        made = create_run_for_test(
            instance, job_name=job, asset_selection=selection, status=dg.DagsterRunStatus.STARTED
        )
        instance.report_run_failed(made)
    again = refresh(instance, first.cursor, now + timedelta(hours=1))
    assert isinstance(again, dg.SkipReason)
    assert again.skip_message == "No run has ended since the page was made."


def test_while_runs_go_on_it_is_made_now_and_then(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC) + timedelta(seconds=5)
    create_run_for_test(instance, job_name="images", status=dg.DagsterRunStatus.STARTED)
    failing = create_run_for_test(instance, job_name="images", status=dg.DagsterRunStatus.STARTED)
    create_run_for_test(instance, job_name="images", status=dg.DagsterRunStatus.SUCCESS)
    first = refresh(instance, None, now)
    assert isinstance(first, dg.SensorResult)
    instance.report_run_failed(failing)
    soon = refresh(instance, first.cursor, now + timedelta(minutes=1))
    assert isinstance(soon, dg.SkipReason)
    assert "1 runs are under way" in str(soon.skip_message)
    later = refresh(instance, first.cursor, now + AT_MOST_EVERY)
    assert isinstance(later, dg.SensorResult)
    assert later.run_requests is not None
    assert first.run_requests is not None
    assert later.run_requests[0].run_key != first.run_requests[0].run_key
    create_run_for_test(instance, job_name="status", status=dg.DagsterRunStatus.NOT_STARTED)
    assert isinstance(refresh(instance, None, now + AT_MOST_EVERY), dg.SkipReason)  # one at a time


def test_a_run_that_makes_it_with_others_is_no_run_of_the_page(instance: dg.DagsterInstance) -> None:
    both = frozenset({*OWN, dg.AssetKey("usage_metrics")})
    assert not is_own(create_run_for_test(instance, job_name="__ASSET_JOB", asset_selection=both))
    assert is_own(create_run_for_test(instance, job_name="__ASSET_JOB", asset_selection=OWN))


def test_it_is_made_last_of_what_is_made_together(bench: Workbench) -> None:
    found = waves(bench.defs, "*")
    assert found[-1].assets == (dg.AssetKey("platform_status"),)
    assert all(dg.AssetKey("platform_status") not in wave.assets for wave in found[:-1])
    assert PLATFORM_STATUS in tables.DOCUMENTS


def test_the_command_needs_no_instance_no_daemon_and_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("STORAGE", "SCRATCH"):
        monkeypatch.setenv(f"CM4AI_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CM4AI_DATAVERSE_URL", "http://127.0.0.1:9")
    assert cli.main(["status"]) == cli.DONE
    assert "There is no Dagster instance yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    platform = Platform(Settings.from_env())
    store_with_a_lock(platform.store, "June 2026 Data Release \x1b[31m\u202e")
    assert cli.main(["status", "--json"]) == cli.DONE
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert json.loads(text)["releases"][0]["release"] == KEY
    assert json.loads(text)["requests"] is None
