"""The nightly scrubbing: it reads its share, reports damage as a failed run, and can be switched off."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.definitions import build
from cm4ai_assets.defs.scrubbing import nightly_scrub, scrub_job
from cm4ai_assets.platform import Platform
from cm4ai_assets.settings import GB, Settings

DATA = bytes(range(256)) * 1024


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    platform = Platform(Settings(storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch"))
    for number in range(3):
        data = bytes([number]) + DATA
        (tmp_path / "data").write_bytes(data)
        platform.blobs.add(tmp_path / "data", hashlib.sha256(data).hexdigest(), {})
        (tmp_path / "data").unlink()
    return platform


def run(platform: Platform) -> dg.ExecuteInProcessResult:
    return scrub_job.execute_in_process(resources={"platform": platform}, raise_on_error=False)


def error_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    return event.step_failure_data.error_display_string


def test_each_night_reads_its_share_and_in_the_end_everything_was_read(platform: Platform, tmp_path: Path) -> None:
    notes = tmp_path / "storage" / "registry" / "verified"
    for note in notes.rglob("*.json"):
        note.unlink()
    small = Platform(replace(platform.settings, scrub_bytes=1))
    for nights in (1, 2, 3):
        assert run(small).success
        assert len(list(notes.rglob("*.json"))) == nights
    assert run(Platform(replace(platform.settings, scrub_bytes=0))).success


def test_damage_fails_the_run_and_is_named_and_what_is_whole_does_not(platform: Platform, tmp_path: Path) -> None:
    assert run(platform).success
    damaged = platform.blobs.all()[1]
    path = tmp_path / "storage" / platform.blobs.path(damaged)
    path.chmod(0o644)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    result = run(platform)
    assert not result.success
    assert f"1 of 3 stored things are not what was published. blob {damaged[:12]}" in error_of(result)
    assert f"cm4ai withdraw {damaged}" in error_of(result)


def test_an_op_that_is_switched_off_reads_nothing(platform: Platform, tmp_path: Path) -> None:
    for path in (tmp_path / "storage" / "blobs" / "sha256").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"")
    assert run(Platform(replace(platform.settings, scrub_bytes=0))).success
    assert not run(platform).success


def test_the_schedule_is_on_and_part_of_the_definitions() -> None:
    defs = build()
    assert defs.resolve_schedule_def("nightly_scrub").job_name == "scrub"
    assert nightly_scrub.default_status is dg.DefaultScheduleStatus.RUNNING
    assert defs.resolve_job_def("scrub").name == "scrub"
    assert Settings.from_env({"HOME": "/tmp"}).scrub_bytes == 10 * GB
    assert Settings.from_env({"HOME": "/tmp", "CM4AI_SCRUB_GB": "0"}).scrub_bytes == 0
    for wrong in ("-1", "ten", "1.5", "9" * 9):
        with pytest.raises(Exception, match="CM4AI_SCRUB_GB"):
            Settings.from_env({"HOME": "/tmp", "CM4AI_SCRUB_GB": wrong})
