from __future__ import annotations

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cm4ai_assets.images.counting import histogram
from cm4ai_assets.images.quality import FOCUS_EDGE, FocusMeter, PlaneQuality, percentile, statistics, summed

# Powers of two: the rank is then exact in floating point too, and numpy's own rounding plays no part.
planes = hnp.arrays(
    np.uint8,
    st.sampled_from([(1, 1), (8, 8), (16, 32), (64, 64)]),
    elements=st.one_of(st.integers(0, 255), st.sampled_from([0, 15, 16, 254, 255])),
)


def quality_of(plane: np.ndarray) -> PlaneQuality:
    return statistics(histogram(plane), None, full_level=255)


@settings(max_examples=200, deadline=None)
@given(planes)
def test_statistics_are_those_of_the_pixels(plane: np.ndarray) -> None:
    found = quality_of(plane)
    assert np.array_equal(found.histogram, np.bincount(plane.ravel(), minlength=256))
    assert found.histogram.dtype == np.uint32
    assert found.mean == pytest.approx(plane.mean(dtype=np.float64), rel=1e-12)
    assert found.std == pytest.approx(plane.std(dtype=np.float64), rel=1e-9, abs=1e-6)
    assert (found.minimum, found.maximum) == (plane.min(), plane.max())
    assert found.saturated_fraction == np.mean(plane == 255)
    assert found.foreground_fraction == np.mean(plane >= 16)
    assert found.minimum <= found.p01 <= found.p50 <= found.p99 <= found.p999 <= found.maximum


@settings(max_examples=200, deadline=None)
@given(planes)
def test_percentiles_are_numpys_inverted_cdf(plane: np.ndarray) -> None:
    found = quality_of(plane)
    expected = np.percentile(plane, [1, 50, 99, 99.9], method="inverted_cdf")
    assert [found.p01, found.p50, found.p99, found.p999] == expected.tolist()


@given(hnp.arrays(np.int64, 256, elements=st.integers(0, 5)).filter(np.any), st.integers(0, 1000))
def test_a_percentile_is_the_smallest_level_that_enough_pixels_do_not_exceed(counts: np.ndarray, share: int) -> None:
    cumulative = np.cumsum(counts, dtype=np.int64)
    level = percentile(cumulative, share)
    assert counts[level] > 0
    assert cumulative[level] * 1000 >= share * cumulative[-1]
    assert level == 0 or cumulative[level - 1] * 1000 < share * cumulative[-1] or cumulative[level - 1] == 0


@pytest.mark.parametrize(("pixels", "flag"), [(0, False), (10, False), (11, True), (1000, True)])
def test_saturated_is_more_than_one_percent(pixels: int, *, flag: bool) -> None:
    plane = np.full(1000, 100, np.uint8)
    plane[:pixels] = 255
    assert quality_of(plane.reshape(10, 100)).is_saturated is flag


def test_pixels_at_and_above_full_intensity_count_as_saturated() -> None:
    plane = np.array([[255, 254, 254, 253]], np.uint8)
    found = [statistics(histogram(plane), None, full_level=level).saturated_fraction for level in (255, 254)]
    assert found == [0.25, 0.75]


def test_histograms_of_a_whole_condition_are_counted() -> None:
    """4,421 images of 2048 x 2048 pixels: a background level alone passes 2^32."""
    one = np.zeros(256, np.uint32)
    one[[0, 255]] = 2048 * 2048 - 1000, 1000
    column = pl.Series([one.tolist()], dtype=pl.List(pl.UInt32)).new_from_index(0, 4421)
    total = summed(column)
    assert total[0] == 4421 * (2048 * 2048 - 1000) > 2**32
    assert int(total.sum()) == 4421 * 2048 * 2048


@pytest.mark.parametrize(("pixels", "flag"), [(0, True), (9, True), (10, False), (1000, False)])
def test_empty_is_less_than_a_thousandth_of_foreground(pixels: int, *, flag: bool) -> None:
    plane = np.full(10_000, 15, np.uint8)
    plane[:pixels] = 16
    assert quality_of(plane.reshape(100, 100)).is_empty is flag


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.uint8, (32, 32), elements=st.integers(0, 255)))
def test_focus_is_variance_of_laplacian_over_variance(plane: np.ndarray) -> None:
    meter = FocusMeter(32)
    laplacian = cv2.Laplacian(plane, cv2.CV_64F)
    found = meter.focus(meter.averaged(plane))
    if plane.min() == plane.max():
        assert found is None
    else:
        assert found == pytest.approx(laplacian.var() / plane.var(), rel=1e-9)


def test_focus_sums_stay_exact_at_full_size() -> None:
    """The largest Laplacians there are: a chequerboard of black and white."""
    plane = (np.indices((FOCUS_EDGE, FOCUS_EDGE)).sum(axis=0) % 2 * 255).astype(np.uint8)
    laplacian = cv2.Laplacian(plane, cv2.CV_64F)
    assert FocusMeter(2048).focus(plane) == pytest.approx(laplacian.var() / plane.var(), rel=1e-12)


def test_focus_tells_blur() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
    meter = FocusMeter(256)
    values = [meter.focus(plane) for plane in (sharp, cv2.GaussianBlur(sharp, (0, 0), 2))]
    assert values[0] is not None
    assert values[1] is not None
    assert values[1] < values[0] / 5


def test_focus_is_measured_at_1024() -> None:
    assert FocusMeter(2048).averaged(np.zeros((2048, 2048), np.uint8)).shape == (1024, 1024)
    assert FocusMeter(64).averaged(np.zeros((64, 64), np.uint8)).shape == (64, 64)
