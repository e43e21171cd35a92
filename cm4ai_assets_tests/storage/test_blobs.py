"""The store of published bytes: whole or absent, found by any published digest, on any filesystem."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from cm4ai_assets.errors import (
    ArchiveDamagedError,
    DigestMismatchError,
    NotMaterializedError,
    SizeMismatchError,
    StoredBytesDamagedError,
)
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.blocks import BLOCK_SIZE, BlockDigests, VerifiedBytes
from cm4ai_assets.storage.digests import BLOCK, Digests
from cm4ai_assets.storage.layout import verified_path
from cm4ai_assets_tests.transfer.bench import DATA, digests_of, md5, sha256

KEY = sha256(DATA)


class _NoAtomicUpload(MemoryFileSystem):
    """A remote filesystem where a file is seen while it is written."""

    protocol = "sftp-like"
    store: dict[str, object] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012


@pytest.fixture(params=["local", "memory", "no atomic upload"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    filesystems: dict[str, tuple[fsspec.AbstractFileSystem, str]] = {
        "local": (LocalFileSystem(), str(tmp_path / "root")),
        "memory": (MemoryFileSystem(), f"/{tmp_path.name}"),
        "no atomic upload": (_NoAtomicUpload(), f"/{tmp_path.name}"),
    }
    return BlobStore(*filesystems[request.param])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def test_bytes_are_stored_once_and_found_by_every_digest(store: BlobStore, source: Path) -> None:
    digests = digests_of(source, "MD5", "SHA-1", "SHA-512")
    blob = store.add(source, KEY, digests)
    assert blob == Blob(KEY, len(DATA))
    assert store.add(source, KEY, digests) == blob
    assert store.path(KEY) == f"blobs/sha256/{KEY[:2]}/{KEY}"
    assert store.has(KEY)
    for digest_type, digest in digests.items():
        assert store.find(digest_type, digest.upper()) == blob
    with store.open(KEY) as stored:
        assert isinstance(stored, VerifiedBytes)
        assert (stored.size, stored.read_at(1000, 50)) == (len(DATA), DATA[1000:1050])
    assert store.verify(KEY) == blob
    assert source.read_bytes() == DATA


def test_what_is_not_stored_is_not_found(store: BlobStore) -> None:
    assert store.find("MD5", md5(DATA)) is None
    assert store.find("SHA-256", KEY) is None
    assert not store.has(KEY)
    with pytest.raises(NotMaterializedError, match="is not stored"):
        store.verify(KEY)


def test_the_index_is_not_believed_about_bytes_that_are_gone_or_cut(store: BlobStore, source: Path) -> None:
    store.add(source, KEY, {"MD5": md5(DATA)})
    store.withdraw(KEY)
    assert store.find("MD5", md5(DATA)) is None
    source.write_bytes(DATA[:10])
    with store._fs.open(f"{store._root}/{store.path(KEY)}", "wb") as file:
        file.write(DATA[:10])
    assert store.find("MD5", md5(DATA)) is None
    source.write_bytes(DATA)
    with pytest.raises(SizeMismatchError, match="is stored with 10 bytes, not 300,000"):
        store.add(source, KEY, {})


def test_altered_bytes_are_noticed_and_can_be_withdrawn(store: BlobStore, source: Path) -> None:
    store.add(source, KEY, {"MD5": md5(DATA)})
    store.withdraw(KEY)
    with store._fs.open(f"{store._root}/{store.path(KEY)}", "wb") as file:
        file.write(b"x" + DATA[1:])
    with pytest.raises(StoredBytesDamagedError, match="was altered after it was stored") as caught:
        store.verify(KEY)
    assert "withdraw" in caught.value.remedy


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"sha256": 1}', b"\xff"])
def test_a_damaged_index_entry_is_as_good_as_none(store: BlobStore, source: Path, junk: bytes) -> None:
    store.add(source, KEY, {"MD5": md5(DATA)})
    store._fs.pipe_file(f"{store._root}/blobs/index/md5/{md5(DATA)[:2]}/{md5(DATA)}.json", junk)
    assert store.find("MD5", md5(DATA)) is None
    store.add(source, KEY, {"MD5": md5(DATA)})
    assert store.find("MD5", md5(DATA)) == Blob(KEY, len(DATA))


def test_the_layout_is_the_contracts(store: BlobStore, source: Path) -> None:
    store.add(source, KEY, {"MD5": md5(DATA)})
    found = sorted(path.removeprefix(f"{store._root}/") for path in store._fs.find(store._root))
    assert found == sorted([
        f"blobs/sha256/{KEY[:2]}/{KEY}",
        f"blobs/blocks/{KEY[:2]}/{KEY}",
        f"blobs/index/sha256/{KEY[:2]}/{KEY}.json",
        f"blobs/index/md5/{md5(DATA)[:2]}/{md5(DATA)}.json",
        f"registry/verified/blobs/sha256/{KEY[:2]}/{KEY}.json",
    ])  # fmt: skip


def test_local_bytes_share_their_disk_space_and_cannot_be_written_to(tmp_path: Path, source: Path) -> None:
    store = BlobStore(LocalFileSystem(), str(tmp_path / "root"))
    store.add(source, KEY, {})
    stored = tmp_path / "root" / store.path(KEY)
    assert stored.samefile(source)
    assert stored.stat().st_mode & 0o777 == 0o444


def test_a_copy_is_held_against_its_digest_on_the_way(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = [b"x" + DATA[1:], DATA]

    def link(*_: object) -> None:
        source.chmod(0o644)
        source.write_bytes(meanwhile.pop(0))
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", link)
    store = BlobStore(LocalFileSystem(), str(tmp_path / "root"))
    with pytest.raises(DigestMismatchError, match="changed while it was stored"):
        store.add(source, KEY, {})
    folder = (tmp_path / "root" / store.path(KEY)).parent
    assert list(folder.iterdir()) == []
    leftover = folder / f".{KEY}.0000.new"
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    source.write_bytes(DATA)
    store.add(source, KEY, {})
    assert [path.name for path in folder.iterdir()] == [KEY]


def test_first_use_is_remembered_even_without_the_bytes(store: BlobStore, source: Path) -> None:
    assert store.index.first_use("doi:x 1 2") is None
    blob = store.add(source, KEY, {})
    store.index.note_first_use("doi:x 1 2", blob, locks=source.parent)
    store.withdraw(KEY)
    assert store.index.first_use("doi:x 1 2") == blob


def test_digests_of_blocks_are_those_of_the_whole() -> None:
    with Digests(["MD5", None]) as digests:
        for at in range(0, len(DATA), 777):
            digests.update(DATA[at : at + 777])
        assert digests.digests() == {"MD5": md5(DATA), "SHA-256": KEY}
        digests.restart()
        assert digests.digests() == {"MD5": md5(b""), "SHA-256": sha256(b"")}
        digests.update(DATA)
        assert digests.digests() == {"MD5": md5(DATA), "SHA-256": KEY}


def test_index_entries_are_plain_json(tmp_path: Path, source: Path) -> None:
    store = BlobStore(LocalFileSystem(), str(tmp_path / "root"))
    store.add(source, KEY, {})
    entry = tmp_path / "root/blobs/index/sha256" / KEY[:2] / f"{KEY}.json"
    assert json.loads(entry.read_text()) == {"sha256": KEY, "size": len(DATA)}


def _altered(store: BlobStore, at: int, *, path: str = "") -> None:
    """One bit of a stored file flipped, as a disk does it: same name, same size."""
    full = f"{store._root}/{path or store.path(KEY)}"
    data = bytearray(store._fs.cat_file(full))
    data[at] ^= 1
    _overwrite(store, full, bytes(data))


def _overwrite(store: BlobStore, full: str, data: bytes) -> None:
    if store._is_local:
        Path(full).chmod(0o644)
    store._fs.pipe_file(full, data)


@pytest.mark.parametrize("at", [0, BLOCK_SIZE - 1, BLOCK_SIZE, 2 * BLOCK_SIZE + 7, len(DATA) - 1])
def test_a_flipped_bit_is_refused_by_every_read_that_meets_its_block_and_by_no_other(
    store: BlobStore, source: Path, at: int
) -> None:
    store.add(source, KEY, {})
    _altered(store, at)
    with store.open(KEY) as stored:
        stored.name = "if.zip"
        for begin in range(0, len(DATA), BLOCK_SIZE):
            length = min(BLOCK_SIZE, len(DATA) - begin)
            if begin <= at < begin + length:
                with pytest.raises(StoredBytesDamagedError, match=f"if.zip .*{KEY}. was altered .*{begin:,}") as caught:
                    stored.read_at(begin, length)
                assert f"cm4ai withdraw {KEY}" in caught.value.remedy
                with pytest.raises(StoredBytesDamagedError):
                    stored.read_at(begin + (length // 2 if at == begin else 0), 1)  # the same block, another byte
            else:
                assert stored.read_at(begin, length) == DATA[begin : begin + length]
    with pytest.raises(StoredBytesDamagedError), store.open_stream(KEY) as stream:
        stream.read()
    with pytest.raises(StoredBytesDamagedError):
        store.verify(KEY)


def test_any_stretch_reads_as_it_was_stored(store: BlobStore, source: Path) -> None:
    store.add(source, KEY, {})
    with store.open(KEY) as stored:
        for offset, length in ((0, 0), (0, 1), (5, BLOCK_SIZE), (BLOCK_SIZE - 1, 2), (0, len(DATA)), (len(DATA), 0)):
            assert stored.read_at(offset, length) == DATA[offset : offset + length], (offset, length)
        with pytest.raises(ArchiveDamagedError, match="1 were asked for"):
            stored.read_at(len(DATA), 1)
    with store.open_stream(KEY) as stream:
        assert (stream.read(10), stream.read()) == (DATA[:10], DATA[10:])


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_a_blob_of_one_block_needs_no_record_and_is_verified_all_the_same(
    store: BlobStore, tmp_path: Path, size: int
) -> None:
    (tmp_path / "small").write_bytes(DATA[:size])
    key = sha256(DATA[:size])
    store.add(tmp_path / "small", key, {})
    assert (store.recorded_blocks(key) is not None) == (size > BLOCK_SIZE)
    with store.open(key) as stored:
        assert stored.read_at(0, size) == DATA[:size]
    for damaged in {bytes([1]) + DATA[1:size], DATA[: max(size - 1, 0)], b""} - {DATA[:size]}:
        _overwrite(store, f"{store._root}/{store.path(key)}", damaged)
        with pytest.raises(StoredBytesDamagedError), store.open(key) as stored:
            stored.read_at(0, stored.size)


def test_a_record_of_blocks_that_is_gone_or_damaged_is_made_again_from_whole_bytes_only(
    store: BlobStore, source: Path
) -> None:
    store.add(source, KEY, {})
    record = f"blobs/blocks/{KEY[:2]}/{KEY}"
    made = store._fs.cat_file(f"{store._root}/{record}")
    for at in range(0, len(made), 7):
        _altered(store, at, path=record)
        assert store.recorded_blocks(KEY) is None, at
        with store.open(KEY) as stored:
            assert stored.read_at(5, 5) == DATA[5:10]
        assert store._fs.cat_file(f"{store._root}/{record}") == made
    store._fs.rm_file(f"{store._root}/{record}")
    _altered(store, 100)
    with pytest.raises(StoredBytesDamagedError):
        store.open(KEY)
    assert store.recorded_blocks(KEY) is None


def test_a_record_says_by_which_hash_it_was_made(store: BlobStore, source: Path) -> None:
    store.add(source, KEY, {})
    path = f"{store._root}/blobs/blocks/{KEY[:2]}/{KEY}"
    made = store._fs.cat_file(path)
    assert b'"kind": "blake3 of blocks"' in made
    blocks = [DATA[at : at + BLOCK_SIZE] for at in range(0, len(DATA), BLOCK_SIZE)]
    first = BlockDigests(KEY, len(DATA), b"".join(hashlib.sha256(one).digest() for one in blocks), "sha256 of blocks")
    _overwrite(store, path, first.to_bytes())
    assert store.recorded_blocks(KEY) == first
    with store.open(KEY) as stored:
        assert stored.read_at(5, 5) == DATA[5:10]
    assert store._fs.cat_file(path) == first.to_bytes(), "it serves as it is"
    _altered(store, 100)
    with store.open(KEY) as stored, pytest.raises(StoredBytesDamagedError):
        stored.read_at(100, 5)
    _altered(store, 100)
    _overwrite(store, path, made.replace(b"blake3 of", b"blake9 of"))
    with store.open(KEY) as stored:
        assert stored.read_at(5, 5) == DATA[5:10]
    assert store._fs.cat_file(path) == made, "of a hash that is not known a record is made anew"


def test_bytes_whose_blocks_are_recorded_are_verified_by_one_digest(
    store: BlobStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(source, KEY, {})
    passes: list[str] = []
    read_whole = BlobStore._read_whole
    monkeypatch.setattr(BlobStore, "_read_whole", lambda of, key: passes.append(key) or read_whole(of, key))
    assert store.verify(KEY) == Blob(KEY, len(DATA))
    assert passes == []
    _altered(store, 3, path=f"blobs/blocks/{KEY[:2]}/{KEY}")
    assert store.verify(KEY) == Blob(KEY, len(DATA))
    assert passes == [KEY]
    assert store.recorded_blocks(KEY) is not None
    _altered(store, 100)
    with pytest.raises(StoredBytesDamagedError):
        store.verify(KEY)


def test_bytes_that_are_cut_while_they_are_read_are_no_fault_of_the_archive(tmp_path: Path, source: Path) -> None:
    store = BlobStore(LocalFileSystem(), str(tmp_path / "root"))
    store.add(source, KEY, {})
    with store.open(KEY) as stored:
        _overwrite(store, f"{store._root}/{store.path(KEY)}", DATA[:BLOCK_SIZE])
        with pytest.raises(StoredBytesDamagedError, match=KEY):
            stored.read_at(BLOCK_SIZE, 10)


def test_what_changed_on_its_way_into_the_store_is_not_stored(store: BlobStore, source: Path) -> None:
    source.write_bytes(b"x" + DATA[1:])
    with pytest.raises(DigestMismatchError, match="changed before it was stored"):
        store.add(source, KEY, {})
    assert not store.has(KEY)


def test_all_bytes_are_held_against_the_record_of_their_blocks(store: BlobStore, source: Path) -> None:
    with pytest.raises(NotMaterializedError):
        store.hold(KEY)
    store.add(source, KEY, {})
    store._fs.rm_file(f"{store._root}/{verified_path(store.path(KEY))}")
    assert store.verified_on(KEY) is None
    store.hold(KEY)
    assert store.verified_on(KEY) is not None
    for at in (0, BLOCK_SIZE, len(DATA) - 1):
        _altered(store, at)
        with pytest.raises(StoredBytesDamagedError, match=KEY):
            store.hold(KEY)
        _altered(store, at)
    store._fs.rm_file(f"{store._root}/blobs/blocks/{KEY[:2]}/{KEY}")
    store.hold(KEY)
    assert store.recorded_blocks(KEY) is not None, "a record that is gone is made of whole bytes"


def test_every_piece_of_many_is_held_by_several_threads(store: BlobStore, tmp_path: Path) -> None:
    """A blob of more pieces than may wait at once, of which the last is short."""
    data = np.random.default_rng(0).bytes(20 * BLOCK + 1)
    large, key = tmp_path / "large", sha256(data)
    large.write_bytes(data)
    store.add(large, key, {})
    store.hold(key)
    for at in (0, 10 * BLOCK + 5, len(data) - 1):
        _altered(store, at, path=store.path(key))
        with pytest.raises(StoredBytesDamagedError, match=f"at offset {at // BLOCK_SIZE * BLOCK_SIZE:,} "):
            store.hold(key)
        _altered(store, at, path=store.path(key))
