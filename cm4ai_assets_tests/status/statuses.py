"""States of a platform, made by hand: an empty one, and one in which every part says something."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from PIL import Image

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.errors import ReleaseRecordError
from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.overview import ConditionState, ReleaseState
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.status import Recorded, Status, state_of
from cm4ai_assets.status.recorded import CheckState, Day, Look, Picture, Request, Ticker
from cm4ai_assets.status.state import LostRelease, ReleaseLine
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import table

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
KEY = "2026-06-v2.0"
RECORD = ReleaseRecord(
    key="", doi="doi:10.5072/FK2/STATUS", major=2, minor=0, title="June 2026 Data Release", published=date(2026, 6, 17),
    released=datetime(2026, 6, 17, 12, tzinfo=UTC), archive="http://127.0.0.1:9",
)  # fmt: skip


def store_with_a_lock(
    store: Store,
    title: str = RECORD.title,
    *,
    doi: str = RECORD.doi,
    key: str = KEY,
    month: tuple[int, int] = (2026, 6),
) -> Store:
    """One registered release, or one more, with a lock of a public and an embargoed file."""
    major, minor = map(int, key.rsplit("v", 1)[1].split("."))
    day = date(*month, 17)
    record = replace(RECORD, title=title, doi=doi, major=major, minor=minor, published=day,
                     released=datetime(*month, 17, 12, tzinfo=UTC))  # fmt: skip
    registry = ReleaseRegistry(store)
    registry.register([record])
    assert registry.get(key).doi == doi
    row = {
        "doi": doi, "version": record.version, "directory": "", "is_ingested": False, "modality": "if",
        "role": "images", "recognised_by": "test", "file_condition": "untreated", "size": 1_000,
        "digest_type": "MD5", "access": "embargoed",
    }  # fmt: skip
    rows = [
        {**row, "label": "open.zip", "file_id": 1, "digest": "1" * 32, "access": "public"},
        {
            **row,
            "label": "closed.zip",
            "file_id": 2,
            "digest": "2" * 32,
            "access": "embargoed",
            "available_on": date(2026, 12, 24),
        },
        {
            **row,
            "label": "was-closed.zip",
            "file_id": 3,
            "digest": "3" * 32,
            "access": "embargoed",
            "available_on": date(2026, 11, 1),
        },
    ]
    frame = table("release_files").from_rows(rows, release=key)
    with store.stage_table("release_files", Partition(key), frame) as staged:
        store.publish_table(staged)
    return store


def picture() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (60, 30), "#2a5fd0").save(target, "PNG")
    return target.getvalue()


def recorded(text: str = "said") -> Recorded:
    """Everything that an instance can have recorded, with one text wherever one of a server can stand."""
    check = CheckState(
        "if_quality", "in_focus", f"untreated|{KEY}", "warning", text, NOW - timedelta(days=2), "a" * 36,
        (Picture(f"a field: {text}", "image/png", picture()),),
    )  # fmt: skip
    blocking = CheckState("if_archive", "zip_safe", f"paclitaxel|{KEY}", "failure", text, NOW - timedelta(hours=3))
    older = CheckState("if_quality", "in_focus", f"vorinostat|{KEY}", "warning", text, NOW - timedelta(days=9))
    return Recorded(
        where="/home/of/dagster",
        look=Look(NOW - timedelta(minutes=4), NOW - timedelta(hours=2), 5, 10, f"The archive does not answer: {text}"),
        checks=(check, blocking, older),
        evaluated=245,
        requests=(
            Request(
                "run", "b" * 36, "images", f"untreated|{KEY}", "queued", NOW - timedelta(minutes=9), text, "2 runs."
            ),
            Request("backfill", "abcdefgh", "if_fields", None, "requested", NOW - timedelta(hours=1), "a person"),
        ),
        tickers=(
            Ticker("release_sensor", "sensor", True, NOW - timedelta(seconds=40), "skipped", text),
            Ticker("nightly_scrub", "schedule", False),
        ),
        days=(Day(date(2026, 11, 20), 4, 1, 1), Day(date(2026, 11, 27), 9, 0, 0)),
        daemon=False,
    )


def incidents(text: str = "said") -> list[Incident]:
    link = "/assets/if_quality?view=checks&checkDetail=in_focus"
    return [
        Incident(
            "run:x", Kind.RUN_FAILED, Severity.FAILURE, f"Run failed: {text}", text, "/runs/x", "a-run-failed", NOW
        ),
        Incident(f"check:if_quality:in_focus:untreated|{KEY}", Kind.CHECK_WARNS, Severity.WARNING, "Check", text, link),
        Incident(f"release:{KEY}", Kind.RELEASE_NEW, Severity.NEWS, f"New release {KEY}", text, "/", None, NOW),
    ]


def several(store: Store) -> Status:
    """As `full`, with releases in every state, and with numbers and names as long as those of a platform in use."""
    states = (
        ("2025-02-v1.4", ("registered",) * 3, None, 0, None),
        ("2025-06-v1.0", ("locked", "in part", "stored"), (43, 1_204_000_000), 3, timedelta(days=412)),
        ("2025-09-v1.1", ("tensors",) * 3, (152, 213_539_902_273), 27, timedelta(days=90)),
        ("2026-06-v2.0", ("shared", "tensors", "shared"), (1_043, 13_539_902_273_000), 27, timedelta(minutes=59)),
        ("2026-09-v2.10", ("shared",) * 3, (152, 213_539_902_273), 27, timedelta(hours=47)),
    )
    lines = []
    for key, words, files, count, age in states:
        record = replace(RECORD, key=key, released=None, published=date(int(key[:4]), int(key[5:7]), 17))
        of_all = [ConditionState(one, shared_with="2025-09-v1.1" if one == "shared" else None) for one in words]
        number, size = files or (None, None)
        tables = tuple(f"table_{number}" for number in range(count))
        conditions = dict(zip(CONDITIONS, of_all, strict=True))
        state = ReleaseState(record, None, number, size, tables, conditions)
        lines.append(ReleaseLine(state, newest=None if age is None else NOW - age))
    lost = LostRelease("2024-12-v1.0", ReleaseRecordError("It is no record", remedy="Bring it back."))
    return replace(full(store), releases=tuple(lines), lost=(lost,))


def full(store: Store, text: str = "said", **others: object) -> Status:
    """A state in which every part says something."""
    settings = Settings(scratch=Path(store.root) / "no-scratch", **others)  # type: ignore[arg-type]
    return state_of(
        store_with_a_lock(store, text), settings, NOW, recorded=recorded(text), incidents=incidents(text),
        unknown=[f"A file cannot be read: {text}"],
    )  # fmt: skip
