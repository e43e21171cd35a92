"""Crops around nuclei as a scientist reads them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.cells.crops import Cells, cut
from cm4ai_assets.errors import ConfigurationError, NotMaterializedError, TensorStoreError
from cm4ai_assets.storage import tensors
from cm4ai_assets_tests.cells.conftest import CONDITION, EDGE, RELEASE, Room


@pytest.fixture(scope="module")
def cells(shared_room: Room) -> Cells:
    return Release(RELEASE, shared_room.store).cells(CONDITION, size=64)


def _padded(planes: np.ndarray, size: int) -> np.ndarray:
    return np.pad(planes, ((0, 0), (size, size), (size, size)))


def test_a_crop_is_the_tensor_around_the_centroid_with_zeros_beyond(shared_room: Room, cells: Cells) -> None:
    assert cells.shape == (cells.table.height, 4, 64, 64)
    for number in range(0, len(cells), 7):
        row = cells.table.row(number, named=True)
        y, x = (int(np.floor(row[name] + 0.5)) + 64 - 32 for name in ("centroid_y", "centroid_x"))
        expected = _padded(shared_room.planes[row["tensor_index"]], 64)[:, y : y + 64, x : x + 64]
        assert np.array_equal(cells[number], expected)
        assert cells.window(number) == (y - 64, x - 64, y, x)
    assert np.array_equal(cells[-1], cells[len(cells) - 1])


def test_masks_and_labels_lie_on_the_crop(shared_room: Room, cells: Cells) -> None:
    for number in range(0, len(cells), 5):
        row = cells.table.row(number, named=True)
        mask = cells.mask(number)
        assert mask.shape == (64, 64)
        assert mask.dtype == np.bool_
        assert mask.sum() == row["area"], "64 pixels hold a whole nucleus of these"
        assert cells[number][2][mask].mean() == pytest.approx(row["nucleus_blue_mean"], abs=1e-3)
        assert (cells.labels(number)[mask] == row["cell"]).all()


def test_what_lies_outside_is_known(cells: Cells) -> None:
    edges = cells.table.with_row_index().filter(pl.col("centroid_y") < 31.5)["index"]
    assert len(edges)
    for number in edges:
        inside = cells.inside(number)
        y0, x0, y1, x1 = cells.window(number)
        assert inside.sum() == (min(y1, EDGE) - max(y0, 0)) * (min(x1, EDGE) - max(x0, 0))
        assert y0 < 0
        assert not cells[number][:, ~inside].any()


@pytest.mark.parametrize("size", [1, 33, 600])
def test_any_size(shared_room: Room, size: int) -> None:
    cells = Release(RELEASE, shared_room.store).cells(CONDITION, size=size)
    crop = cells[3]
    assert crop.shape == (4, size, size)
    row = cells.table.row(3, named=True)
    middle = [int(np.floor(row[name] + 0.5)) for name in ("centroid_y", "centroid_x")]
    field = shared_room.planes[row["tensor_index"]]
    assert np.array_equal(crop[:, size // 2, size // 2], field[:, middle[0], middle[1]])
    assert crop.sum(dtype=np.int64) == field.sum(dtype=np.int64) or size < 600


def test_several_crops_come_in_the_order_asked_for_and_each_field_is_read_once(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [len(cells) - 1, 0, 5, len(cells) - 2, 1]
    expected = np.stack([cells[number] for number in numbers])
    reader, read = cells._reader, []
    monkeypatch.setattr(type(reader), "read", _counted(type(reader).read, read))
    fresh = pickle.loads(pickle.dumps(cells))
    assert np.array_equal(fresh.crops(numbers), expected)
    assert len(read) == len(set(cells.table["tensor_index"].gather(numbers)))


def _counted(read, seen):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def counted(self, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        seen.append(index)
        return read(self, index)

    return counted


def test_filtered_rows_keep_their_crops(cells: Cells) -> None:
    chosen = cells.filter(pl.col("plausible"), ~pl.col("touches_border"))
    assert 0 < len(chosen) < len(cells)
    place = chosen.table.row(2, named=True)
    same = cells.table.with_row_index().filter(tensor_index=place["tensor_index"], cell=place["cell"])["index"].item()
    assert np.array_equal(chosen[2], cells[same])
    assert sum(1 for _ in chosen) == len(chosen)


def test_fields_have_their_reasons(cells: Cells) -> None:
    assert cells.fields["reason"].drop_nulls().to_list() == ["dark"]
    assert cells.record.nuclei == len(cells)


def test_pickled_it_reads_the_same(cells: Cells) -> None:
    again = pickle.loads(pickle.dumps(cells))
    assert np.array_equal(again[4], cells[4])
    assert np.array_equal(again.mask(4), cells.mask(4))


def test_what_cannot_be_is_refused(shared_room: Room, cells: Cells) -> None:
    release = Release(RELEASE, shared_room.store)
    with pytest.raises(TypeError):
        cells[1.5]  # type: ignore[index]  # which is no number of a crop, and not the second one
    with pytest.raises(IndexError, match="no nucleus"):
        cells[len(cells)]
    with pytest.raises(ConfigurationError, match="0 pixels"):
        release.cells(CONDITION, size=0)
    with pytest.raises(NotMaterializedError, match="if_cells"):
        release.cells("untreated")


def test_of_no_nucleus_the_fields_still_say_why(cells: Cells) -> None:
    nobody = cells.filter(pl.col("area") < 0)
    assert (len(nobody), nobody.shape[1:], list(nobody)) == (0, (4, 64, 64), [])
    assert nobody.fields.equals(cells.fields)


def test_a_lost_shard_is_an_error(room: Room) -> None:
    room.publish_cells()
    cells = Release(RELEASE, room.store).cells(CONDITION)
    (Path(room.store.address(room.tensor)) / tensors.shard_key(0)).unlink()
    with pytest.raises(TensorStoreError, match="missing"):
        cells[0]


def test_a_square_far_outside_is_all_zeros() -> None:
    field = np.ones((2, 8, 8), np.uint8)
    for corner in ((-9, 0), (0, 9), (20, -20)):
        assert not cut(field, corner, 4).any()
    assert cut(field, (-2, 6), 4).sum() == 2 * 2 * 2
