"""A file appears under its final name whole or not at all, and what stood there stays until then: on any filesystem."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import fsspec
import numpy as np
import pytest

from cm4ai_assets.errors import ScratchError
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage import placing
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import is_complete
from cm4ai_assets_tests.storage.filesystems import PlainRemote

KINDS = ["local", "memory", "plainremote"]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[fsspec.AbstractFileSystem, str]:
    PlainRemote.reset()
    if request.param == "local":
        return fsspec.filesystem("file"), str(tmp_path / "root")
    return fsspec.filesystem(request.param), f"/{tmp_path.name}"


def test_what_a_filesystem_can_do_is_known_by_its_kind() -> None:
    assert placing.is_local(fsspec.filesystem("file"))
    assert not any(placing.is_local(fsspec.filesystem(name)) for name in ("memory", "plainremote"))
    assert not any(placing.is_object_store(fsspec.filesystem(name)) for name in ("file", "memory", "plainremote"))


def test_files_and_bytes_replace_what_stood_there(place: tuple[fsspec.AbstractFileSystem, str], tmp_path: Path) -> None:
    fs, root = place
    for content in (b"one", b"two"):
        (tmp_path / "source").write_bytes(content)
        placing.place_file(fs, tmp_path / "source", f"{root}/a/file")
        placing.place_bytes(fs, content, f"{root}/b/bytes")
        assert fs.cat_file(f"{root}/a/file") == content
        assert fs.cat_file(f"{root}/b/bytes") == content
    assert len(fs.find(root)) == 2


def test_an_upload_that_breaks_off_leaves_what_stood_there(tmp_path: Path) -> None:
    fs, target = fsspec.filesystem("plainremote"), f"/{tmp_path.name}/file"
    (tmp_path / "source").write_bytes(b"old")
    PlainRemote.reset()
    placing.place_file(fs, tmp_path / "source", target)
    PlainRemote.reset(fail_after=0)
    (tmp_path / "source").write_bytes(b"new")
    with pytest.raises(OSError, match="broke off"):
        placing.place_file(fs, tmp_path / "source", target)
    PlainRemote.reset()
    assert fs.cat_file(target) == b"old"
    assert fs.find(f"/{tmp_path.name}") == [target]


def test_a_name_is_created_once(place: tuple[fsspec.AbstractFileSystem, str], tmp_path: Path) -> None:
    fs, root = place
    placing.create_bytes(fs, b"first", f"{root}/a/record", locks=tmp_path / "locks")
    with pytest.raises(FileExistsError):
        placing.create_bytes(fs, b"second", f"{root}/a/record", locks=tmp_path / "locks")
    assert fs.cat_file(f"{root}/a/record") == b"first"
    assert len(fs.find(root)) == 1


def test_a_name_is_created_once_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    fs, target = fsspec.filesystem("file"), str(tmp_path / "record")
    placing.create_bytes(fs, b"first", target, locks=tmp_path)
    with pytest.raises(FileExistsError):
        placing.create_bytes(fs, b"second", target, locks=tmp_path)
    assert Path(target).read_bytes() == b"first"


def _create(target: str, data: bytes, results: multiprocessing.Queue[bool]) -> None:
    try:
        placing.create_bytes(fsspec.filesystem("file"), data, target, locks=Path(target).parent)
    except FileExistsError:
        results.put(False)
    else:
        results.put(True)


def test_of_many_processes_one_creates_the_name(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")  # what is forked from a process with threads may hang
    context.set_forkserver_preload([__name__])
    for attempt in range(5):
        results: multiprocessing.Queue[bool] = context.Queue()
        target = str(tmp_path / f"record{attempt}")
        workers = [context.Process(target=_create, args=(target, bytes([n]) * 999, results)) for n in range(4)]
        for worker in workers:
            worker.start()
        won = [results.get(timeout=60) for _ in workers]
        for worker in workers:
            worker.join()
        assert sorted(won) == [False, False, False, True]
        assert len(set(Path(target).read_bytes())) == 1


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(ScratchError, match="must be folders that can be written"):
        placing.place_file(fsspec.filesystem("file"), tmp_path / "source", str(tmp_path / "file/below/x"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A tensor store of three shards."""
    writer = StoreWriter(tmp_path / "made.zarr", 16)
    plane = np.zeros((16, 16), dtype=np.uint8)
    for _ in range(40):
        writer.append([chunk for _ in range(4) for chunk in compress(plane)])
    writer.finish(source_sha256="ab" * 32, digest="cd" * 32, failures={})
    return tmp_path / "made.zarr"


@pytest.mark.parametrize("uploads", range(5))
def test_a_tensor_that_is_half_uploaded_is_no_tensor(made: Path, tmp_path: Path, uploads: int) -> None:
    """Whatever upload breaks off, no group metadata stand there: a reader finds no store, not half of one."""
    store = Store(f"plainremote://{tmp_path.name}", scratch=tmp_path / "scratch")
    PlainRemote.reset(fail_after=uploads)
    with pytest.raises(OSError, match="broke off"):
        store.staging.publish_tree(made, "tensors/x.zarr", last=METADATA)
    PlainRemote.reset()
    assert not store.exists(f"tensors/x.zarr/{METADATA}")
    assert not is_complete(store.fs, store.address("tensors/x.zarr"))


def test_the_metadata_of_a_tensor_are_uploaded_last(made: Path, tmp_path: Path) -> None:
    store = Store(f"plainremote://{tmp_path.name}", scratch=tmp_path / "scratch")
    PlainRemote.reset()
    store.staging.publish_tree(made, "tensors/x.zarr", last=METADATA)
    assert is_complete(store.fs, store.address("tensors/x.zarr"))
    uploaded = [path.split("x.zarr/")[1].split(".json")[0] for path in PlainRemote.uploads]
    assert [name.startswith("image/c/") for name in uploaded] == [True, True, True, False, False]
    assert uploaded[-2:] == ["image/zarr", "zarr"]
