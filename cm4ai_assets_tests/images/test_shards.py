from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage import tensors
from cm4ai_assets.storage.tensors import PIXEL_CODE_VERSION, Failure, StoreRecord, open_array

LOCAL = fsspec.filesystem("file")


def write(root: Path, pixels: np.ndarray, failures: dict[str, Sequence[Failure]] | None = None) -> StoreRecord:
    store = StoreWriter(root, pixels.shape[-1])
    for field in pixels:
        store.append([chunk for plane in field for chunk in compress(plane)])
    return store.finish(source_sha256="5a" * 32, digest="d1" * 32, failures=failures or {})


def noise(fields: int, edge: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (fields, 4, edge, edge), dtype=np.uint8)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.integers(0, 35), edge=st.sampled_from([8, 16]), seed=st.integers(0, 9))
def test_zarr_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, fields: int, edge: int, seed: int
) -> None:
    root, pixels = tmp_path_factory.mktemp("store") / "x.zarr", noise(fields, edge, seed)
    pixels[fields // 2 :] //= 200  # some compress well, some not at all
    record = write(root, pixels)
    array = open_array(LOCAL, str(root))
    assert array.shape == record.shape == pixels.shape
    assert np.array_equal(array[:], pixels)
    assert record.size == sum(path.stat().st_size for path in (root / "image").glob("c/*/0/0/0"))


def test_tensorstore_reads_what_was_written(tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore", reason="tensorstore is not installed; it is not needed either")
    pixels = noise(19, 32)
    write(tmp_path / "x.zarr", pixels)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "x.zarr" / "image")}}
    assert np.array_equal(tensorstore.open(spec, read=True).result().read().result(), pixels)


def test_large_planes_have_several_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "LARGEST_CHUNK_EDGE", 8)
    pixels = noise(3, 32)
    assert len(compress(pixels[0, 0])) == 16
    write(tmp_path / "x.zarr", pixels)
    array = open_array(LOCAL, str(tmp_path / "x.zarr"))
    assert array.chunks == (1, 1, 8, 8)
    assert np.array_equal(array[:], pixels)
    assert np.array_equal(array[1, 2, 5:20, 9:30], pixels[1, 2, 5:20, 9:30])


def test_no_chunk_mixes_fields_or_channels(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", noise(17, 16))
    array = open_array(LOCAL, str(tmp_path / "x.zarr"))
    assert (array.chunks, array.shards) == ((1, 1, 16, 16), (16, 4, 16, 16))
    assert sorted(path.name for path in (tmp_path / "x.zarr/image/c").iterdir()) == ["0", "1"]


def test_the_last_shard_names_absent_chunks_as_the_specification_says(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", noise(1, 16))
    shard = (tmp_path / "x.zarr" / tensors.shard_key(0)).read_bytes()
    index = np.frombuffer(shard[-(16 * 4 * 16 + 4) : -4], "<u8").reshape(16, 4, 2)
    assert (index[1:] == 2**64 - 1).all()
    assert index[0, 0, 0] == 0
    assert np.array_equal(index[0, 1:, 0], index[0, :-1].sum(axis=1))


def test_the_same_pixels_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, noise(18, 16))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_group_names_the_release_it_was_made_for_and_no_licence_of_its_own(tmp_path: Path) -> None:
    stated = {"doi": "doi:10.5072/FK2/A", "version": "2.0", "license": "CC0 1.0"}
    writer = StoreWriter(tmp_path / "x.zarr", 16)
    writer.finish(source_sha256="5a" * 32, digest="d1" * 32, failures={}, first_published_in=stated)
    group = json.loads((tmp_path / "x.zarr" / "zarr.json").read_text())["attributes"]
    assert group["first_published_in"] == stated
    assert "license" not in group
    assert "license" not in json.loads((tmp_path / "x.zarr" / "image" / "zarr.json").read_text())["attributes"]


def test_the_array_explains_itself(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", noise(2, 16))
    array = open_array(LOCAL, str(tmp_path / "x.zarr"))
    assert array.metadata.dimension_names == ("field", "channel", "y", "x")
    told = array.attrs.asdict()
    assert [(channel["name"], channel["source_plane"]) for channel in told["channels"]] == [
        ("red", 0),
        ("green", 1),
        ("blue", 2),
        ("yellow", 0),
    ]
    assert told["channels"][2]["stain"] == "DAPI"
    assert (told["source_sha256"], told["edge"], told["pixel_code_version"]) == (
        "5a" * 32,
        16,
        PIXEL_CODE_VERSION,
    )
    assert "micro" not in json.dumps(told).replace("microtubules", "")  # no pixel size is published
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_a_store_cannot_be_opened_before_it_is_finished(tmp_path: Path) -> None:
    store = StoreWriter(tmp_path / "x.zarr", 16)
    for field in noise(17, 16):
        store.append([chunk for plane in field for chunk in compress(plane)])
    store.close()
    assert (tmp_path / "x.zarr" / tensors.shard_key(0)).is_file()
    assert not list(tmp_path.rglob("zarr.json"))
    with pytest.raises((FileNotFoundError, zarr.errors.NodeNotFoundError)):
        zarr.open_group(tmp_path / "x.zarr", mode="r")


def test_a_field_has_the_chunks_of_four_planes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 chunks, not 4"):
        StoreWriter(tmp_path / "x.zarr", 16).append([b""] * 3)


def test_every_flipped_bit_is_an_error_on_reading(tmp_path: Path) -> None:
    pixels = noise(20, 32) // 64
    write(tmp_path / "x.zarr", pixels)
    chance = random.Random(1)
    shards = [tmp_path / "x.zarr" / tensors.shard_key(n) for n in (0, 1)]
    for _ in range(40):
        path = chance.choice(shards)
        sound = path.read_bytes()
        damaged = bytearray(sound)
        damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="checksum"):
            open_array(LOCAL, str(tmp_path / "x.zarr"))[:]
        path.write_bytes(sound)
    assert np.array_equal(open_array(LOCAL, str(tmp_path / "x.zarr"))[:], pixels)
