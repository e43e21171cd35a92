from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import fsspec
import numpy as np
import polars as pl
import pytest
from PIL import Image

from cm4ai_assets.images import pixels
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.images.colour import PAINTED_PLANES
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.images.pixels import PassProgress, PassResult, run_pass
from cm4ai_assets.storage.tensors import (
    is_complete,
    open_array,
    read_field,
    read_record,
    tensor_digest,
    verify_store,
)
from cm4ai_assets.tables.images import IF_QUALITY

Fields = dict[str, dict[str, bytes]]
Painted = Callable[[int], Fields]

LOCAL = fsspec.filesystem("file")
SHA256 = "ab" * 32


def pass_over(archive: Any, target: Path, *, edge: int = 32, source_edge: int = 64, **options: Any) -> PassResult:
    return run_pass(
        archive.source,
        archive.members,
        archive.plans,
        target,
        edge=edge,
        source_sha256=SHA256,
        source_edge=source_edge,
        **options,
    )


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def by_pillow(channels: Mapping[str, bytes]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(channels[name])))[:, :, PLANES[name]] for name in PLANES])


def digests(quality: pl.DataFrame) -> list[list[str]]:
    found = quality.drop_nulls("tensor_index")["pixel_sha256"].to_list()
    return [found[n : n + 4] for n in range(0, len(found), 4)]


def test_published_images_keep_every_pixel_at_2048(
    real_fields: Fields, zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    result = pass_over(zip_of(real_fields), tmp_path / "out", edge=2048, source_edge=2048)
    array = open_array(LOCAL, str(result.tensor_path))
    assert array.shape == result.record.shape == (6, 4, 2048, 2048)
    for index, channels in enumerate(real_fields.values()):
        assert np.array_equal(read_field(array, index), by_pillow(channels))


def test_published_images_are_averaged_at_1024(real_fields: Fields, zip_of: Callable[..., Any], tmp_path: Path) -> None:
    result = pass_over(zip_of(real_fields), tmp_path / "out", edge=1024, source_edge=2048)
    array = open_array(LOCAL, str(result.tensor_path))
    for index, channels in enumerate(real_fields.values()):
        means = by_pillow(channels).reshape(4, 1024, 2, 1024, 2).mean(axis=(2, 4))
        assert np.array_equal(read_field(array, index), np.rint(means))
    assert result.record.size <= 0.3 * result.record.raw_size


def test_everything_that_the_pass_makes_agrees(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    archive = zip_of(painted_fields(18))
    result = pass_over(archive, tmp_path / "out")
    record, quality = result.record, pl.read_parquet(result.quality_path)
    store = str(result.tensor_path)
    assert record == read_record(LOCAL, store)
    assert is_complete(LOCAL, store)
    assert record.digest == tensor_digest(quality["pixel_sha256"])
    assert (record.n_fields, record.failures, record.raw_size) == (18, {}, 18 * 4 * 32 * 32)
    assert (result.images, result.peak_window) == (72, min(72, pixels.WINDOW_PER_WORKER * len(os.sched_getaffinity(0))))
    assert result.images_per_second > 0
    assert verify_store(open_array(LOCAL, store), digests(quality)) == []
    assert quality["tensor_index"].to_list() == [n for n in range(18) for _ in PLANES]
    assert quality["channel"].to_list() == list(PLANES) * 18
    assert quality["field_id"].unique(maintain_order=True).to_list() == [plan.field_id for plan in archive.plans]
    assert quality["member"][5] == archive.members[archive.plans[1].members[1]].name


def test_the_rows_are_those_of_the_table(painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path) -> None:
    quality = pl.read_parquet(pass_over(zip_of(painted_fields(2)), tmp_path / "out").quality_path)
    placed = IF_QUALITY.place(quality, release="2025-06-v2.1", condition="paclitaxel")
    assert IF_QUALITY.violations(placed) == []


def test_quality_is_of_the_full_plane_and_the_digest_of_the_stored_one(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    fields = painted_fields(1)
    quality = pl.read_parquet(pass_over(zip_of(fields), tmp_path / "out").quality_path)
    plane = by_pillow(next(iter(fields.values())))[1]
    row = quality.row(1, named=True)
    assert row["histogram"] == np.bincount(plane.ravel(), minlength=256).tolist()
    assert row["mean"] == pytest.approx(plane.mean())
    assert row["focus"] == pytest.approx(cv2.Laplacian(plane, cv2.CV_64F).var() / plane.var(), rel=1e-6)
    assert row["pixel_sha256"] == hashlib.sha256(area_average(np.ascontiguousarray(plane), 32).tobytes()).hexdigest()


@pytest.mark.parametrize("edge", [64, 32, 16])
def test_the_same_bytes_however_many_threads(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path, edge: int
) -> None:
    archive = zip_of(painted_fields(20))
    made = []
    for number, workers in enumerate((1, 1, 2, 5)):
        pass_over(archive, tmp_path / str(number), edge=edge, workers=workers)
        made.append(files(tmp_path / str(number)))
    assert made[0] == made[1] == made[2] == made[3]
    assert set(made[0]) == {
        "quality.parquet",
        "tensor.zarr/zarr.json",
        "tensor.zarr/image/zarr.json",
        "tensor.zarr/image/c/0/0/0/0",
        "tensor.zarr/image/c/1/0/0/0",
    }


def test_a_field_with_one_bad_image_is_left_out_and_told(
    painted_fields: Painted, paint: Callable[..., bytes], zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    fields = painted_fields(8)
    names = list(fields)
    sound = {name: dict(channels) for name, channels in fields.items()}
    bad = {
        1: ("red", b"", "not_jpeg"),
        2: ("green", paint("green")[:500], "corrupt_jpeg"),
        3: ("blue", paint("blue", edge=128), "other_size"),
        5: ("yellow", _grey(), "not_rgb"),
    }
    for place, (channel, data, _) in bad.items():
        fields[names[place]][channel] = data
    archive = zip_of(fields)
    _break_member(archive, names[6], "red")
    result = pass_over(archive, tmp_path / "out")

    expected = {names[place]: defect for place, (_, _, defect) in bad.items()} | {names[6]: "member_unreadable"}
    failures = result.record.failures
    assert {name: [failure.defect for failure in found] for name, found in failures.items()} == {
        name: [defect] for name, defect in expected.items()
    }
    assert failures[names[3]][0].detail == "128 x 128 pixels, not 64 x 64"
    assert failures[names[6]][0].member == f"paclitaxel/red/{names[6]}_red.jpg"
    assert read_record(LOCAL, str(result.tensor_path)) == result.record

    kept = [name for name in names if name not in expected]
    array = open_array(LOCAL, str(result.tensor_path))
    assert array.shape[0] == len(kept) == 3
    for index, name in enumerate(kept):
        stack = [area_average(np.ascontiguousarray(plane), 32) for plane in by_pillow(sound[name])]
        assert np.array_equal(read_field(array, index), np.stack(stack))

    quality = pl.read_parquet(result.quality_path)
    assert quality.height == 4 * 8 - 5  # the sound channels of a bad field are told too
    assert quality.filter(pl.col("tensor_index").is_null())["field_id"].unique().sort().to_list() == sorted(expected)
    assert result.record.digest == tensor_digest(quality.drop_nulls("tensor_index")["pixel_sha256"])


def test_swapped_contents_are_left_out_and_named(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    """The names, sizes and CRCs of two swapped files are all in order; only the pixels tell."""
    fields = painted_fields(3)
    names = list(fields)
    swapped = fields[names[1]]
    swapped["red"], swapped["blue"] = swapped["blue"], swapped["red"]
    result = pass_over(zip_of(fields), tmp_path / "out")
    assert {name: [(one.defect, one.detail) for one in found] for name, found in result.record.failures.items()} == {
        names[1]: [
            ("other_colour", "painted in blue, named red"),
            ("other_colour", "painted in red, named blue"),
        ]
    }
    quality = pl.read_parquet(result.quality_path)
    assert result.record.n_fields == 2
    assert quality.filter(pl.col("field_id") == names[1])["channel"].to_list() == ["green", "yellow"]
    assert quality.filter(pl.col("colour") != pl.col("channel")).is_empty()


def test_saturation_is_counted_where_each_channel_has_it(zip_of: Callable[..., Any], tmp_path: Path) -> None:
    """Painted at full intensity red and blue decode to 254: at 255 alone, nothing of it would be seen."""
    fields: Fields = {"B2AI_1_paclitaxel_A1_R1_z01": {}}
    for channel, planes in PAINTED_PLANES.items():
        rgb = np.zeros((64, 64, 3), np.uint8)
        rgb[:32, :, list(planes)] = 255
        fields["B2AI_1_paclitaxel_A1_R1_z01"][channel] = _jpeg(Image.fromarray(rgb))
    quality = pl.read_parquet(pass_over(zip_of(fields), tmp_path / "out").quality_path)
    assert quality["saturated_fraction"].to_list() == pytest.approx([0.5] * 4, abs=0.02)  # ringing at the edge
    assert quality["is_saturated"].all()


def test_hostile_member_names_are_kept_verbatim(
    paint: Callable[..., bytes], zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    name = 'B2AI_1_<img src=x onerror=alert(1)>"\\u202e\u00e9\U0001f9ec_A1_R1_z01'
    fields = {name: {channel: paint(channel) for channel in PLANES} | {"blue": b"no"}}
    result = pass_over(zip_of(fields), tmp_path / "out")
    (failure,) = read_record(LOCAL, str(result.tensor_path)).failures[name]
    assert failure.member == f"paclitaxel/blue/{name}_blue.jpg"
    assert pl.read_parquet(result.quality_path)["member"][0] == f"paclitaxel/red/{name}_red.jpg"


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_that_can_be_stored_is_a_store_without_fields(
    paint: Callable[..., bytes], zip_of: Callable[..., Any], tmp_path: Path, count: int
) -> None:
    fields = {f"F{n}": dict.fromkeys(PLANES, b"no image") for n in range(count)}
    result = pass_over(zip_of(fields), tmp_path / "out")
    assert result.record.shape == (0, 4, 32, 32)
    assert len(result.record.failures) == count
    assert open_array(LOCAL, str(result.tensor_path)).shape == (0, 4, 32, 32)
    assert pl.read_parquet(result.quality_path).height == 0


def test_an_error_of_the_machine_ends_the_pass(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    """It must not become a finding: the product is kept, and would remember it for ever."""
    archive = zip_of(painted_fields(30))
    reads, read_at = iter(range(1000)), archive.source.read_at

    def failing(offset: int, length: int) -> bytes:
        if next(reads) == 80:
            raise OSError(5, "Input/output error")
        data: bytes = read_at(offset, length)
        return data

    archive.source.read_at = failing
    before = threading.active_count()
    with pytest.raises(OSError, match="Input/output error"):
        pass_over(archive, tmp_path / "out")
    assert not list(tmp_path.rglob("zarr.json"))
    assert not is_complete(LOCAL, str(tmp_path / "out" / "tensor.zarr"))
    assert not (tmp_path / "out" / "quality.parquet").exists()
    assert threading.active_count() == before
    assert next(reads) < 30 * 4  # what was not begun is not done any more


def test_killed_in_the_middle_nothing_looks_complete(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    archive = zip_of(painted_fields(40))
    script = """
        import sys, time
        from pathlib import Path
        from cm4ai_assets.images import pixels
        from cm4ai_assets.images.fields import FieldPlan
        from cm4ai_assets.storage.zips import read_directory
        from cm4ai_assets.storage.bytes import LocalBytes

        def wait(progress):
            if progress.fields_done == 20:
                print("twenty", flush=True)
                time.sleep(60)

        pixels.PROGRESS_INTERVAL = 0
        source = LocalBytes(Path(sys.argv[1]))
        members = read_directory(source).members
        plans = [FieldPlan(f"F{n}", (4 * n + 1, 4 * n + 2, 4 * n + 3, 4 * n + 4)) for n in range(40)]
        pixels.run_pass(source, members, plans, Path(sys.argv[2]), edge=32, source_sha256="ab" * 32,
                        source_edge=64, progress=wait)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(archive.path), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "twenty\n"
        process.send_signal(signal.SIGKILL)
    store = tmp_path / "out" / "tensor.zarr"
    assert (store / "image/c/0/0/0/0").stat().st_size > 0
    assert not list(store.rglob("zarr.json"))
    assert not is_complete(LOCAL, str(store))
    with pytest.raises(pl.exceptions.PolarsError):
        pl.read_parquet(tmp_path / "out" / "quality.parquet")


def test_two_passes_at_once_do_not_disturb_each_other(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    archive = zip_of(painted_fields(12))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: pass_over(archive, tmp_path / str(n)), range(2)))
    assert files(tmp_path / "0") == files(tmp_path / "1")


def test_opencv_gets_its_threads_back(painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    pass_over(zip_of(painted_fields(1)), tmp_path / "out")
    assert cv2.getNumThreads() == before


def test_progress_is_told_once_in_an_interval_and_at_the_end(
    painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zip_of(painted_fields(5))
    told: list[PassProgress] = []
    pass_over(archive, tmp_path / "rare", progress=told.append)
    assert [(one.fields_done, one.fields_total, one.eta_seconds) for one in told] == [(5, 5, 0.0)]
    told.clear()
    monkeypatch.setattr(pixels, "PROGRESS_INTERVAL", 0.0)
    pass_over(archive, tmp_path / "often", progress=told.append)
    assert [one.fields_done for one in told] == [1, 2, 3, 4, 5, 5]
    assert told[0].images_per_second > 0
    assert told[0].eta_seconds > 0


def test_the_edge_must_divide_the_images(painted_fields: Painted, zip_of: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="48 does not divide"):
        pass_over(zip_of(painted_fields(1)), tmp_path / "out", edge=48)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_memory_does_not_follow_the_archive(
    paint: Callable[..., bytes], zip_of: Callable[..., Any], tmp_path: Path
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of memory is read from /proc, which this system does not have")
    jpegs = {channel: paint(channel, edge=2048) for channel in PLANES}
    peaks = []
    for count in (8, 24):
        archive = zip_of({f"F{n}": jpegs for n in range(count)}, name=f"{count}.zip")
        script = f"""
            import sys
            from pathlib import Path
            from types import SimpleNamespace
            from cm4ai_assets.images import pixels
            from cm4ai_assets.storage.zips import read_directory
            from cm4ai_assets.storage.bytes import LocalBytes
            source = LocalBytes(Path(sys.argv[1]))
            members = read_directory(source).members
            plans = [SimpleNamespace(field_id=f"F{{n}}", members=range(4 * n + 1, 4 * n + 5)) for n in range({count})]
            pixels.run_pass(source, members, plans, Path(sys.argv[2]), edge=1024, source_sha256="ab" * 32, workers=2)
            status = Path("/proc/self/status").read_text()  # ru_maxrss would count the process that forked this one
            print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
        """
        command = [sys.executable, "-c", textwrap.dedent(script), str(archive.path), str(tmp_path / str(count))]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert max(peaks) <= 500  # 130 of them are the compiler of `averaging` and `counting`
    assert peaks[1] <= peaks[0] + 30


def _grey() -> bytes:
    return _jpeg(Image.new("L", (64, 64)))


def _jpeg(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=85)
    return target.getvalue()


def _break_member(archive: Any, field_id: str, channel: str) -> None:
    """Flip one bit of a member's compressed bytes."""
    member = next(one for one in archive.members if one.name.endswith(f"{field_id}_{channel}.jpg"))
    with archive.path.open("r+b") as file:
        file.seek(member.boundary - member.compressed_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
