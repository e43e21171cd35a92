"""Measures of nuclei whose values can be worked out by hand, or by numpy pixel for pixel."""

from __future__ import annotations

import cv2
import numpy as np
import polars as pl
import pytest
from scipy import ndimage

from cm4ai_assets.cells.measure import RING_GAP, RING_WIDTH, Columns, Meter, Rings
from cm4ai_assets.cells.plausible import judged
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets_tests.cells.painting import pairs

EDGE = 1024


def _squares() -> np.ndarray:
    labels = np.zeros((EDGE, EDGE), np.uint16)
    labels[100:150, 200:260] = 1
    labels[100:150, 266:300] = 2  # six pixels from the first
    labels[0:40, 0:30] = 3  # in the corner
    labels[500:550, 1000:1024] = 4
    return labels


def _planes(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, EDGE, EDGE), np.uint8)


@pytest.fixture(scope="module")
def measured() -> tuple[np.ndarray, np.ndarray, Columns]:
    labels, planes = _squares(), _planes()
    return labels, planes, Meter(EDGE)(planes, labels)


def test_boxes_centroids_and_areas(measured: tuple[np.ndarray, np.ndarray, Columns]) -> None:
    _, _, found = measured
    assert found["cell"].tolist() == [1, 2, 3, 4]
    boxes = list(zip(*(found[name].tolist() for name in ("y0", "x0", "y1", "x1")), strict=True))
    assert boxes == [(100, 200, 150, 260), (100, 266, 150, 300), (0, 0, 40, 30), (500, 1000, 550, 1024)]
    assert found["area"].tolist() == [3000, 1700, 1200, 1200]
    assert found["centroid_y"].tolist() == [124.5, 124.5, 19.5, 524.5]
    assert found["centroid_x"].tolist() == [229.5, 282.5, 14.5, 1011.5]
    assert found["touches_border"].tolist() == [False, False, True, True]
    assert found["solidity"] == pytest.approx([1, 1, 1, 1])


def test_intensities_are_those_of_numpy(measured: tuple[np.ndarray, np.ndarray, Columns]) -> None:
    labels, planes, found = measured
    rings = Rings(EDGE)(labels)
    for name, region in (("nucleus", labels), ("ring", rings)):
        for channel, plane in zip(PLANES, planes, strict=True):
            for number in (1, 2, 3, 4):
                values = plane[region == number]
                place = number - 1
                assert found[f"{name}_{channel}_sum"][place] == values.sum(dtype=np.int64)
                assert found[f"{name}_{channel}_mean"][place] == pytest.approx(values.mean())
                median = np.percentile(values, 50, method="inverted_cdf")
                assert found[f"{name}_{channel}_median"][place] == median
    assert found["ring_area"].tolist() == [(rings == number).sum() for number in (1, 2, 3, 4)]


def test_a_ring_begins_and_ends_where_it_should_and_belongs_to_the_nearest_nucleus() -> None:
    labels = _squares()
    rings = Rings(EDGE)(labels)
    assert not (rings[labels > 0]).any(), "no pixel of a nucleus is in a ring"
    distances = np.stack([ndimage.distance_transform_edt(labels != number) for number in (1, 2, 3, 4)])
    nearest = distances.min(axis=0)
    clearly = (nearest > RING_GAP + 0.5) & (nearest < RING_GAP + RING_WIDTH - 0.5)
    assert (rings[clearly] > 0).all()
    assert not rings[(nearest > RING_GAP + RING_WIDTH + 0.5) | (nearest < RING_GAP - 0.5)].any()
    owned = np.argsort(distances, axis=0)
    decided = clearly & (np.sort(distances, axis=0)[1] - nearest > 0.5)
    assert (rings[decided] == owned[0][decided] + 1).all()
    between = rings[110:140, 260:266]
    assert set(np.unique(between)) == {0, 1, 2}, "the room between two nuclei is shared"


def test_a_ring_without_a_pixel_has_no_mean() -> None:
    labels = np.ones((EDGE, EDGE), np.uint16)
    labels[:, 512:] = 2
    found = Meter(EDGE)(_planes(), labels)
    assert found["ring_area"].tolist() == [0, 0]
    assert np.isnan(found["ring_red_mean"]).all()
    assert np.isnan(found["ring_red_median"]).all()
    assert found["ring_red_sum"].tolist() == [0, 0]


def test_axes_of_an_ellipse() -> None:
    labels = np.zeros((EDGE, EDGE), np.uint16)
    cv2.ellipse(labels, (500, 400), (60, 30), 30, 0, 360, 1, -1)
    found = Meter(EDGE)(_planes(), labels)
    assert found["major_axis"][0] == pytest.approx(121, abs=1)
    assert found["minor_axis"][0] == pytest.approx(61, abs=1)
    assert found["eccentricity"][0] == pytest.approx(np.sqrt(1 - 0.25), abs=0.01)
    assert found["solidity"][0] > 0.98


def test_a_sharp_nucleus_is_sharper_than_a_blurred_one() -> None:
    blue, labels = pairs(7, overlap=0.0)
    planes = np.stack([blue] * 4)
    blurred = np.stack([cv2.GaussianBlur(blue, (0, 0), 8)] * 4)
    sharp, soft = (Meter(EDGE)(seen, labels) for seen in (planes, blurred))
    assert (sharp["edge_sharpness"] > 2 * soft["edge_sharpness"]).all()
    assert (sharp["glow"] < soft["glow"]).all()


def test_without_contrast_sharpness_is_unknown() -> None:
    flat = np.full((4, EDGE, EDGE), 50, np.uint8)
    assert np.isnan(Meter(EDGE)(flat, _squares())["edge_sharpness"]).all()


def _row(**other: object) -> dict[str, object]:
    sound = {"area": 5000, "touches_border": False, "solidity": 0.95, "edge_sharpness": 0.15, "glow": 0.03}
    return {**sound, "saturated_fraction": 0.0, **other}


@pytest.mark.parametrize(
    ("other", "defects"),
    [
        ({}, []),
        ({"area": 800}, ["too_small"]),
        ({"area": 800, "touches_border": True}, []),
        ({"area": 20_000}, ["too_large"]),
        ({"solidity": 0.8}, ["not_convex"]),
        ({"edge_sharpness": 0.05}, ["blurred"]),
        ({"edge_sharpness": None}, ["blurred"]),
        ({"glow": 0.3}, ["blurred"]),
        ({"glow": None}, []),
        ({"saturated_fraction": 0.2}, ["saturated"]),
        ({"area": 20_000, "solidity": 0.5, "glow": 0.5}, ["too_large", "not_convex", "blurred"]),
    ],
)
def test_what_is_implausible_is_named(other: dict[str, object], defects: list[str]) -> None:
    frame = judged(pl.DataFrame([_row(**other)]), EDGE)
    assert frame["defects"].to_list() == [defects]
    assert frame["plausible"].to_list() == [not defects]


def test_limits_of_area_follow_the_edge() -> None:
    frame = pl.DataFrame([_row(area=5000)])
    assert judged(frame, 512)["defects"].to_list() == [["too_large"]]
    assert judged(frame, 2048)["defects"].to_list() == [[]]
    assert judged(pl.DataFrame([_row(area=4000)]), 2048)["defects"].to_list() == [["too_small"]]
