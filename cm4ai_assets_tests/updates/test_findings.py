"""Checks of a release and of the collection, on the published releases."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.lock import lock_frame
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import Settings
from cm4ai_assets.updates.findings import (
    OVERDUE_AFTER,
    files_accessible,
    files_recognised,
    image_archives_paired,
    release_due,
)
from cm4ai_assets_tests.updates.test_changes import ZIP, file, lock, record

# First publication of each dataset (data reference, 5).
PUBLISHED = {
    "DXWOS5": "2024-05-01",
    "B35XWX": "2025-03-03",
    "F3TD5R": "2025-07-01",
    "K7TGEM": "2025-10-31",
    "HIGT4C": "2026-06-17",
}
VERSIONS = {
    "V3/B35XWX": {"1.4": 6},
    "V3/F3TD5R": {"1.0": 21, "2.0": 21, "2.1": 21},
    "V3/K7TGEM": {"2.1": 8},
    "V3/HIGT4C": {"2.0": 10},
}


def test_every_file_of_every_real_release_is_recognised_and_has_its_conditions(real_history: Path) -> None:
    with SandboxServer(real_history) as server, DataverseClient(server.url) as client:
        for dataset, versions in VERSIONS.items():
            for number, count in versions.items():
                frame = lock_frame(client.version(f"doi:10.18130/{dataset}", number), release="2025-06-v1.0")
                assert frame.height == count
                for finding in (files_recognised(frame), image_archives_paired(frame), files_accessible(frame)):
                    assert finding.passed, (dataset, number, finding.summary)
                images = frame.filter(modality="if", role="images")
                assert sorted(images["file_condition"]) == ["paclitaxel", "untreated", "vorinostat"]
                assert frame["role"].null_count() == 0


def test_what_is_missing_double_or_closed_is_named() -> None:
    frame = lock(
        file(1, f"Images/{ZIP}", "a", access="embargoed", available_on=date(2030, 1, 1)),
        file(2, f"more/{ZIP}", "b", access="restricted"),
        file(3, "Images/cm4ai_ifimages_MDA-MB-468_untreated.zip", "c"),
    )
    paired = image_archives_paired(frame)
    assert not paired.passed
    assert paired.summary == "Not one image archive each: paclitaxel has 2, vorinostat has 0."
    closed = files_accessible(frame)
    assert not closed.passed
    assert closed.summary.startswith("1 embargoed, 1 restricted of 3 files. The first embargo ends on 2030-01-01")


@pytest.mark.parametrize("days", [30, 100, 230, 306, 360])
def test_no_gap_so_far_is_an_alarm(days: int) -> None:
    records = [record(f"2025-0{n}-v1.0", doi, "1.0", day) for n, (doi, day) in enumerate(PUBLISHED.items(), 1)]
    for known in range(1, len(records) + 1):
        last = records[known - 1].came_out
        assert release_due(records[:known], last + timedelta(days=days)).passed


def test_a_year_of_silence_is() -> None:
    records = [record(f"2025-0{n}-v1.0", doi, "1.0", day) for n, (doi, day) in enumerate(PUBLISHED.items(), 1)]
    now = datetime(2026, 6, 17, tzinfo=UTC) + OVERDUE_AFTER + timedelta(days=1)
    finding = release_due(records, now)
    assert not finding.passed
    assert "366 days ago, 274 days more than a quarter. The longest gap so far was 306 days" in finding.summary
    # A correction of an old dataset is no new release.
    corrected = record("2025-03-v1.1", "HIGT4C", "2.0", "2027-06-01")
    assert not release_due([*records, corrected], now).passed
    assert not release_due([], now).passed


@pytest.mark.parametrize("value", ["-1", "soon", "3600.5", "86400"])
def test_a_watch_that_would_count_as_asleep_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="CM4AI_POLL_SECONDS"):
        Settings.from_env({"CM4AI_POLL_SECONDS": value})
    assert Settings.from_env({"CM4AI_POLL_SECONDS": "60"}).poll_seconds == 60
