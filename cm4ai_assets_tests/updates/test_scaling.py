"""What comes again every half minute asks as much over many releases as over few, and nothing is compared with each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import polars as pl
import pytest

from benchmarks.counting import Asked, counted
from benchmarks.scaling_storage import COLLECTION, Archive, OfThisProcess, fill
from cm4ai_assets.access import open_release
from cm4ai_assets.archives.dataverse.model import Version
from cm4ai_assets.defs.updates.sensor import tick
from cm4ai_assets.overview import overview
from cm4ai_assets.references import Kind, references
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import LEVELS, Partition, release_path
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.tables.images import IF_TENSORS
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.cursor import Cursor
from cm4ai_assets.updates.holders import Holders
from cm4ai_assets.updates.inputs import feed_of, holder
from cm4ai_assets.updates.locked import ReadLocks
from cm4ai_assets.updates.watch import Observation, Watched, observe
from cm4ai_assets_tests.storage.s3 import watched_s3_server

FEW, MANY = 4, 12
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@dataclass
class World:
    """A storage with so many releases, and a daemon over it."""

    platform: OfThisProcess
    instance: dg.DagsterInstance
    cursor: str | None = None

    def tick(self, when: datetime) -> tuple[Asked, dg.SensorResult]:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        with counted(self.platform.store) as asked:
            result = tick(context, self.platform, when)
        self.cursor = result.cursor
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys or ()))
        return asked, result


def _platform(folder: Path, count: int) -> OfThisProcess:
    settings = Settings(storage=str(folder / "storage"), scratch=folder / "scratch", collection=COLLECTION)
    return OfThisProcess(settings, Archive(count))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, World]]:
    with dg.DagsterInstance.ephemeral() as few, dg.DagsterInstance.ephemeral() as many:
        made = {}
        for count, instance in ((FEW, few), (MANY, many)):
            platform = _platform(tmp_path_factory.mktemp(f"of{count}"), count)
            fill(platform.store, platform.served)
            made[count] = World(platform, instance)
        yield made


def test_ticks_and_looks_ask_no_more_of_many_releases(worlds: dict[int, World]) -> None:
    asked: dict[int, list[Asked]] = {}
    for count, world in worlds.items():
        world.tick(NOW)  # what was never read is read once
        (looked, found), (between, nothing) = (
            world.tick(NOW + timedelta(hours=1)),
            world.tick(NOW + timedelta(hours=1, seconds=30)),
        )
        assert not found.run_requests
        assert not nothing.run_requests
        asked[count] = [looked, between]
        assert between.statements
        assert between.reads
    for few, many in zip(asked[FEW], asked[MANY], strict=True):
        assert many.statements == few.statements
        assert many.calls == few.calls


def test_a_first_tick_reads_each_record_and_lock_once(worlds: dict[int, World]) -> None:
    platform = OfThisProcess(worlds[MANY].platform.settings, worlds[MANY].platform.served)
    with dg.DagsterInstance.ephemeral() as fresh:
        asked, _ = World(platform, fresh).tick(NOW)
    assert asked.calls["cat_file"] <= MANY + 2
    assert asked.calls["table"] <= MANY


def test_as_many_new_releases_and_needs_as_there_are_is_asked_about_at_once(tmp_path: Path) -> None:
    asked: dict[int, Asked] = {}
    for count in (FEW, MANY):
        platform = _platform(tmp_path / str(count), count)
        with dg.DagsterInstance.ephemeral() as instance:
            asked[count], result = World(platform, instance).tick(NOW)
            assert len(result.run_requests or ()) == count
    assert asked[FEW].statements == asked[MANY].statements
    assert asked[FEW].calls["find"] == asked[MANY].calls["find"]


def test_an_overview_reads_each_lock_once(worlds: dict[int, World]) -> None:
    """Of every release that has no tensors it is asked which other one has the same bytes."""
    store = worlds[MANY].platform.store
    with counted(store) as asked:
        states = overview(store, None)
    assert {one.state for state in states for one in state.conditions.values()} == {"tensors", "locked"}
    assert asked.calls["table"] <= 2 * MANY, "once for its size, once for its rows"


def test_the_newest_release_is_opened_without_any_record(worlds: dict[int, World]) -> None:
    with counted(worlds[MANY].platform.store) as asked:
        opened = open_release("latest", storage=worlds[MANY].platform.store.url)
    assert opened.key == max(record.key for record in worlds[MANY].platform.registry.all())
    assert asked.calls["cat_file"] == 1  # the version of the layout


def test_smaller_images_are_listed_once_for_all_tensors(tmp_path: Path) -> None:
    store = _platform(tmp_path, 0).store
    for number in (1, 2, 3):
        row = {
            "path": f"tensors/if_tensors/{number}.zarr", "array": "image", "shape": [0, 4, 256, 256], "dtype": "uint8",
            "channels": ["red", "green", "blue", "yellow"], "edge": 256, "pixel_code_version": 1,
            "source_sha256": "0" * 64, "digest": "0" * 64, "size": 0, "raw_size": 0,
        }  # fmt: skip
        partition = Partition(f"2024-0{number}-v1.0", "untreated")
        frame = IF_TENSORS.from_rows([row], release=partition.release, condition=partition.condition)
        with store.stage_table(IF_TENSORS.name, partition, frame) as staged:
            store.publish_table(staged)
    with patch.object(type(store), "children", autospec=True, side_effect=type(store).children) as listed:
        found = list(references(store))
    assert sum(one.kind is Kind.TENSOR for one in found) == 3
    assert [call.args[1] for call in listed.call_args_list].count(LEVELS) == 1


def test_at_an_object_store_a_tick_is_some_listings(tmp_path: Path) -> None:
    pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
    pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")
    with watched_s3_server() as (bucket, server), dg.DagsterInstance.ephemeral() as instance:
        settings = Settings(storage=f"{bucket}/scaling", scratch=tmp_path / "scratch", collection=COLLECTION)
        world = World(OfThisProcess(settings, Archive(FEW)), instance)
        world.tick(NOW)
        server.requests.clear()
        world.tick(NOW + timedelta(seconds=30))
        assert server.requests.by_operation() == {"LIST": 7}


# --- what is remembered is only what is the same


def test_a_record_that_is_damaged_or_new_is_seen_by_one_who_has_read_it_before(tmp_path: Path) -> None:
    platform = _platform(tmp_path, FEW)
    registry = ReleaseRegistry(platform.store)
    registry.register(platform.served.records()[:-1])
    assert len(registry.all()) == FEW - 1
    registry.register(platform.served.records())
    assert len(registry.all()) == FEW
    path = Path(platform.store.address(release_path(registry.all()[0].key)))
    path.write_bytes(path.read_bytes().replace(b'"minor": 0', b'"minor": 1'))  # of the same size
    assert len(registry.all()) == FEW - 1
    assert len(registry.damaged()) == 1
    path.unlink()
    assert (len(registry.all()), registry.damaged()) == (FEW - 1, [])


def test_a_lock_that_was_made_again_is_read_again(worlds: dict[int, World]) -> None:
    platform = worlds[FEW].platform
    store, key = platform.store, platform.registry.all()[-1].key
    platform.locked.look()
    before = platform.locked.of(key, ReadLocks(store)) or {}
    assert len(before["if_tensors"]) == 3
    lock = store.table(RELEASE_FILES.name, Partition(key)).collect()
    try:
        _publish(platform, key, lock.filter(lock["role"] != "images"))
        platform.locked.look()
        assert (platform.locked.of(key, ReadLocks(store)) or {})["if_tensors"] == ()
    finally:
        _publish(platform, key, lock)


def _publish(platform: OfThisProcess, key: str, frame: object) -> None:
    with platform.store.stage_table(RELEASE_FILES.name, Partition(key), frame) as staged:  # type: ignore[arg-type]
        platform.store.publish_table(staged)


def test_holders_are_those_that_comparing_each_with_each_finds(worlds: dict[int, World]) -> None:
    platform = worlds[FEW].platform
    store, feed = platform.store, feed_of("if_tensors")
    assert feed is not None
    records = platform.registry.all()
    unmade = [r.key for r in records if not store.has_table("if_tensors", Partition(r.key, "untreated"))]
    made = [r.key for r in records if r.key not in unmade]
    lock = store.table(RELEASE_FILES.name, Partition(unmade[0])).collect()
    same = store.table(RELEASE_FILES.name, Partition(made[0])).collect()
    try:
        _publish(platform, unmade[0], same.with_columns(release=pl.lit(unmade[0])))
        holders = Holders(store)
        for key in unmade:
            place = Partition(key, "untreated")
            assert holders.holder(feed, place) == holder(store, feed, place)
        assert holders.holder(feed, Partition(unmade[0], "untreated")) == made[0]
    finally:
        _publish(platform, unmade[0], lock)


# --- more datasets than one look can ask for


@dataclass(frozen=True)
class SlowArchive(Archive):
    """It takes half a minute's clock for each answer; nobody waits for it."""

    clock: list[float] = field(default_factory=lambda: [0.0])

    def versions(self, doi: str) -> list[Version]:
        self.clock[0] += 3.0
        return super().versions(doi)


def _look(archive: SlowArchive, records: list[ReleaseRecord], cursor: Cursor) -> Observation:
    due = cursor.order(dict.fromkeys(record.doi for record in records))
    watched = Watched(COLLECTION, records, lambda _: None, due, frozenset(), None)
    client = OfThisProcess(Settings(), archive).watcher
    with patch.object(time, "monotonic", lambda: archive.clock[0]):
        seen = observe(client, watched)
    cursor.looked(seen, NOW + timedelta(seconds=archive.clock[0]), turn=None)
    return seen


def test_datasets_take_turns_where_one_look_cannot_ask_for_all() -> None:
    archive, cursor = SlowArchive(2 * 9), Cursor()
    records = [replace(record, key=f"2024-01-v1.{n}") for n, record in enumerate(archive.records())]
    looks = [_look(archive, records, cursor) for _ in range(3)]
    assert [(len(look.read), look.left) for look in looks] == [(4, 5), (4, 5), (4, 5)]
    assert set().union(*(look.read for look in looks)) == set(archive.versions_of)
    assert cursor.failures == 0, "else nothing would be requested any more"


# --- what Dagster keeps with every tick


def test_a_long_cursor_is_kept_compressed_and_read_again() -> None:
    dois = [f"doi:10.5072/FK2/{number:06d}" for number in range(500)]
    cursor = Cursor(archive="a", versions={doi: ["1.0", "1.1"] for doi in dois}, asked=dict.fromkeys(dois, NOW))
    text = cursor.text()
    assert len(text) < len(cursor.model_dump_json()) / 5
    assert Cursor.read(text, archive="a") == cursor
    assert Cursor.read(text[:-9], archive="a") == Cursor(archive="a")
    assert Cursor(archive="a").text().startswith("{"), "a short one is for people to read"
