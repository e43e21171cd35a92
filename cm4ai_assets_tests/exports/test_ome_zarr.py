"""Plates, read back by ome-zarr, which is what napari reads with, and by zarr alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zarr

from cm4ai_assets.access import Release
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made
from cm4ai_assets.exports.ome_labels import Nuclei
from cm4ai_assets.exports.ome_store import edges, level_files
from cm4ai_assets.exports.ome_zarr import _image
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.storage.nuclei import open_labels, read_labels
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.cells.conftest import FIELDS, _field, _room
from cm4ai_assets_tests.exports.releases import EDGE
from cm4ai_assets_tests.images.published import KEY, publish, quality

WITH_CONTROLS = Selection(with_controls=True)


@pytest.fixture
def plates(exported: Callable[..., Made]) -> Path:
    return exported("ome-zarr", selection=WITH_CONTROLS).folder


def test_each_field_stands_in_its_well_with_its_pixels_and_levels(images: Release, plates: Path) -> None:
    fields = images.fields(with_controls=True)
    found = {}
    for condition in ("untreated", "paclitaxel"):
        for plate in (plates / condition).iterdir():
            group = zarr.open_group(plate, mode="r")
            for well in group.attrs["ome"]["plate"]["wells"]:
                for image in group[well["path"]].attrs["ome"]["well"]["images"]:
                    node = group[f"{well['path']}/{image['path']}"]
                    labels = node.attrs["cm4ai"]
                    assert (labels["condition"], labels["plate"]) == (condition, plate.name.removesuffix(".ome.zarr"))
                    assert f"{labels['well_row']}/{labels['well_column']}" == well["path"]
                    found[condition, labels["field_id"]] = node
    assert set(found) == set(fields.select("condition", "field_id").iter_rows())
    for (condition, _), node in found.items():
        pixels = images.tensors(condition)[node.attrs["cm4ai"]["tensor_index"]]
        assert np.array_equal(node["0"][:], pixels)
        (multiscale,) = node.attrs["ome"]["multiscales"]
        assert [one["path"] for one in multiscale["datasets"]] == ["0", "1"]
        assert multiscale["datasets"][1]["coordinateTransformations"] == [{"type": "scale", "scale": [1.0, 2.0, 2.0]}]
        assert np.array_equal(node["1"][:], [area_average(plane, EDGE // 2) for plane in pixels])
        assert "unit" not in json.dumps(node.attrs["ome"])


def test_edges_go_down_by_halves() -> None:
    assert edges(1024) == [1024, 512, 256, 128]
    assert edges(2048)[-1] == edges(256)[-1] == 128
    assert edges(300) == [300, 150]
    assert edges(128) == [128]


class _Noise:
    """One field of noise in place of the tensors."""

    def __init__(self, edge: int) -> None:
        self.pixels = np.random.default_rng(3).integers(0, 256, (4, edge, edge), dtype=np.uint8)

    def of(self, *_: object) -> np.ndarray:
        return self.pixels


def test_every_level_is_a_mean_of_the_first_and_not_of_the_one_before(images: Release, tmp_path: Path) -> None:
    (row, *_) = images.fields(condition="untreated").iter_rows(named=True)
    windows = {("untreated", row["field_id"], channel): (0, 255) for channel in CHANNELS}
    noise = _Noise(512)
    _image("a", row, noise, windows, Nuclei(images, []), files=()).write(tmp_path / "image", lambda: None)  # type: ignore[arg-type]
    for number, edge in enumerate((512, 256, 128)):
        found = zarr.open_array(tmp_path / "image" / str(number), mode="r")[:]
        assert np.array_equal(found, [area_average(plane, edge) for plane in noise.pixels])


def test_windows_are_those_of_the_histograms(images: Release, plates: Path) -> None:
    quality = images.table("if_quality").filter(pl.col("condition") == "untreated").collect()
    group = zarr.open_group(plates / "untreated" / "B2AI_2.ome.zarr" / "B" / "3" / "0", mode="r")
    field = group.attrs["cm4ai"]["field_id"]
    for channel, stated in zip(
        ("red", "green", "blue", "yellow"), group.attrs["ome"]["omero"]["channels"], strict=True
    ):
        row = quality.filter(pl.col("field_id") == field, pl.col("channel") == channel).row(0, named=True)
        assert stated["window"] == {"min": 0, "max": 255, "start": row["p01"], "end": row["p999"]}


def test_a_flipped_bit_is_an_error_and_no_pixel(plates: Path) -> None:
    image = plates / "untreated" / "B2AI_2.ome.zarr" / "B" / "3" / "0"
    (shard,) = (path for path in (image / "0" / "c").rglob("*") if path.is_file())
    data = bytearray(shard.read_bytes())
    data[1000] ^= 4
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_array(image / "0", mode="r")[:]


def test_ome_zarr_reads_images_and_plates(images: Release, plates: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader", reason="ome-zarr is not installed (extra: dev)")
    from ome_zarr.io import parse_url  # noqa: PLC0415 - it may be absent

    plate = plates / "paclitaxel" / "B2AI_1.ome.zarr"
    (image, *_) = reader.Reader(parse_url(plate / "A" / "1" / "1"))()
    index = images.fields(condition="paclitaxel").filter(pl.col("region") == 2)["tensor_index"].item()
    assert np.array_equal(image.data[0].compute(), images.tensors("paclitaxel")[index])
    assert [level.shape for level in image.data] == [(4, EDGE, EDGE), (4, EDGE // 2, EDGE // 2)]
    assert image.metadata["channel_names"][:3] == ["Microtubules", "Protein of interest", "Nucleus"]
    assert image.metadata["colormap"][0] == [[0, 0, 0], [1, 0, 0]]
    nodes = list(reader.Reader(parse_url(plate))())
    whole = nodes[0].data[0]
    assert whole.shape[-2:] == (8 * EDGE, 12 * EDGE)
    first = np.asarray(whole[..., :EDGE, :EDGE]).reshape(4, EDGE, EDGE)
    index = images.fields(condition="paclitaxel").filter(pl.col("region") == 1, well="A1")["tensor_index"].item()
    assert np.array_equal(first, images.tensors("paclitaxel")[index])
    control = np.asarray(whole[..., -EDGE:, -EDGE:])  # H12
    assert control.max() > 0


def test_nuclei_are_labels_of_their_image(tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader", reason="ome-zarr is not installed (extra: dev)")
    from ome_zarr.io import parse_url  # noqa: PLC0415 - it may be absent

    room = _room(tmp_path / "room", [_field(number) for number in range(FIELDS)])
    cells = room.publish_cells()
    measured = [quality(*row, channel) for row in room.fields.select("field_id", "tensor_index").iter_rows()
                for channel in CHANNELS]  # fmt: skip
    publish(room.store, "if_quality", measured, "paclitaxel")
    release = Release(KEY, room.store)
    only = Selection(wells=("A1",))
    folder = export(release, "ome-zarr", tmp_path / "out", selection=only).folder
    image = folder / "paclitaxel" / "B2AI_1.ome.zarr" / "A" / "1" / "0"
    labels = release.cells("paclitaxel")
    index = json.loads((image / "zarr.json").read_text())["attributes"]["cm4ai"]["tensor_index"]
    expected = read_labels(open_labels(room.store.fs, room.store.address(cells["path"][0])), index)
    nodes = list(reader.Reader(parse_url(image))())
    found = [np.asarray(node.data[0]) for node in nodes if node.data and node.data[0].dtype == np.uint16]
    assert len(found) == 1
    assert np.array_equal(found[0], expected)
    own = labels.table.filter(pl.col("tensor_index") == index)
    assert set(np.unique(found[0])) - {0} == set(own["cell"])
    known = [
        "zarr.json",
        *level_files(edges(expected.shape[-1]), 3),
        *Nuclei(release, ["paclitaxel"]).files("paclitaxel"),
    ]
    assert _files(image) == set(known)
    half = zarr.open_array(image / "labels" / "nuclei" / "1", mode="r")[:]
    assert np.array_equal(half, expected[::2, ::2])
    shutil.rmtree(image / "labels" / "nuclei" / "1" / "c")
    assert export(release, "ome-zarr", folder, selection=only).kept == 1, "the other field"
    record = json.loads((folder / "cm4ai-export.json").read_text())
    assert record["identity"]["nuclei"] == {"paclitaxel": cells["path"][0]}


def test_a_field_that_was_lost_is_written_again_and_no_other(plates: Path, exported: Callable[..., Made]) -> None:
    lost = plates / "untreated" / "B2AI_1.ome.zarr" / "A" / "1" / "1"
    kept = lost.with_name("0") / "0" / "zarr.json"
    before = kept.stat().st_mtime_ns
    for path in sorted(lost.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    lost.rmdir()
    made = exported("ome-zarr", selection=WITH_CONTROLS)
    assert (made.parts, made.kept) == (10, 9)
    assert (lost / "0" / "zarr.json").is_file()
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("level", ["0", "1"])
@pytest.mark.parametrize("is_emptied", [True, False])
def test_pixels_that_a_power_cut_took_are_written_again_and_not_read_as_black(
    images: Release, plates: Path, exported: Callable[..., Made], *, level: str, is_emptied: bool
) -> None:
    image = plates / "untreated" / "B2AI_1.ome.zarr" / "A" / "1" / "0"
    before = zarr.open_array(image / level, mode="r")[:]
    assert before.any()
    (shard,) = (path for path in (image / level / "c").rglob("*") if path.is_file())
    if is_emptied:
        shard.write_bytes(b"")
    else:
        shard.unlink()
    made = exported("ome-zarr", selection=WITH_CONTROLS)
    assert (made.parts, made.kept) == (10, 9)
    assert np.array_equal(zarr.open_array(image / level, mode="r")[:], before)


def test_a_part_knows_its_files_also_where_a_level_is_black(images: Release, tmp_path: Path) -> None:
    (row, *_) = images.fields(condition="untreated").iter_rows(named=True)
    windows = {("untreated", row["field_id"], channel): (0, 255) for channel in CHANNELS}
    black = _Noise(512)
    black.pixels[:] = 0
    files = ["zarr.json", *level_files(edges(512), 3)]
    _image("a", row, black, windows, Nuclei(images, []), files=files).write(tmp_path / "image", lambda: None)  # type: ignore[arg-type]
    assert _files(tmp_path / "image") == set(files)


def _files(image: Path) -> set[str]:
    return {path.relative_to(image).as_posix() for path in image.rglob("*") if path.is_file()}


def test_a_plate_is_none_before_all_of_its_fields_are_there(
    images: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Callable[..., Made]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cm4ai_assets.exports.ome_zarr.image_metadata", interrupted)
    with pytest.raises(KeyboardInterrupt):
        exported("ome-zarr")
    assert not list((tmp_path / "out").rglob("zarr.json"))
