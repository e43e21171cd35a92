"""The state of everything, read of storages that are empty, whole and damaged, and its form for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cm4ai_assets.overview import overview
from cm4ai_assets.publication.html import render
from cm4ai_assets.retention import usage
from cm4ai_assets.settings import Settings
from cm4ai_assets.status import as_json, state_of
from cm4ai_assets.status.lines import WIDTH, lines_of
from cm4ai_assets.status.page import page_of
from cm4ai_assets.status.words import open_checks
from cm4ai_assets.storage.layout import Partition, file_digests_path, release_path, table_path
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import table
from cm4ai_assets_tests.status.statuses import KEY, NOW, full, recorded, store_with_a_lock

KEYS = {
    "format", "at", "version", "storage", "instance", "archive", "releases", "freshness", "embargoes", "disk", "checks",
    "incidents", "requests", "automation", "runs", "unknown",
}  # fmt: skip
OF_A_CHECK = {"asset", "check", "partition", "severity", "summary", "since", "run", "pictures", "link"}
OF_A_RELEASE = {
    "release", "doi", "version", "title", "released", "files", "size", "tables", "conditions", "first_written",
    "last_written", "problem",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(scratch=tmp_path / "scratch")


def test_an_empty_storage_has_no_releases_and_what_was_never_asked_is_not_known(
    store: Store, settings: Settings
) -> None:
    found = as_json(state_of(store, settings, NOW))
    assert found["releases"] == found["embargoes"] == []
    assert found["archive"]["last_look"] is None
    assert (found["checks"], found["requests"], found["incidents"], found["runs"]) == (None, None, None, None)
    assert found["freshness"]["overdue"] is None
    assert found["disk"]["stored"] == 0
    said = "\n".join(lines_of(state_of(store, settings, NOW)))
    assert "Needs a person: not known" in said
    assert "what it offers now is not known" in said
    assert not Path(store.root).exists()  # to look makes nothing


def test_a_release_with_its_conditions_embargoes_and_disk(store: Store, settings: Settings) -> None:
    found = as_json(state_of(store_with_a_lock(store), settings, NOW))
    (release,) = found["releases"]
    assert release["release"] == KEY
    assert {name: one["state"] for name, one in release["conditions"].items()} == {
        "untreated": "locked", "paclitaxel": "locked", "vorinostat": "locked",
    }  # fmt: skip
    assert release["tables"] == ["release_files"]
    assert release["last_written"] is not None
    assert [(one["ends"], one["has_ended"], one["files"]) for one in found["embargoes"]] == [
        ("2026-11-01", True, ["was-closed.zip"]), ("2026-12-24", False, ["closed.zip"]),
    ]  # fmt: skip
    (disk,) = found["disk"]["releases"]
    assert disk["release"] == KEY
    assert disk["size"] == disk["own"] + disk["shared"] > 0
    assert found["disk"]["stored"] >= disk["size"]
    assert found["freshness"] == {
        "newest_release": KEY, "days_since_last_dataset": 162, "overdue": False,
        "summary": found["freshness"]["summary"],
    }  # fmt: skip


def test_what_cannot_be_read_is_not_known_and_takes_nothing_else_along(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_with_a_lock(store)

    def away(_: object) -> None:
        raise OSError("The disk does not answer")

    monkeypatch.setattr(ReleaseRegistry, "all", away)
    status = state_of(store, settings, NOW, recorded=recorded())
    found = as_json(status)
    assert (found["releases"], found["freshness"], found["disk"]) == (None, None, None)
    assert len(found["embargoes"]) == 2
    assert found["checks"]["evaluated"] == 245
    assert any(text.startswith("The releases cannot be read: ") for text in found["unknown"])
    assert "Releases: not known" in list(lines_of(status))


OLDER = "2025-10-v1.0"


@pytest.fixture
def two(store: Store) -> Store:
    """Two registered and locked releases, of which one is to be damaged."""
    store_with_a_lock(store)
    store_with_a_lock(store, "October 2025 Data Release", doi="doi:10.5072/FK2/OLDER", key=OLDER, month=(2025, 10))
    return store


def damaged(store: Store, what: str) -> str:
    """Damage the lock or the record of one release; the path of its file."""
    path = release_path(OLDER) if what == "record" else table_path(table("release_files"), Partition(OLDER))
    file = Path(store.address(path))
    whole = file.read_bytes()
    # Of the column, only who reads that column sees that it is damaged.
    file.write_bytes(whole[:4] + bytes(64) + (whole[68:] if what == "column" else b"PAR1"))
    return path


@pytest.mark.parametrize(
    ("what", "remedy", "section"),
    [
        ("lock", f"cm4ai materialize --release {OLDER}", "stored-bytes-damaged"),
        ("column", f"cm4ai materialize --release {OLDER}", "stored-bytes-damaged"),
        ("record", "cm4ai releases --register", "release-record"),
    ],
)
def test_a_damaged_lock_or_record_stays_with_its_release(
    what: str, remedy: str, section: str, two: Store, settings: Settings
) -> None:
    before = as_json(state_of(two, settings, NOW))
    path = damaged(two, what)
    status = state_of(two, settings, NOW)
    found = as_json(status)
    states = {one["release"]: {state["state"] for state in one["conditions"].values()} for one in found["releases"]}
    assert states == {KEY: {"locked"}, OLDER: {"unknown"}}
    whole, one = sorted(found["releases"], key=lambda release: release["release"] == OLDER)
    assert whole == before["releases"][1]
    assert set(one) == set(whole)
    assert (one["files"], one["tables"], whole["problem"]) == (None, [], None)
    assert path in one["problem"]
    assert remedy in one["problem"]
    assert found["freshness"]["newest_release"] == KEY
    assert found["freshness"]["overdue"] is False
    late = state_of(two, settings, NOW + timedelta(days=400))
    assert as_json(late)["freshness"]["overdue"] is True  # what is damaged is older, by its key
    assert any(line.startswith("  OVERDUE. The newest dataset came out") for line in lines_of(late))
    assert [embargo for embargo in before["embargoes"] if embargo["release"] == KEY] == [
        embargo for embargo in found["embargoes"] if embargo["release"] == KEY
    ]  # fmt: skip
    assert [disk["size"] for disk in found["disk"]["releases"] if disk["release"] == KEY] == [
        disk["size"] for disk in before["disk"]["releases"] if disk["release"] == KEY
    ]  # fmt: skip
    (said,) = [text for text in found["unknown"] if remedy in text]
    assert said.endswith(f"See docs/runbook.md#{section}")
    assert len({text for text in found["unknown"] if path in text}) == 2  # and that what it refers to is not known
    rows = [line.split() for line in lines_of(status) if line.startswith((KEY, OLDER))]
    assert [(row[0], row[1]) for row in sorted(rows)] == [(OLDER, "unknown"), (KEY, "locked")]
    assert any(" stored, not known what could go" in line for line in lines_of(status))
    html = render(page_of(status)).decode()
    assert html.count(">unknown</span>") == 3
    assert remedy in html
    assert "Nothing could go." not in html  # which is not known
    assert f'href="../../runbook#{section}"' in html


def test_whether_a_release_is_overdue_is_not_known_where_the_newest_record_is_lost(
    two: Store, settings: Settings
) -> None:
    Path(two.address(release_path(KEY))).write_text("no record")
    found = as_json(state_of(two, settings, NOW + timedelta(days=400)))["freshness"]
    assert (found["newest_release"], found["overdue"]) == (OLDER, None)


def test_a_damaged_lock_is_nobody_elses_whose_files_are_the_same(two: Store, settings: Settings) -> None:
    """Both locks name the same files: whether one release holds for the other is asked of both."""
    archive = table("if_tensors").empty()
    with two.stage_table("if_tensors", Partition(OLDER, "untreated"), archive) as staged:
        two.publish_table(staged)
    assert overview(two, None)[1].conditions["untreated"].state == "shared"
    damaged(two, "lock")
    older, newer = overview(two, None)
    assert newer.problem is None
    assert newer.conditions["untreated"].state == "locked"
    assert older.problem is not None
    assert usage(two).unknown == tuple(one for one in usage(two).unknown if OLDER in one and KEY not in one) != ()


def test_a_damaged_lock_of_a_release_that_is_not_registered_keeps_what_may_hold_for_another(two: Store) -> None:
    with two.stage_table("if_tensors", Partition(OLDER, "untreated"), table("if_tensors").empty()) as staged:
        two.publish_table(staged)
    for record in (release_path(OLDER), file_digests_path(release_path(OLDER))):
        Path(two.address(record)).unlink()
    shared = usage(two, young=timedelta(0))
    assert (shared.unknown, shared.could_go) == ((), ())
    path = damaged(two, "lock")
    assert [text for text in usage(two, young=timedelta(0)).unknown if path in text]
    assert usage(two, young=timedelta(0)).could_go == ()


def test_the_form_for_programs_is_the_documented_one(store: Store) -> None:
    found = json.loads(json.dumps(as_json(full(store))))
    assert found["format"] == 1
    assert set(found) == KEYS
    assert set(found["checks"]["open"][0]) == OF_A_CHECK
    assert set(found["releases"][0]) == OF_A_RELEASE
    assert found["archive"]["last_success"] == "2026-11-27T00:00:00+00:00"
    assert [one["waits"] for one in found["requests"]] == ["2 runs.", None]
    assert found["automation"]["daemon"] is False
    assert found["runs"][0] == {"day": "2026-11-20", "succeeded": 4, "failed": 1, "cancelled": 1}
    operations = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
    assert all(f"`{key}`" in operations for key in KEYS)


def test_the_lines_fit_a_terminal_and_say_what_waits(store: Store) -> None:
    lines = list(lines_of(full(store)))
    long = [line for line in lines if len(line) > WIDTH]
    assert all(line.startswith("  ") for line in long)  # whole sentences, which a terminal wraps
    said = "\n".join(lines)
    assert "Needs a person: 1 failure, 1 warning, 1 news" in said
    assert "  queued run bbbbbbbb: images of untreated|2026-06-v2.0. 2 runs." in said
    assert "  failure if_archive.zip_safe (paclitaxel|2026-06-v2.0): said" in said
    assert "nightly_scrub OFF, never" in said
    assert "Daemon: not running" in said
    assert "2026-12-24  2026-06-v2.0  1 files, 1.00 kB" in said
    assert "2026-11-01" not in said


def test_checks_are_put_together_and_those_that_fail_come_first() -> None:
    failing, warning = open_checks(recorded().checks)
    assert failing.is_failure
    assert (warning.name, len(warning.states)) == ("if_quality.in_focus", 2)
    assert warning.partitions == f"untreated|{KEY} and 1 more"
    assert open_checks([]) == []
    assert open_checks([replace(warning.latest, partition=None)])[0].partitions == ""
