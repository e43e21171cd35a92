from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cm4ai_assets.drawing import LIMIT, PNG, WEBP, webp_unscaled
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.images.pictures import (
    channel_sheet,
    contact_sheet,
    evenly,
    intensity_plot,
    overlay,
    thumbnail,
)


def opened(data: bytes, mime: str) -> Image.Image:
    assert len(data) <= LIMIT
    picture = Image.open(io.BytesIO(data))
    assert Image.MIME[picture.format or ""] == mime
    return picture.convert("RGB")


def noise(seed: int = 0, edge: int = 128) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, edge, edge), dtype=np.uint8)


@pytest.mark.parametrize("detail", [1, 4, 16, 64])
@pytest.mark.parametrize("limit", [400, 2_000, 5_000, 12_000, 40_000])
@pytest.mark.parametrize("least_quality", [0, 60])
def test_a_photograph_has_the_best_quality_that_fits(
    detail: int, limit: int, least_quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if each quality were tried from the best on, by a few encodings and not up to seven."""
    small = noise(edge=256 // detail)[:3].transpose(1, 2, 0)
    picture = Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC)
    sizes = []
    for quality in (80, 70, 60, 45, 30, 15, 5):
        target = io.BytesIO()
        picture.save(target, "WEBP", quality=quality, method=4)
        sizes.append((quality, target.getvalue()))
    fitting = next(((quality, data) for quality, data in sizes if len(data) <= limit), (0, None))
    expected = fitting[1] if fitting[0] >= least_quality else None
    tried, save = [], Image.Image.save
    monkeypatch.setattr(Image.Image, "save", lambda *a, **k: (tried.append(k["quality"]), save(*a, **k))[1])
    assert webp_unscaled(picture, least_quality=least_quality, limit=limit) == expected
    assert len(tried) <= 4, tried


def test_the_overlay_shows_each_channel_in_its_colour() -> None:
    planes = np.zeros((4, 64, 64), np.uint8)
    for channel in range(4):
        planes[channel, 16 * channel : 16 * (channel + 1)] = 100
    picture = overlay(planes, 64)
    assert picture[8].tolist() == [[255, 0, 0]] * 64
    assert picture[24].tolist() == [[0, 255, 0]] * 64
    assert picture[40].tolist() == [[0, 0, 255]] * 64
    assert not picture[56].any()


def test_the_noise_of_an_empty_field_is_not_made_bright() -> None:
    planes = np.random.default_rng(0).integers(0, 4, (4, 64, 64), dtype=np.uint8)
    assert overlay(planes, 64).max() < 32


def test_a_thumbnail_is_small_whatever_it_shows() -> None:
    assert opened(thumbnail(noise(edge=512), edge=500), WEBP).size[0] in {500, 250, 125}
    assert opened(thumbnail(np.zeros((4, 64, 64), np.uint8)), WEBP).size == (256, 256)


def test_a_contact_sheet_has_a_tile_for_each_field() -> None:
    fields = [(f"A1 R{n} HPA000123", np.zeros((4, 64, 64), np.uint8)) for n in range(7)]
    assert opened(contact_sheet(fields, columns=3, edge=60), WEBP).size == (3 * 64 - 4, 3 * 80 - 4)
    assert opened(contact_sheet(fields[:2], columns=3, edge=60), WEBP).size == (2 * 64 - 4, 76)


def test_a_contact_sheet_of_noise_still_fits() -> None:
    assert opened(contact_sheet((str(n), noise(n)) for n in range(60)), WEBP)


def test_a_contact_sheet_takes_one_field_at_a_time() -> None:
    alive = 0

    def fields() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal alive
        for number in range(3):
            alive += 1
            yield f"field {number}", noise(number)
            alive -= 1
            assert alive == 0

    contact_sheet(fields())


def test_a_channel_sheet_shows_each_channel_in_its_colour_and_the_overlay() -> None:
    planes = np.full((4, 64, 64), 100, np.uint8)
    picture = np.asarray(opened(channel_sheet([("A1 R1", planes), ("A1 R2", planes)], edge=64), WEBP)).astype(int)
    assert picture.shape == (2 * 84 - 4, 5 * 68 - 4, 3)
    for column, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255))):
        tile = picture[8:56, 68 * column + 8 : 68 * column + 56].reshape(-1, 3)
        assert np.abs(np.median(tile, axis=0) - colour).max() < 20


def test_no_fields_is_a_sheet_that_says_so() -> None:
    picture = opened(contact_sheet([]), WEBP)
    assert picture.size == (128, 144)
    assert np.asarray(picture)[128:].min() < 128


@pytest.mark.parametrize("label", ["", "\u202e\U0001f9ec<script>", "x" * 500, "\x00\n"])
def test_any_label_can_be_drawn(label: str) -> None:
    opened(contact_sheet([(label, noise())]), WEBP)


def histograms(scale: int = 1) -> dict[str, np.ndarray]:
    return {channel: np.arange(256, dtype=np.uint32)[::-1] * scale for channel in PLANES}


def test_a_plot_draws_every_channel_in_its_colour() -> None:
    shapes = {channel: np.eye(1, 256, 50 * (n + 1), dtype=np.uint32)[0] for n, channel in enumerate(PLANES)}
    picture = np.asarray(opened(intensity_plot(shapes, title="paclitaxel"), PNG)).astype(int)
    assert picture.shape == (300, 720, 3)
    for colour in ((214, 39, 40), (42, 157, 58), (42, 95, 208), (199, 154, 0)):
        near = np.abs(picture - colour).sum(axis=2) < 40
        assert near[110:250].sum() > 100  # below the legend


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"green": np.zeros(256, np.uint32)},
        {"blue": np.full(256, 2**32 - 1, np.uint32)},
        {"red": np.eye(1, 256, 255, dtype=np.uint32)[0]},
        histograms(2**20),
    ],
)
def test_any_histogram_can_be_plotted(shown: dict[str, np.ndarray]) -> None:
    opened(intensity_plot(shown), PNG)


def test_pictures_are_the_same_each_time() -> None:
    assert intensity_plot(histograms()) == intensity_plot(histograms())
    assert thumbnail(noise()) == thumbnail(noise())


@given(st.integers(0, 500), st.integers(1, 40))
def test_rows_are_spread_evenly(rows: int, count: int) -> None:
    chosen = evenly(rows, count)
    assert len(chosen) == len(set(chosen)) == min(rows, count)
    assert chosen == sorted(chosen)
    assert all(0 <= row < rows for row in chosen)
    if 1 < count <= rows:
        assert (chosen[0], chosen[-1]) == (0, rows - 1)
