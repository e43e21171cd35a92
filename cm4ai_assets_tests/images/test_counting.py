"""Counts of grey levels, against numpy."""

import numpy as np
import pytest

from cm4ai_assets.images.counting import LEVELS, histogram


@pytest.mark.parametrize("shape", [(2048, 2048), (64, 64), (3, 5), (1, 1), (7, 1)])
def test_every_pixel_is_counted_once(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(shape[0]).integers(0, 256, shape, dtype=np.uint8)
    found = histogram(plane)
    assert found.dtype == np.uint32
    assert np.array_equal(found, np.bincount(plane.ravel(), minlength=LEVELS))


@pytest.mark.parametrize("level", [0, 1, 254, 255])
def test_a_flat_plane_has_one_level(level: int) -> None:
    found = histogram(np.full((16, 16), level, np.uint8))
    assert found[level] == found.sum() == 256


def test_a_plane_that_is_a_view_is_counted_as_it_looks() -> None:
    plane = np.arange(64, dtype=np.uint8).reshape(8, 8)[:, ::2]
    assert np.array_equal(histogram(plane), np.bincount(plane.ravel(), minlength=LEVELS))


def test_black_stretches_are_counted_like_the_rest() -> None:
    plane = np.random.default_rng(8).integers(0, 256, (64, 64), dtype=np.uint8)
    plane.reshape(-1, 8)[::3] = 0
    plane[:, 5] = 0
    assert np.array_equal(histogram(plane), np.bincount(plane.ravel(), minlength=LEVELS))
