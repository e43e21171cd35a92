"""News of the archive: which releases and which ended embargoes are worth a message, and for how long."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.news import NEWS_FOR, Newsroom

NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
ENDED = date(2026, 11, 20)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")


def register(store: Store, month: int, minor: int, written: datetime, doi: str = "doi:10.5072/FK2/A") -> str:
    record = ReleaseRecord(
        key="",
        doi=doi,
        major=1,
        minor=minor,
        title="A data release",
        published=date(2026, month, 1),
        released=None,
        archive="http://archive",
    )
    (new,) = ReleaseRegistry(store).register([record])
    os.utime(store.location(layout.release_path(new.key)), (written.timestamp(), written.timestamp()))
    return new.key


def news(store: Store, now: datetime = NOW, room: Newsroom | None = None) -> list[Incident]:
    return list((room or Newsroom()).incidents(store, now))


def test_a_release_is_news_for_two_weeks_and_those_of_the_setup_are_none(store: Store) -> None:
    assert news(store) == []
    start = NOW - timedelta(days=30)
    register(store, 1, 0, start)
    register(store, 2, 0, start + timedelta(minutes=5), "doi:10.5072/FK2/B")
    assert news(store, start + timedelta(days=1)) == []
    key = register(store, 3, 0, NOW - timedelta(days=1), "doi:10.5072/FK2/C")
    (one,) = news(store)
    assert (one.kind, one.title, one.since) == (Kind.RELEASE_NEW, f"New release {key}", NOW - timedelta(days=1))
    assert news(store, NOW + NEWS_FOR) == []


def lock(store: Store, key: str, ends: date | None) -> None:
    """A lock of one file, under an embargo or not."""
    row = {
        "release": key,
        "label": "reads.zip",
        "directory": "",
        "size": 5_000_000,
        "access": "embargoed" if ends else "public",
        "available_on": ends,
    }
    frame = pl.DataFrame([row], schema={name: RELEASE_FILES.polars_schema[name] for name in row})
    path = Path(store.location(layout.table_path(RELEASE_FILES, Partition(key))))
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


def test_an_embargo_that_ended_is_news_once_for_each_dataset_and_a_lock_is_read_once(store: Store) -> None:
    start, room = NOW - timedelta(days=300), Newsroom()
    older, newer = register(store, 1, 0, start), register(store, 1, 1, start)
    lock(store, older, ENDED)
    lock(store, newer, ENDED)
    (one,) = news(store, room=room)
    assert (one.kind, one.title) == (Kind.EMBARGO_ENDED, f"An embargo ended: {newer}")
    assert one.text == f"Available since {ENDED}: reads.zip (5.00 MB). What is made of it is requested."
    assert news(store, datetime(2026, 11, 19, 23, 59, tzinfo=UTC), room) == []
    assert news(store, NOW + NEWS_FOR, room) == []
    lock(store, newer, None)
    assert news(store, room=room) == []
    lock(store, newer, ENDED + timedelta(days=365))
    assert news(store, room=room) == []
    assert room.embargoes(store)[newer][0].ends == ENDED + timedelta(days=365)


def test_a_lock_that_cannot_be_read_is_said_of_its_release_alone(store: Store) -> None:
    older = register(store, 3, 0, NOW - timedelta(days=60))
    newer = register(store, 6, 0, NOW - timedelta(days=60), "doi:10.5072/FK2/B")
    lock(store, older, date(2026, 11, 20))
    lock(store, newer, date(2026, 11, 21))
    room = Newsroom()
    assert {one.key for one in news(store, room=room)} == {f"embargo:{older}:2026-11-20", f"embargo:{newer}:2026-11-21"}
    path = Path(store.location(layout.table_path(RELEASE_FILES, Partition(older))))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    said = {one.key: one for one in news(store, room=room)}
    assert set(said) == {f"lock:{older}", f"embargo:{newer}:2026-11-21"}
    one = said[f"lock:{older}"]
    assert (one.kind, one.severity, one.runbook) == (Kind.LOCK_DAMAGED, Severity.FAILURE, "stored-bytes-damaged")
    assert f"cm4ai withdraw {layout.table_path(RELEASE_FILES, Partition(older))}" in one.text
    path.write_bytes(whole)
    assert f"lock:{older}" not in {one.key for one in news(store, room=room)}
