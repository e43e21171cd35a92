"""The state of everything, read of storages that are empty, whole and damaged, and its form for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cm4ai_assets.settings import Settings
from cm4ai_assets.status import as_json, state_of
from cm4ai_assets.status.lines import WIDTH, lines_of
from cm4ai_assets.status.words import open_checks
from cm4ai_assets.storage.layout import Partition, table_path
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
    "last_written",
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


def test_what_cannot_be_read_is_not_known_and_takes_nothing_else_along(store: Store, settings: Settings) -> None:
    store_with_a_lock(store)
    lock = Path(store.address(table_path(table("release_files"), Partition(KEY))))
    lock.write_bytes(b"PAR1" + b"\x00" * 200 + b"PAR1")
    status = state_of(store, settings, NOW, recorded=recorded())
    assert status.releases is None
    assert status.embargoes is None
    assert status.usage is not None
    found = as_json(status)
    assert (found["releases"], found["embargoes"], found["freshness"]) == (None, None, None)
    assert found["checks"]["evaluated"] == 245
    assert any(text.startswith("The releases cannot be read: ") for text in found["unknown"])
    assert "Releases: not known" in list(lines_of(status))


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
