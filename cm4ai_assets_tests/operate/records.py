"""A release record for tests."""

from __future__ import annotations

from datetime import date

from cm4ai_assets.releases import ReleaseRecord


def record(doi: str, *, major: int = 2, minor: int = 0) -> ReleaseRecord:
    return ReleaseRecord(
        key="", doi=doi, major=major, minor=minor, title="June 2026 Data Release", published=date(2026, 6, 17),
        released=None, archive="http://127.0.0.1:9",
    )  # fmt: skip
