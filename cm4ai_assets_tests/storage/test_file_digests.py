"""Digests of published files: recorded in storage, whole through every crash, and found out when they are altered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.file_digests import FileDigest, RecordDamagedError, Recorded
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import table
from cm4ai_assets_tests.storage.filesystems import PlainRemote

FILE, TREE = "tables/t/data.parquet", "tensors/if_tensors/t.zarr"


@pytest.fixture(params=["local", "memory", "plainremote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = str(tmp_path / "storage") if request.param == "local" else f"{request.param}://{tmp_path.name}"
    PlainRemote.reset()
    yield Store(url, scratch=tmp_path / "scratch")
    PlainRemote.reset()


def digest(data: bytes) -> FileDigest:
    return FileDigest(hashlib.sha256(data).hexdigest(), len(data))


def publish(store: Store, data: bytes) -> None:
    with store.staging.folder() as folder:
        (folder / "file").write_bytes(data)
        store.publish_file(folder / "file", FILE)


def publish_tree(store: Store, files: dict[str, bytes]) -> None:
    with store.staging.folder() as folder:
        for name, data in files.items():
            path = folder / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        store.publish_tree(folder / "tree", TREE, last="zarr.json")


def overwrite(store: Store, path: str, data: bytes) -> None:
    store.fs.pipe_file(store.address(path), data)


def test_what_is_published_is_recorded_beside_and_damage_is_found(store: Store) -> None:
    publish(store, b"one")
    assert store.digests.read(FILE) == Recorded({"": digest(b"one")})
    assert store.digests.damage(FILE) == []
    assert [path for path in store.find("tables") if path != FILE] == []
    for damaged in (b"onE", b"on", b"", b"one!"):
        overwrite(store, FILE, damaged)
        (problem,) = store.digests.damage(FILE)
        assert problem.startswith("was altered")
        with pytest.raises(StoredBytesDamagedError, match=f"{FILE} is not what was published: it was altered"):
            store.digests.hold(FILE)
        with pytest.raises(StoredBytesDamagedError):
            store.digests.hold(FILE, damaged)
    store.digests.hold(FILE, b"one")
    store.fs.rm_file(store.address(FILE))
    assert store.digests.damage(FILE) == ["is missing"]


def test_a_folder_is_recorded_file_by_file(store: Store) -> None:
    files = {"zarr.json": b"{}", "image/zarr.json": b"[]", "image/c/0": b"shard"}
    publish_tree(store, files)
    assert store.digests.read(TREE) == Recorded({name: digest(data) for name, data in files.items()})
    assert store.digests.damage(TREE) == []
    overwrite(store, f"{TREE}/image/c/0", b"Shard")
    overwrite(store, f"{TREE}/zarr.json", b"")
    overwrite(store, f"{TREE}/stray", b"")
    store.fs.rm_file(store.address(f"{TREE}/image/zarr.json"))
    assert store.digests.damage(TREE) == [
        "image/c/0 was altered: its bytes do not have their digest",
        "image/zarr.json is missing",
        "stray was not published",
        "zarr.json was altered: 0 bytes instead of 2",
    ]
    assert store.digests.damage(TREE, only=["image/zarr.json"]) == ["image/zarr.json is missing"]


@pytest.mark.parametrize("before", [None, b"before"])
def test_a_crash_at_any_step_of_a_publication_is_no_false_alarm_and_hides_no_damage(
    store: Store, before: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for placed in (False, True):
        if before is None:
            store.remove(FILE)
        else:
            publish(store, before)

        def dies(staged: Path, path: str, *, placed: bool = placed, real: object = store.staging.publish_file) -> None:
            if placed:
                real(staged, path)  # type: ignore[operator]
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(store.staging, "publish_file", dies)
            with pytest.raises(KeyboardInterrupt):
                publish(store, b"after!")
        stands = b"after!" if placed else before
        assert store.digests.damage(FILE) == []
        if stands is not None:
            store.digests.hold(FILE, stands)
            overwrite(store, FILE, stands[:-1] + b"?")
            assert store.digests.damage(FILE)
            overwrite(store, FILE, stands)
        publish(store, b"again.")
        assert store.digests.read(FILE) == Recorded({"": digest(b"again.")})


def test_what_was_published_before_digests_were_recorded_is_covered_by_a_crash_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, b"old")
    store.digests.forget(FILE)
    assert store.digests.read(FILE) is None
    assert store.digests.damage(FILE) == []

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.staging, "publish_file", dies)
        with pytest.raises(KeyboardInterrupt):
            publish(store, b"new")
    assert store.digests.damage(FILE) == []


def test_publishing_the_same_again_mends_the_file_and_leaves_the_record(store: Store) -> None:
    publish(store, b"same")
    record = store.read(layout.file_digests_path(FILE))
    overwrite(store, FILE, b"damaged")
    publish(store, b"same")
    assert store.read(FILE) == b"same"
    assert store.read(layout.file_digests_path(FILE)) == record


def test_of_two_publications_at_once_the_record_is_of_the_one_that_stands(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.staging.publish_file

    def overtaken(staged: Path, path: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(store.staging, "publish_file", real)
            publish(store, b"the other")
        real(staged, path)

    with monkeypatch.context() as patch:
        patch.setattr(store.staging, "publish_file", overtaken)
        publish(store, b"this one")
    assert store.read(FILE) == b"this one"
    assert store.digests.read(FILE) == Recorded({"": digest(b"this one")})


def test_of_two_publications_at_once_the_later_one_is_recorded_though_the_earlier_ends_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.staging.publish_file

    def overtaken(staged: Path, path: str) -> None:
        real(staged, path)
        with monkeypatch.context() as patch:
            patch.setattr(store.staging, "publish_file", real)
            publish(store, b"the other")

    with monkeypatch.context() as patch:
        patch.setattr(store.staging, "publish_file", overtaken)
        publish(store, b"this one")
    assert store.read(FILE) == b"the other"
    assert store.digests.read(FILE) == Recorded({"": digest(b"the other")})
    assert store.digests.damage(FILE) == []


def test_a_folder_that_is_kept_keeps_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    real = store.staging.publish_tree

    def overtaken(staged: Path, path: str, *, last: str) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(store.staging, "publish_tree", real)
            publish_tree(store, {"zarr.json": b"first"})
        return real(staged, path, last=last)

    with monkeypatch.context() as patch:
        patch.setattr(store.staging, "publish_tree", overtaken)
        publish_tree(store, {"zarr.json": b"second"})
    assert store.read(f"{TREE}/zarr.json") == b"first"
    assert store.digests.damage(TREE) == []
    publish_tree(store, {"zarr.json": b"third"})
    assert store.digests.read(TREE) == Recorded({"zarr.json": digest(b"first")})


def test_a_folder_that_is_kept_is_recorded_as_it_stands_while_its_publisher_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    real = store.staging.publish_tree

    def overtaken(staged: Path, path: str, *, last: str) -> bool:
        other = tmp_path / "storage" / TREE
        other.mkdir(parents=True)
        (other / "zarr.json").write_bytes(b"first")  # placed, and not yet recorded
        return real(staged, path, last=last)

    with monkeypatch.context() as patch:
        patch.setattr(store.staging, "publish_tree", overtaken)
        publish_tree(store, {"zarr.json": b"second"})
    assert store.read(f"{TREE}/zarr.json") == b"first"
    assert store.digests.damage(TREE) == []


def test_every_flipped_bit_of_a_record_is_found_and_the_file_is_not_blamed(store: Store) -> None:
    publish(store, b"one")
    path = layout.file_digests_path(FILE)
    whole = store.read(path)
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        overwrite(store, path, bytes(damaged))
        with pytest.raises(RecordDamagedError, match="the record of digests, was altered"):
            store.digests.damage(FILE)
    for junk in (b"", b"{", b"[]", whole[:-1], whole + b"\n"):
        overwrite(store, path, junk)
        with pytest.raises(RecordDamagedError):
            store.digests.hold(FILE)
    publish(store, b"one")
    assert store.read(path) == whole


def test_a_store_that_holds_reads_no_altered_table_and_another_does(tmp_path: Path) -> None:
    for url in (str(tmp_path / "storage"), f"memory://{tmp_path.name}"):
        plain = Store(url, scratch=tmp_path / "scratch")
        with plain.stage_table("usage_metrics", Partition(), table("usage_metrics").empty()) as staged:
            path = plain.publish_table(staged)
        holding = Store(url, scratch=tmp_path / "scratch", holds=True)
        assert holding.table("usage_metrics", Partition()).collect().is_empty()
        other = tmp_path / "other.parquet"
        pl.DataFrame({"a": [1]}).write_parquet(other)
        overwrite(plain, path, other.read_bytes())
        assert plain.table("usage_metrics", Partition()).collect().height == 1
        with pytest.raises(StoredBytesDamagedError, match=f"cm4ai withdraw {path}"):
            holding.table("usage_metrics", Partition())
