"""Fields straight from shards: every pixel, or an error that names what is wrong."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import fsspec
import google_crc32c
import imagecodecs
import numpy as np
import pytest

import cm4ai_assets.loading.reader as reader_module
from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage.shard_names import shard_key
from cm4ai_assets_tests.loading.stores import noise, written
from cm4ai_assets_tests.storage.s3 import s3_server

FIELDS, EDGE = 18, 32


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return noise(FIELDS, EDGE)


@pytest.fixture
def store(tmp_path: Path, pixels: np.ndarray) -> Path:
    return written(tmp_path / "x.zarr", pixels)


@pytest.fixture(params=["file", "memory", "s3"])
def reader(request: pytest.FixtureRequest, store: Path) -> Iterator[ShardReader]:
    """The store on a local disk, and elsewhere."""
    if request.param == "file":
        yield ShardReader(str(store.parent), str(store))
    elif request.param == "memory":
        fs = fsspec.filesystem("memory")
        fs.put(str(store), "/loading/x.zarr", recursive=True)
        yield ShardReader("memory://loading", "/loading/x.zarr")
        fs.rm("/loading", recursive=True)
    else:
        with s3_server() as url:
            fsspec.filesystem("s3").put(str(store), f"{url}/x.zarr", recursive=True)
            yield ShardReader(url, f"{url.removeprefix('s3://')}/x.zarr")


def test_every_field_is_read_as_it_was_written_by_many_threads(reader: ShardReader, pixels: np.ndarray) -> None:
    out = np.empty_like(pixels)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda n: reader.read_into(n, out[n]), [*range(FIELDS)] * 2))
    assert np.array_equal(out, pixels)
    for channels in ((2, 0), (3, 0, 1, 2), (1, 2), (3,)):
        assert np.array_equal(reader.read(17, channels), pixels[17, list(channels)])


def test_memory_that_is_not_contiguous_is_filled_too(store: Path, pixels: np.ndarray) -> None:
    reader, wide = ShardReader(str(store), str(store)), np.zeros((4, EDGE, 2 * EDGE), np.uint8)
    reader.read_into(3, wide[:, :, ::2])
    assert np.array_equal(wide[:, :, ::2], pixels[3])
    assert not wide[:, :, 1::2].any()


@pytest.mark.parametrize(("edge", "size"), [(32, 16), (32, 8), (32, 2), (2048, 2048), (2048, 512)])
def test_other_sizes_are_the_average_of_the_pixel_pass(tmp_path: Path, edge: int, size: int) -> None:
    stored = noise(2, edge)
    written(tmp_path / "x.zarr", stored)
    read = ShardReader(str(tmp_path), str(tmp_path / "x.zarr"), size=size).read(1)
    assert np.array_equal(read, [area_average(plane, size) for plane in stored[1]])
    for none in (7, 0, -edge):
        with pytest.raises(ValueError, match=f"{none} does not divide the edge length"):
            ShardReader(str(tmp_path), str(tmp_path / "x.zarr"), size=none)


def test_one_field_is_one_read(store: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ShardReader(str(store), str(store))
    reader.read(0)
    reads: list[int] = []
    ranged = ShardReader._ranged
    monkeypatch.setattr(ShardReader, "_ranged", lambda *args: (reads.append(args[3]), ranged(*args))[1])
    assert np.array_equal(reader.read(5), pixels[5])
    assert len(reads) == 1
    assert np.array_equal(reader.read(5, (3, 2, 1, 0)), pixels[5, ::-1])
    assert len(reads) == 2
    assert np.array_equal(reader.read(5, (0, 3)), pixels[5, [0, 3]])
    assert len(reads) == 4


def test_planes_of_a_field_are_decompressed_by_one_call(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that gives the interpreter lock away has to get it back: on 16 cores that took half of the time."""
    reader, decode = ShardReader(str(store), str(store)), Mock(wraps=imagecodecs.zstd_decode)
    monkeypatch.setattr(reader_module.imagecodecs, "zstd_decode", decode)
    reader.read(5)
    decode.assert_called_once()


def test_more_chunks_than_the_system_reads_at_once_are_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = noise(1, 2048)
    written(tmp_path / "x.zarr", stored)
    reader = ShardReader(str(tmp_path), str(tmp_path / "x.zarr"))
    assert os.sysconf("SC_IOV_MAX") >= 2 * reader_module._AT_ONCE
    reader.read(0)
    monkeypatch.setattr(reader_module, "_AT_ONCE", 3)
    monkeypatch.setattr(reader, "_ranged", Mock(wraps=reader._ranged))
    assert np.array_equal(reader.read(0), stored[0])
    assert [len(call.args[2]) for call in reader._ranged.call_args_list] == [6, 6, 6, 6, 6, 2]


def test_every_flipped_bit_of_a_chunk_or_an_index_is_an_error(store: Path) -> None:
    shard = store / shard_key(1)
    whole = shard.read_bytes()
    rng = np.random.default_rng(1)
    index = len(whole) - 16 * 4 * 16 - 4
    for offset in [0, index - 1, index, len(whole) - 1, *rng.integers(0, index // 2, 20).tolist()]:
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << int(rng.integers(8))
        shard.write_bytes(damaged)
        reader = ShardReader(str(store), str(store))
        with pytest.raises(TensorStoreError, match=r"changed on disk.* Materialize if_tensors again"):
            [reader.read(n) for n in (16, 17)]


@pytest.mark.parametrize("channel", range(4))
@pytest.mark.parametrize("held", [EDGE * EDGE - 1, EDGE * EDGE + 1])
def test_what_has_a_right_checksum_and_is_no_plane_is_an_error(store: Path, channel: int, held: int) -> None:
    shard = store / shard_key(1)
    whole = shard.read_bytes()
    index = np.frombuffer(whole[-16 * 4 * 16 - 4 : -4], "<u8").reshape(16, 4, 2).copy()
    wrong = bytes(imagecodecs.zstd_encode(np.zeros(held, np.uint8)))
    place = int(index[0, channel, 0])
    index[0, channel, 1] = len(wrong) + 4
    chunk = wrong + google_crc32c.value(wrong).to_bytes(4, "little")
    body = whole[:place] + chunk + whole[place + len(chunk) : -16 * 4 * 16 - 4]
    shard.write_bytes(body + index.tobytes() + google_crc32c.value(index.tobytes()).to_bytes(4, "little"))
    with pytest.raises(TensorStoreError, match=rf"field 16, channel {channel}: .*changed on disk: it (holds|cannot)"):
        ShardReader(str(store), str(store)).read(16)


def test_chunks_whose_lengths_make_up_for_each_other_are_an_error(store: Path) -> None:
    """Decompressed together they fill the field, each pixel after them in the wrong place."""
    shard = store / shard_key(1)
    whole = shard.read_bytes()
    index = np.frombuffer(whole[-16 * 4 * 16 - 4 : -4], "<u8").reshape(16, 4, 2).copy()
    body = b""
    for channel, held in enumerate((EDGE**2, EDGE**2 + 1, EDGE**2 - 1, EDGE**2)):
        chunk = bytes(imagecodecs.zstd_encode(np.random.default_rng(channel).integers(0, 256, held, np.uint8)))
        index[0, channel] = (len(body), len(chunk) + 4)
        body += chunk + google_crc32c.value(chunk).to_bytes(4, "little")
    shard.write_bytes(
        body
        + whole[len(body) : -16 * 4 * 16 - 4]
        + index.tobytes()
        + google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    )
    with pytest.raises(TensorStoreError, match=r"field 16, channel 1: .*changed on disk: it (holds|cannot)"):
        ShardReader(str(store), str(store)).read(16)


def test_planes_of_one_grey_level_are_read_whose_frames_are_too_short_to_say_what_they_hold(tmp_path: Path) -> None:
    stored = np.repeat(np.arange(4, dtype=np.uint8), 8 * 8).reshape(1, 4, 8, 8)
    assert reader_module._stated_pixels(np.frombuffer(imagecodecs.zstd_encode(stored[0, 0]), np.uint8)) is None
    written(tmp_path / "x.zarr", stored)
    assert np.array_equal(ShardReader(str(tmp_path), str(tmp_path / "x.zarr")).read(0), stored[0])


@pytest.mark.parametrize("pixels", [1, 255, 256, 1024, 65_791, 65_792, 1024**2])
@pytest.mark.parametrize("level", [1, 19])
def test_a_frame_says_how_many_pixels_it_holds(pixels: int, level: int) -> None:
    frame = imagecodecs.zstd_encode(np.random.default_rng(0).integers(0, 256, pixels, np.uint8), level=level)
    stated = reader_module._stated_pixels(np.frombuffer(frame, np.uint8))
    assert stated == (pixels if len(frame) >= reader_module._LONGEST_HEAD else None)
    assert reader_module._stated_pixels(np.frombuffer(frame[:5], np.uint8)) is None


def test_a_shard_that_goes_away_or_is_cut_short_is_an_error_at_the_next_read(reader: ShardReader) -> None:
    reader.read(0)
    fs, name = reader._fs, f"{reader.path}/{shard_key(0)}"
    whole = fs.cat_file(name)
    fs.pipe_file(name, whole[:100])
    with pytest.raises(TensorStoreError, match=r"the shard image/c/0/0/0/0 (ends early|cannot be read)"):
        reader.read(15)
    fs.rm_file(name)
    fs.invalidate_cache()
    with pytest.raises(TensorStoreError, match=r"the shard image/c/0/0/0/0 is missing. Materialize if_tensors again"):
        reader.read(0)
    assert reader.read(16) is not None


def test_an_index_that_lacks_a_chunk_is_an_error(store: Path) -> None:
    shard = store / shard_key(1)
    whole = shard.read_bytes()
    index = np.frombuffer(whole[-16 * 4 * 16 - 4 : -4], "<u8").reshape(16, 4, 2).copy()
    index[1, 2] = 2**64 - 1
    stated = index.tobytes()
    shard.write_bytes(whole[: -len(stated) - 4] + stated + google_crc32c.value(stated).to_bytes(4, "little"))
    with pytest.raises(TensorStoreError, match="lacks chunks of stored fields"):
        ShardReader(str(store), str(store)).read(16)


@pytest.mark.parametrize("index", [-1, FIELDS])
def test_a_field_that_is_not_there_is_an_error(store: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"has {FIELDS} fields; there is no field {index}"):
        ShardReader(str(store), str(store)).read(index)


def test_memory_of_another_form_is_refused(store: Path) -> None:
    reader = ShardReader(str(store), str(store))
    for out in (np.empty((3, EDGE, EDGE), np.uint8), np.empty((4, EDGE, EDGE), np.float32)):
        with pytest.raises(ValueError, match="A field is uint8 of the shape"):
            reader.read_into(0, out)


def test_more_threads_than_help_are_not_taken(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ShardReader(str(store), str(store))
    told = [(2, 1, 1024, 2), (16, 1, 1024, 12), (64, 2, 1024, 12), (16, 4, 1024, 4), (16, 1, 512, 8), (4, 8, 1024, 1)]
    for cores, share, edge, threads in told:
        monkeypatch.setattr(reader_module, "cores", lambda cores=cores: cores)
        monkeypatch.setattr(reader, "edge", edge)
        assert reader.default_threads(share) == threads


def _mean(reader: ShardReader, answers: multiprocessing.Queue[float]) -> None:
    answers.put(float(reader.read(4).mean()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_reader_that_was_used_works_in_another_process(store: Path, pixels: np.ndarray, method: str) -> None:
    reader = ShardReader(str(store), str(store))
    reader.read(4)
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=_mean, args=(reader, answers))
    process.start()
    assert answers.get(timeout=60) == pixels[4].mean()
    process.join(timeout=60)
    assert np.array_equal(pickle.loads(pickle.dumps(reader)).read(4), pixels[4])
