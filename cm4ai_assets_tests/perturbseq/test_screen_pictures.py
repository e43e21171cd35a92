"""Pictures of the screen: what they show can be read off their pixels, and empty ones say so."""

from __future__ import annotations

import io

import polars as pl
import pytest
from PIL import Image

from cm4ai_assets.drawing import LIMIT
from cm4ai_assets.perturbseq import screen_pictures as pictures
from cm4ai_assets.perturbseq.overview import Overview, overview_of
from cm4ai_assets.tables.screen import GUIDE_LIBRARY, PERTURB_CELLS

CHANNELS = [f"{batch}-Chip-{chip}-Channel-{n}" for batch in ("ALPHA", "BETA") for chip in (1, 2) for n in range(1, 17)]


def overview(names: list[str]) -> Overview:
    guides = ["SYN1_1", "SYN2_1", "Non-Targeting_1"]
    rows = [
        {
            "row": row, "cell": f"c{row}", "guides": [guides[row % 3]], "targets": [["SYN1", "SYN2", "NTC"][row % 3]],
            "is_control": row % 3 == 2, "batch": name.partition("-")[0], "published_channel": name, "gem_channel": name,
            "umi_count": 1000.0, "others": [], "defects": [],
        }
        for row, name in enumerate(name for name in names for _ in range(6))
    ]  # fmt: skip
    return overview_of(PERTURB_CELLS.from_rows(rows, release="2026-06-v2.0").lazy())


def colour(data: bytes, at: tuple[int, int]) -> tuple[int, ...]:
    assert len(data) <= LIMIT
    pixel = Image.open(io.BytesIO(data)).convert("RGB").getpixel(at)
    assert isinstance(pixel, tuple)
    return pixel


def test_a_channel_without_cells_stands_out() -> None:
    """Fields of 34 pixels begin at (110, 30); the six rows are ALPHA, BETA and GAMMA with two chips each."""
    data = pictures.channel_grid(overview([name for name in CHANNELS if name != "BETA-Chip-1-Channel-2"]))
    red = colour(data, (110 + 34 + 3, 30 + 2 * 34 + 3))
    assert red == colour(data, (110 + 3, 30 + 5 * 34 + 3))  # GAMMA has none at all
    assert red[0] > red[2] + 15
    blue = colour(data, (110 + 3, 30 + 2 * 34 + 3))
    assert blue[2] > blue[0] + 60


def test_every_picture_fits_and_shows_something() -> None:
    counted = overview(CHANNELS)
    for draw in (pictures.guides_per_cell, pictures.cells_per_target, pictures.controls_per_batch):
        data = draw(counted)
        assert len(data) <= LIMIT
        image = Image.open(io.BytesIO(data)).convert("RGB")
        assert len(image.getcolors(1 << 20) or []) > 2
        assert image.height > 100


@pytest.mark.parametrize("draw", [pictures.guides_per_cell, pictures.cells_per_target, pictures.channel_grid])
def test_without_cells_a_picture_says_so(draw: object) -> None:
    assert callable(draw)
    assert Image.open(io.BytesIO(draw(overview_of(PERTURB_CELLS.empty().lazy())))).size == (320, 60)


def test_without_guides_a_picture_says_so() -> None:
    assert Image.open(io.BytesIO(pictures.guides_per_gene(GUIDE_LIBRARY.empty()))).size == (320, 60)


def test_the_counts_are_those_of_the_cells() -> None:
    counted = overview(CHANNELS)
    assert (counted.cells, counted.controls) == (64 * 6, 64 * 2)
    assert counted.targets.rows() == [("NTC", 128), ("SYN1", 128), ("SYN2", 128)]
    assert counted.channels.select("cells", "controls", "umis").unique().rows() == [(6, 2, 6000.0)]
    assert counted.guides.rows() == [(1, 384)]
    assert isinstance(counted.channels, pl.DataFrame)
