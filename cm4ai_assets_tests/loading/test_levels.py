"""Smaller images: the same pixels whether they are computed or stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from cm4ai_assets.errors import ConfigurationError, TensorStoreError
from cm4ai_assets.loading.levels import store_level, stored_level
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.shard_names import shard_key
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import open_array, read_record, tensor_digest, tensor_id
from cm4ai_assets_tests.loading.stores import noise, written

FIELDS, EDGE = 18, 32
TENSOR = layout.tensor_path(tensor_id("ab" * 32, EDGE))
HALF = f"tensors/if_levels/{'ab' * 8}-{EDGE}-v2-16.zarr"


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "file":
        written(tmp_path / "storage" / TENSOR, noise(FIELDS, EDGE))
        yield Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
        return
    fs = fsspec.filesystem("memory")
    fs.put(str(written(tmp_path / "x.zarr", noise(FIELDS, EDGE))), f"/levels/{TENSOR}", recursive=True)
    yield Store("memory://levels", scratch=tmp_path / "scratch")
    fs.rm("/levels", recursive=True)


def test_a_stored_level_has_the_pixels_that_are_computed(store: Store) -> None:
    tensor = store.address(TENSOR)
    assert stored_level(store, tensor, 16) is None
    assert store_level(store, tensor, 16) == HALF
    level = stored_level(store, tensor, 16)
    assert level == store.address(HALF)
    computed, stored = ShardReader(store.url, tensor, size=16), ShardReader(store.url, level)
    assert all(np.array_equal(computed.read(n), stored.read(n)) for n in range(FIELDS))
    assert open_array(store.fs, level).shape == (FIELDS, 4, 16, 16)


def test_a_level_says_what_it_is_and_of_what(store: Store) -> None:
    tensor = store.address(TENSOR)
    store_level(store, tensor, 16)
    record, of = read_record(store.fs, store.address(HALF)), read_record(store.fs, tensor)
    reader = ShardReader(store.url, tensor, size=16)
    planes = (hashlib.sha256(p.tobytes()).hexdigest() for n in range(FIELDS) for p in reader.read(n))
    assert (record.digest, record.edge, record.source_sha256) == (tensor_digest(planes), 16, of.source_sha256)
    attributes = json.loads(store.fs.cat_file(f"{store.address(HALF)}/zarr.json"))["attributes"]
    assert attributes["averaged_from"] == {"edge": EDGE, "digest": of.digest}


def test_a_level_is_made_once_and_again_if_it_is_damaged(store: Store) -> None:
    tensor, shard = store.address(TENSOR), f"{store.address(HALF)}/{shard_key(1)}"
    store_level(store, tensor, 16)
    made = store.fs.info(shard)
    assert store_level(store, tensor, 16) == HALF
    assert store.fs.info(shard) == made
    store.fs.rm_file(shard)
    store.fs.invalidate_cache()
    assert stored_level(store, tensor, 16) is None
    store_level(store, tensor, 16)
    assert stored_level(store, tensor, 16) is not None


def test_a_level_whose_bytes_changed_is_made_again_by_its_remedy(store: Store) -> None:
    tensor, shard = store.address(TENSOR), f"{store.address(HALF)}/{shard_key(0)}"
    store_level(store, tensor, 16)
    whole = store.fs.cat_file(shard)
    store.fs.pipe_file(shard, whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    level = ShardReader(store.url, store.address(HALF))
    with pytest.raises(TensorStoreError, match=r"a chunk changed on disk.* Store the level 16 again: `store_level`\."):
        [level.read(row) for row in range(FIELDS)]
    store_level(store, tensor, 16)
    store.fs.invalidate_cache()
    assert store.fs.cat_file(shard) == whole


def test_a_level_of_another_tensor_is_not_read(store: Store) -> None:
    tensor, group = store.address(TENSOR), f"{store.address(HALF)}/zarr.json"
    store_level(store, tensor, 16)
    content = json.loads(store.fs.cat_file(group))
    content["attributes"]["averaged_from"]["digest"] = "cd" * 32
    store.fs.pipe_file(group, json.dumps(content).encode())
    assert stored_level(store, tensor, 16) is None


@pytest.mark.parametrize("size", [0, 5, EDGE, 64])
def test_a_size_that_is_no_level_is_refused(store: Store, size: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{size} is no smaller edge length that divides {EDGE}"):
        store_level(store, store.address(TENSOR), size)
