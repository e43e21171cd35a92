"""Means of squares: exact, halves to even, whatever the size."""

from __future__ import annotations

import numpy as np
import pytest

from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.images.decode import SOURCE_EDGE, PlaneDecoder


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_area_average_is_the_rounded_mean_of_squares(factor: int) -> None:
    chance = np.random.default_rng(factor)
    edge = 512 // factor
    noise = chance.integers(0, 256, (512, 512), dtype=np.uint8)
    halves = chance.integers(0, 2, (512, 512), dtype=np.uint8) + np.uint8(127)  # sums that end in one half
    for plane in (noise, halves):
        mean = plane.reshape(edge, factor, edge, factor).mean(axis=(1, 3), dtype=np.float64)
        assert np.array_equal(area_average(plane, edge), np.rint(mean).astype(np.uint8))


@pytest.mark.parametrize("edge", [2, 62, 130, 200, 256])
def test_halves_round_to_even_at_any_edge(edge: int) -> None:
    plane = np.random.default_rng(edge).integers(0, 4, (edge, edge), dtype=np.uint8)
    mean = plane.reshape(edge // 2, 2, edge // 2, 2).mean(axis=(1, 3))
    assert np.array_equal(area_average(plane, edge // 2), np.rint(mean).astype(np.uint8))


def test_the_average_does_not_shift_the_mean(real_fields: dict[str, dict[str, bytes]]) -> None:
    """Rounding halves up made published images brighter by 0.001 to 0.12 grey levels (docs/decisions/0010)."""
    decoder = PlaneDecoder()
    for channels in real_fields.values():
        for channel, data in channels.items():
            plane = decoder.plane(data, channel)
            assert abs(area_average(plane, SOURCE_EDGE // 2).mean() - plane.mean()) < 0.015


def test_area_average_keeps_every_pixel_at_the_same_edge() -> None:
    plane = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    assert area_average(plane, 64) is plane


@pytest.mark.parametrize("edge", [32, 16])
def test_area_average_writes_where_it_is_told_to(edge: int) -> None:
    plane = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    out = np.empty((edge, edge), np.uint8)
    assert area_average(plane, edge, out) is out
    assert np.array_equal(area_average(plane, edge), out)


@pytest.mark.parametrize("edge", [0, -1, 48, 128])
def test_area_average_needs_a_divisor(edge: int) -> None:
    with pytest.raises(ValueError, match="does not divide"):
        area_average(np.zeros((64, 64), np.uint8), edge)


@pytest.mark.parametrize(("edge", "size"), [(1024, 256), (64, 8), (30, 10), (30, 5), (24, 4), (16, 1)])
def test_any_factor_is_exact(edge: int, size: int) -> None:
    rng, factor = np.random.default_rng(edge), edge // size
    for levels in (256, 3):  # of few levels, many means are halves
        plane = rng.integers(0, levels, (edge, edge), dtype=np.uint8)
        mean = plane.reshape(size, factor, size, factor).mean(axis=(1, 3))
        assert np.array_equal(area_average(plane, size), np.rint(mean))


def test_a_factor_that_16_bits_do_not_hold_is_exact_too() -> None:
    assert area_average(np.full((2048, 2048), 255, np.uint8), 1)[0, 0] == 255
