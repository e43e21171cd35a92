from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import fsspec
import google_crc32c
import numpy as np
import pytest
from zarr.storage import WrapperStore

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage import tensors
from cm4ai_assets.storage.tensors import (
    Failure,
    StoreRecord,
    is_complete,
    open_array,
    read_field,
    read_plane,
    read_record,
    tensor_digest,
    tensor_id,
    verify_store,
)
from cm4ai_assets.storage.whole import Judged

FAILURES = {"B2AI_1_<b>": (Failure("corrupt_jpeg", "a/\U0001f9ec\u202e<script>.jpg", 'premature "end"'),)}


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (18, 4, 16, 16), dtype=np.uint8)


@pytest.fixture
def store(tmp_path: Path, pixels: np.ndarray) -> Path:
    writer = StoreWriter(tmp_path / "x.zarr", 16)
    for field in pixels:
        writer.append([chunk for plane in field for chunk in compress(plane)])
    writer.finish(source_sha256="ab" * 32, digest="cd" * 32, failures=FAILURES)
    return tmp_path / "x.zarr"


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, store: Path) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
    """The store on a local disk, and elsewhere."""
    fs = fsspec.filesystem(request.param)
    if request.param == "file":
        yield fs, str(store)
        return
    fs.put(str(store), "/tensors/x.zarr", recursive=True)
    yield fs, "/tensors/x.zarr"
    fs.rm("/tensors", recursive=True)


def digests(pixels: np.ndarray) -> list[list[str]]:
    return [[hashlib.sha256(plane.tobytes()).hexdigest() for plane in field] for field in pixels]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_a_tensor_is_named_by_what_it_depends_on() -> None:
    assert tensor_id("0123456789abcdef" + "f" * 48, 1024) == f"0123456789abcdef-1024-v{tensors.PIXEL_CODE_VERSION}"
    assert tensor_id("0" * 64, 2048, 7) == "0000000000000000-2048-v7"


def test_the_digest_depends_on_every_plane_and_their_order() -> None:
    one, two = "00" * 32, "ff" * 32
    assert tensor_digest([one, two]) == hashlib.sha256(b"\x00" * 32 + b"\xff" * 32).hexdigest()
    assert len({tensor_digest(case) for case in ([], [one], [one, two], [two, one], [one, one])}) == 5


def test_reading(opened: tuple[fsspec.AbstractFileSystem, str], pixels: np.ndarray) -> None:
    array = open_array(*opened)
    assert array.dtype == np.uint8
    assert np.array_equal(read_field(array, 17), pixels[17])
    assert np.array_equal(read_plane(array, 3, 2), pixels[3, 2])
    assert np.array_equal(array[15:18, 1:3, 4:9, :], pixels[15:18, 1:3, 4:9])


def test_the_store_tells_what_it_holds(opened: tuple[fsspec.AbstractFileSystem, str]) -> None:
    fs, path = opened
    record = read_record(fs, path)
    sizes = tuple(fs.size(f"{path}/image/c/{n}/0/0/0") for n in (0, 1))
    assert record == StoreRecord("ab" * 32, 16, 18, "cd" * 32, sizes, FAILURES)
    assert (record.shape, record.raw_size, record.size) == ((18, 4, 16, 16), 18 * 4 * 256, sum(sizes))
    assert is_complete(fs, path)


@pytest.mark.parametrize("lost", ["zarr.json", "image/zarr.json", "image/c/0/0/0/0", "image/c/1/0/0/0"])
def test_what_lacks_a_file_is_not_complete(store: Path, lost: str) -> None:
    (store / lost).unlink()
    assert not is_complete(fsspec.filesystem("file"), str(store))


def test_what_was_cut_short_is_not_complete(store: Path) -> None:
    shard = store / tensors.shard_key(1)
    shard.write_bytes(shard.read_bytes()[:-1])
    assert not is_complete(fsspec.filesystem("file"), str(store))


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"attributes": {"cm4ai": {"n_fields": "x"}}}', "\x00"])
def test_damaged_metadata_is_an_error_with_a_remedy(store: Path, damage: str) -> None:
    fs = fsspec.filesystem("file")
    (store / "zarr.json").write_text(damage)
    with pytest.raises(TensorStoreError, match="Materialize if_tensors again"):
        read_record(fs, str(store))
    assert not is_complete(fs, str(store))


def test_a_missing_store_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    fs = fsspec.filesystem("file")
    for function in (open_array, read_record):
        with pytest.raises(TensorStoreError, match="Materialize if_tensors again"):
            function(fs, str(tmp_path / "none.zarr"))


def test_a_damaged_array_is_an_error_with_a_remedy(store: Path) -> None:
    (store / "image/zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    with pytest.raises(TensorStoreError, match="Materialize if_tensors again"):
        open_array(fsspec.filesystem("file"), str(store))


def test_a_sound_store_verifies(opened: tuple[fsspec.AbstractFileSystem, str], pixels: np.ndarray) -> None:
    assert verify_store(open_array(*opened), digests(pixels)) == []


def test_a_damaged_chunk_is_named(store: Path, pixels: np.ndarray) -> None:
    flip(store / tensors.shard_key(1), 10)
    (problem,) = verify_store(open_array(fsspec.filesystem("file"), str(store)), digests(pixels))
    assert problem.where == "image/c/1/0/0/0 (field 16, channel 0) chunk y 0, x 0"
    assert "checksum" in problem.problem


def test_one_of_several_chunks_is_named(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "LARGEST_CHUNK_EDGE", 8)
    writer = StoreWriter(tmp_path / "y.zarr", 16)
    chunks = [compress(plane) for plane in pixels[0]]
    writer.append([chunk for plane in chunks for chunk in plane])
    writer.finish(source_sha256="", digest="", failures={})
    flip(tmp_path / "y.zarr" / tensors.shard_key(0), sum(map(len, chunks[0])) + len(chunks[1][0]) + 5)
    (problem,) = verify_store(open_array(fsspec.filesystem("file"), str(tmp_path / "y.zarr")), digests(pixels[:1]))
    assert problem.where == "image/c/0/0/0/0 (field 0, channel 1) chunk y 0, x 1"


def test_a_shard_that_is_lost_after_opening_is_an_error_and_not_zeros(
    opened: tuple[fsspec.AbstractFileSystem, str],
) -> None:
    fs, path = opened
    array = open_array(fs, path)
    fs.rm(f"{path}/{tensors.shard_key(1)}")
    for selection in (17, (slice(16, 18), 0, slice(0, 4)), slice(None)):
        with pytest.raises(TensorStoreError, match="the shard image/c/1/0/0/0 is missing"):
            array[selection]
    assert array[0].any()


@pytest.mark.parametrize("field", [16, 17])
def test_an_index_that_does_not_know_a_stored_chunk_is_an_error_and_not_zeros(store: Path, field: int) -> None:
    shard = store / tensors.shard_key(1)
    data = bytearray(shard.read_bytes())
    start = len(data) - (16 * 4 * 16 + 4)
    entry = start + ((field - 16) * 4 + 2) * 16
    data[entry : entry + 16] = b"\xff" * 16
    data[-4:] = int(google_crc32c.value(bytes(data[start:-4]))).to_bytes(4, "little")
    shard.write_bytes(data)
    array = open_array(fsspec.filesystem("file"), str(store))
    for selection in (field, (field, 2), slice(16, 18), slice(None)):
        with pytest.raises(TensorStoreError, match="lacks chunks of stored fields"):
            array[selection]
    assert array[0].any()


def test_every_way_of_reading_that_zarrs_wrapper_hands_on_passes_the_judgement() -> None:
    """What it does not hand on is zarr's own, over these."""
    handed_on = {name for name in vars(WrapperStore) if name.startswith(("get", "_get"))}
    assert {"get", "get_partial_values"} <= handed_on <= set(vars(Judged))


def test_an_array_can_be_sent_to_another_process(store: Path, pixels: np.ndarray) -> None:
    array = pickle.loads(pickle.dumps(open_array(fsspec.filesystem("file"), str(store))))
    assert np.array_equal(array[17], pixels[17])
    (store / tensors.shard_key(1)).unlink()
    with pytest.raises(TensorStoreError, match="is missing"):
        array[17]


@pytest.mark.parametrize("damage", ["index", "cut", "lost"])
def test_a_damaged_shard_is_told_once(store: Path, pixels: np.ndarray, damage: str) -> None:
    shard = store / tensors.shard_key(0)
    if damage == "index":
        flip(shard, shard.stat().st_size - 100)
    elif damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-10])
    else:
        shard.unlink()
    (problem,) = verify_store(open_array(fsspec.filesystem("file"), str(store)), digests(pixels))
    assert problem.where == "image/c/0/0/0/0 (fields 0 to 15)"


def test_other_pixels_are_told(store: Path, pixels: np.ndarray) -> None:
    pixels[4, 2, 0, 0] ^= 1
    (problem,) = verify_store(open_array(fsspec.filesystem("file"), str(store)), digests(pixels))
    assert problem.where == "image/c/0/0/0/0 (field 4, channel 2)"
    assert str(problem).endswith("other pixels than those that were stored")


def test_another_number_of_fields_is_told(store: Path, pixels: np.ndarray) -> None:
    (problem,) = verify_store(open_array(fsspec.filesystem("file"), str(store)), digests(pixels)[:-1])
    assert str(problem) == "image: has 18 fields, 17 digests are known"


def test_the_record_survives_json() -> None:
    record = StoreRecord("ab" * 32, 16, 1, "cd" * 32, (5, 6), FAILURES, version=3)
    assert StoreRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
