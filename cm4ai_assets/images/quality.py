"""What a plane's pixels say about it: intensities, saturation, emptiness, focus.

Belongs here: numbers computed from one plane. Does not belong here: judgements over many planes (`findings`), or where
the numbers are kept (`quality_table`).

All statistics but the focus come from the histogram at full resolution, which holds an 8-bit image's intensities
completely: they are exact, and a data set's percentiles are those of the sum of its histograms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import polars as pl

from cm4ai_assets.heavy import cv2, np, npt
from cm4ai_assets.images.averaging import Plane, area_average
from cm4ai_assets.images.counting import LEVELS, Histogram

FOREGROUND_LEVEL: Final = 16
FOCUS_EDGE: Final = 1024


@dataclass(frozen=True, slots=True)
class PlaneQuality:
    """Statistics of one plane; the fields are columns of `if_quality`."""

    mean: float
    std: float
    minimum: int
    p01: int
    p50: int
    p99: int
    p999: int
    maximum: int
    saturated_fraction: float
    foreground_fraction: float
    focus: float | None
    is_saturated: bool
    is_empty: bool
    histogram: Histogram


def percentile(cumulative: npt.NDArray[np.int64], per_mille: int) -> int:
    """The smallest grey level that at least this share of the pixels does not exceed.

    This is the nearest rank, an intensity that occurs in the image; `numpy.percentile` calls it `inverted_cdf`.

    Args:
        cumulative: The cumulative histogram.
        per_mille: The share, in thousandths, so that the rank is an exact whole number.
    """
    rank = max(1, -(-int(cumulative[-1]) * per_mille // 1000))
    return int(np.searchsorted(cumulative, rank))


def summed(histograms: pl.Series) -> npt.NDArray[np.uint64]:
    """The sum of many histograms, e.g. of a condition: some 2^34 pixels, more than 32 bits can count.

    Args:
        histograms: The column of `if_quality`, with no nulls.
    """
    counts = histograms.explode().to_numpy().reshape(-1, LEVELS)
    return np.asarray(counts.sum(axis=0, dtype=np.uint64))


def statistics(counts: Histogram, focus: float | None, *, full_level: int) -> PlaneQuality:
    """All statistics of a plane from its histogram.

    Args:
        counts: Pixels at each grey level.
        focus: As the `FocusMeter` tells it.
        full_level: The level that full intensity decodes to, which depends on the channel (`colour.full_level`).
    """
    cumulative = np.cumsum(counts, dtype=np.int64)
    levels = np.arange(LEVELS, dtype=np.int64)
    pixels = int(cumulative[-1])
    total, squares = int(counts @ levels), int(counts @ (levels * levels))
    saturated = int(counts[full_level:].sum(dtype=np.int64))
    foreground = pixels - int(cumulative[FOREGROUND_LEVEL - 1])
    return PlaneQuality(
        mean=total / pixels,
        std=math.sqrt(pixels * squares - total * total) / pixels,
        minimum=percentile(cumulative, 0),
        p01=percentile(cumulative, 10),
        p50=percentile(cumulative, 500),
        p99=percentile(cumulative, 990),
        p999=percentile(cumulative, 999),
        maximum=percentile(cumulative, 1000),
        saturated_fraction=saturated / pixels,
        foreground_fraction=foreground / pixels,
        focus=focus,
        is_saturated=saturated * 100 > pixels,
        is_empty=foreground * 1000 < pixels,
        histogram=counts,
    )


class FocusMeter:
    """Variance of the Laplacian over the variance of the image, at edge length 1024: how much of the contrast is fine.

    Comparable only within a channel: a nucleus has less fine structure than a microtubule. For one thread at a time.

    Args:
        edge: Edge length of the full planes.
    """

    def __init__(self, edge: int) -> None:
        self.edge = min(edge, FOCUS_EDGE)
        self._averaged = np.empty((self.edge, self.edge), np.uint8)
        self._laplacian = np.empty((self.edge, self.edge), np.int16)

    def averaged(self, plane: Plane) -> Plane:
        """The plane at the edge length where focus is measured. Valid until the next call."""
        return area_average(plane, self.edge, self._averaged)

    def focus(self, averaged: Plane) -> float | None:
        """The measure, or None for a flat image."""
        cv2.Laplacian(averaged, cv2.CV_16S, dst=self._laplacian)
        contrast = _variance(averaged)
        return _variance(self._laplacian) / contrast if contrast else None


def _variance(values: npt.NDArray[np.uint8] | npt.NDArray[np.int16]) -> int:
    # n^2 times the variance, in whole numbers: the quotient is then the same on every machine. Both sums stay below
    # 2^53; OpenCV's norm is a root that it squares again, hence the rounding. cv2.meanStdDev takes three times as long.
    total = round(cv2.sumElems(values)[0])
    squares = round(cv2.norm(values, cv2.NORM_L2SQR))
    return values.size * squares - total * total
