"""Folders that several machines write into: on a filesystem that is not local, and what a killed process leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cm4ai_assets.storage import staging
from cm4ai_assets.storage.file_digests import FileDigest
from cm4ai_assets.storage.layout import STAGING
from cm4ai_assets.storage.placing import place_bytes
from cm4ai_assets.storage.shared import SharedFolder
from cm4ai_assets.storage.store import Store

LAST = "zarr.json"
SHARD = "image/c/0/0/0/0"


@pytest.fixture(params=["local", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = str(tmp_path / "storage") if request.param == "local" else f"memory://{tmp_path.name}/storage"
    store = Store(url, scratch=tmp_path / "scratch")
    yield store
    if request.param == "memory":
        store.fs.rm(store.root, recursive=True)


def written(store: Store, shared: SharedFolder, shard: bytes = b"a shard", own: bytes = b"{}") -> dict[str, FileDigest]:
    """What another machine wrote, and what this process did; all of it."""
    place_bytes(store.fs, shard, f"{shared.address}/{SHARD}")
    (shared.local / LAST).write_bytes(own)
    parts = iter([shard, b""])
    return dict(shared.complete({SHARD: FileDigest.of(lambda _: next(parts))}))


def test_what_all_of_them_wrote_appears_together(anywhere: Store) -> None:
    with anywhere.shared_folder() as shared:
        files = written(anywhere, shared)
        assert set(files) == {LAST, SHARD}
        assert anywhere.fs.cat_file(f"{shared.address}/{LAST}") == b"{}"
        assert not anywhere.exists("made.zarr")
        anywhere.publish_shared(shared, "made.zarr", files=files, last=LAST)
    assert anywhere.read(f"made.zarr/{SHARD}") == b"a shard"
    assert anywhere.digests.damage("made.zarr") == []
    recorded = anywhere.digests.read("made.zarr")
    assert recorded is not None
    assert recorded.files == files
    assert [path for path in anywhere.find(STAGING) if not path.endswith(".lock")] == []


def test_what_stands_there_complete_is_kept(anywhere: Store) -> None:
    for shard in (b"the first", b"the second"):
        with anywhere.shared_folder() as shared:
            files = written(anywhere, shared, shard)
            anywhere.publish_shared(shared, "made.zarr", files=files, last=LAST)
    assert anywhere.read(f"made.zarr/{SHARD}") == b"the first"
    assert anywhere.digests.damage("made.zarr") == []


@pytest.mark.parametrize("when", ["before it is complete", "before it is published"])
def test_what_a_killed_worker_was_writing_is_not_published(anywhere: Store, when: str) -> None:
    with anywhere.shared_folder() as shared:
        files = written(anywhere, shared)
        stray = f"{shared.address}/image/c/0/0/0/.1.4711-93b1f315.new"
        place_bytes(anywhere.fs, b"a part of it", stray)
        if when == "before it is complete":
            files = dict(shared.complete({name: files[name] for name in files if name != LAST}))
        assert set(files) == {LAST, SHARD}
        anywhere.publish_shared(shared, "made.zarr", files=files, last=LAST)
    assert anywhere.find("made.zarr") == [f"made.zarr/{SHARD}", f"made.zarr/{LAST}"]
    assert anywhere.digests.damage("made.zarr") == []


@pytest.mark.parametrize("is_shared", [True, False])
def test_of_what_is_replaced_nothing_is_left(anywhere: Store, tmp_path: Path, *, is_shared: bool) -> None:
    stray = anywhere.address("made.zarr/image/c/9/0/0/0")
    place_bytes(anywhere.fs, b"of damage", stray)
    if is_shared:
        with anywhere.shared_folder() as shared:
            files = written(anywhere, shared)
            anywhere.publish_shared(shared, "made.zarr", files=files, last=LAST, replace=True)
    else:
        made = tmp_path / "made"
        (made / SHARD).parent.mkdir(parents=True)
        (made / SHARD).write_bytes(b"a shard")
        (made / LAST).write_bytes(b"{}")
        anywhere.publish_tree(made, "made.zarr", last=LAST, replace=True)
    assert anywhere.find("made.zarr") == [f"made.zarr/{SHARD}", f"made.zarr/{LAST}"]
    assert anywhere.digests.damage("made.zarr") == []


def test_the_file_that_completes_it_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"memory://{tmp_path.name}/storage", scratch=tmp_path / "scratch")
    moved: list[str] = []
    monkeypatch.setattr(
        "cm4ai_assets.storage.shared.move_file", lambda _fs, source, _target: moved.append(source.rsplit("/", 1)[-1])
    )
    with store.shared_folder() as shared:
        files = written(store, shared)
        store.publish_shared(shared, "made.zarr", files={LAST: files[LAST], **files}, last=LAST)
    assert moved == ["0", LAST]


def test_what_a_killed_process_left_in_remote_storage_goes_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"memory://{tmp_path.name}/storage", scratch=tmp_path / "scratch")
    place_bytes(store.fs, b"left", store.address(f"{STAGING}/dead/{SHARD}"))
    with store.shared_folder():
        assert store.exists(f"{STAGING}/dead/{SHARD}")
    monkeypatch.setattr(staging, "_LEFTOVER_AGE", timedelta(0))
    with store.shared_folder():
        assert not store.exists(f"{STAGING}/dead")


def test_what_is_not_published_leaves_nothing(anywhere: Store) -> None:
    def failing() -> None:
        with anywhere.shared_folder() as shared:
            written(anywhere, shared)
            raise RuntimeError("the pass failed")

    with pytest.raises(RuntimeError, match="the pass failed"):
        failing()
    assert [path for path in anywhere.find(STAGING) if not path.endswith(".lock")] == []
