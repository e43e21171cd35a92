"""Pictures of nuclei: they can be drawn of anything, and fit into a page."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cm4ai_assets.cells.pictures import (
    DOUBTFUL,
    SOUND,
    cell_sheet,
    histogram,
    outline_sheet,
    outlined,
    plate_map,
)
from cm4ai_assets.drawing import LIMIT
from cm4ai_assets_tests.cells.painting import pairs


def _opened(data: bytes) -> Image.Image:
    assert len(data) <= LIMIT
    return Image.open(io.BytesIO(data))


def test_outlines_are_green_where_plausible_and_orange_elsewhere() -> None:
    blue, labels = pairs(1, overlap=0.0)
    picture = outlined(blue, labels, {1}, 512)
    reduced = labels[::2, ::2]
    first = (picture == SOUND).all(axis=2)
    others = (picture == DOUBTFUL).all(axis=2)
    assert first.any()
    assert others.any()
    assert set(np.unique(reduced[first])) <= {0, 1}
    assert 1 not in np.unique(reduced[others])


def test_a_sheet_of_outlines_fits_a_page() -> None:
    fields = []
    for seed in range(9):
        blue, labels = pairs(seed, overlap=0.05)
        fields.append((f"1 A{seed} R1", blue, labels, {1, 2, 3}))
    sheet = _opened(outline_sheet(fields))
    assert sheet.width >= 3 * 240 // 2


def test_sheets_without_anything_say_so() -> None:
    assert _opened(outline_sheet([])).width > 10
    assert _opened(cell_sheet([])).width > 10


def test_single_cells_have_their_outline() -> None:
    crop, mask = np.full((4, 64, 64), 40, np.uint8), np.zeros((64, 64), np.bool_)
    mask[20:40, 20:40] = True
    sheet = _opened(cell_sheet([("1 A1 R1 3", crop, mask)]))
    assert np.asarray(sheet.convert("L"))[:88].max() > 230


@pytest.mark.parametrize("values", [[], [0], [7], [0, 0, 0], list(range(500)), [5000.5] * 9])
def test_any_values_make_a_histogram(values: list[float]) -> None:
    assert _opened(histogram(values, "areas")).height > 20


def test_bars_are_as_high_as_their_counts() -> None:
    drawn = np.asarray(_opened(histogram([1] * 10 + [30] * 5, "x")).convert("RGB")).astype(int)
    blue = (drawn[..., 2] - drawn[..., 0] > 90).sum(axis=0)
    heights = sorted({int(height) for height in blue if height > 20})
    assert heights[-1] == pytest.approx(2 * heights[0], abs=3)


@pytest.mark.parametrize("plates", [0, 1, 5])
def test_a_plate_map_shows_each_plate(plates: int) -> None:
    values = {(f"B2AI_{plate}", "A", column): column * 2.0 for plate in range(plates) for column in range(1, 13)}
    assert _opened(plate_map(values, "nuclei of a field")).width > 100


def test_wells_differ_by_their_number_and_missing_ones_are_grey() -> None:
    drawn = np.asarray(_opened(plate_map({("B2AI_1", "A", 1): 10.0, ("B2AI_1", "A", 2): 0.0}, "x")).convert("RGB"))
    full, none, missing = (drawn[42, 25 + 24 * column] for column in (0, 1, 2))
    assert full[2] - int(full[0]) > 100
    assert none.min() > 240
    assert np.ptp(missing.astype(int)) < 8
