"""Sharded arrays of any kind: what is written by hand is what zarr reads."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, IMAGE, NUCLEI
from cm4ai_assets.storage.sharding import ShardFiles, array_metadata, compress, write_metadata
from cm4ai_assets.storage.tensors import zarr_store
from cm4ai_assets.storage.whole_shards import WholeShards


@pytest.mark.parametrize(("edge", "chunks"), [(64, 1), (2048, 4)])
def test_planes_of_16_bits_are_read_back_by_zarr(tmp_path: Path, edge: int, chunks: int) -> None:
    planes = [np.full((edge, edge), number * 300, np.uint16) for number in range(3)]
    planes[1][: edge // 2, 5] = np.arange(edge // 2)
    files = ShardFiles(tmp_path, NUCLEI, chunks_per_field=chunks)
    for plane in planes:
        files.append(compress(plane))
    sizes = files.finish()
    assert sizes == (((tmp_path / NUCLEI.key(0)).stat().st_size),)
    write_metadata(tmp_path / NUCLEI.array, array_metadata((3, edge, edge), ("field", "y", "x"), "uint16", {}))
    array = zarr.open_array(tmp_path / NUCLEI.array, mode="r", zarr_format=3)
    assert array.dtype == np.uint16
    assert np.array_equal(array[:], np.stack(planes))


def test_a_field_of_another_number_of_chunks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 chunks, not 1"):
        ShardFiles(tmp_path, NUCLEI, chunks_per_field=1).append([b""] * 4)


def test_keys_and_numbers_of_shards() -> None:
    assert IMAGE.key(3) == "image/c/3/0/0/0"
    assert NUCLEI.key(12) == "nuclei/c/12/0/0"
    assert NUCLEI.number("nuclei/c/12/0/0") == 12
    assert NUCLEI.number("nuclei/zarr.json") is None
    assert NUCLEI.number("image/c/12/0/0") is None


def test_a_missing_shard_of_any_kind_is_refused_with_its_own_remedy(tmp_path: Path) -> None:
    files = ShardFiles(tmp_path, NUCLEI, chunks_per_field=1)
    for _ in range(FIELDS_PER_SHARD + 1):
        files.append(compress(np.ones((8, 8), np.uint16)))
    files.finish()
    shape = (FIELDS_PER_SHARD + 1, 8, 8)
    write_metadata(tmp_path / NUCLEI.array, array_metadata(shape, ("field", "y", "x"), "uint16", {}))
    store = zarr_store(fsspec.filesystem("file"), str(tmp_path))
    whole = WholeShards(store, name="labels", fields=shape[0], chunks_per_field=1, kind=NUCLEI)
    array = zarr.open_array(whole, path=NUCLEI.array, mode="r", zarr_format=3)
    (tmp_path / NUCLEI.key(1)).unlink()
    assert (np.asarray(array[0]) == 1).all()
    with pytest.raises(TensorStoreError, match="Materialize if_cells again"):
        array[FIELDS_PER_SHARD]
