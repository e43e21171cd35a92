from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.sandbox import cells, plates
from cm4ai_assets.sandbox.plates import Appearance, Field

_PLANES = {"red": (0,), "green": (1,), "blue": (2,), "yellow": (0, 1)}


def _field(condition: Condition, number: int = 0, look: Appearance = Appearance.NORMAL) -> Field:
    return replace(plates.fields_of(condition, 24, 1)[number], appearance=look)


@pytest.fixture(scope="module")
def images() -> dict[str, NDArray[np.uint8]]:
    planes = cells.paint(_field(Condition.UNTREATED, 4), 1)
    return {colour: _decoded(cells.encode(planes[colour], colour)) for colour in cells.COLOURS}


def _decoded(jpeg: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(jpeg)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (2048, 2048))
        return np.asarray(image)


@pytest.mark.parametrize("colour", cells.COLOURS)
def test_a_channel_is_painted_in_its_colour(images: dict[str, NDArray[np.uint8]], colour: str) -> None:
    image = images[colour].astype(int)
    carrying = [image[..., plane] for plane in _PLANES[colour]]
    others = [image[..., plane] for plane in range(3) if plane not in _PLANES[colour]]
    assert np.median(carrying[0]) <= 5
    assert 0.3 < carrying[0].mean() < 15
    assert all(other.mean() < 0.25 * carrying[0].mean() for other in others)
    if colour == "yellow":
        assert np.abs(carrying[0] - carrying[1]).mean() < 1


def test_a_file_is_what_the_published_ones_are(images: dict[str, NDArray[np.uint8]]) -> None:
    plane = np.ascontiguousarray(images["green"][..., 1])
    with Image.open(io.BytesIO(cells.encode(plane, "green"))) as image:
        # Quantization tables of the real files, and 2x2 sampling of the luma component.
        assert image.quantization[0][:8] == [5, 3, 3, 5, 7, 12, 15, 18]
        assert [component[1:3] for component in image.layer] == [(2, 2), (1, 1), (1, 1)]
        assert "exif" not in image.info


@pytest.mark.parametrize("colour", cells.COLOURS)
def test_painting_by_planes_is_painting_by_rgb(colour: str) -> None:
    plane = cells.paint(_field(Condition.UNTREATED, 4), 1)[colour]
    by_rgb = np.zeros((2048, 2048, 3), np.uint8)
    for index in _PLANES[colour]:
        by_rgb[..., index] = plane
    out = io.BytesIO()
    Image.fromarray(by_rgb).save(out, "JPEG", quality=85)
    difference = np.abs(_decoded(cells.encode(plane, colour)).astype(int) - _decoded(out.getvalue()))
    assert difference.mean() < 0.5


def test_paint_depends_on_the_field_alone() -> None:
    field, other = _field(Condition.PACLITAXEL, 3), _field(Condition.PACLITAXEL, 5)
    first = cells.paint(field, 1)
    cells.paint(other, 1)
    again = cells.paint(field, 1)
    assert all(np.array_equal(first[colour], again[colour]) for colour in cells.COLOURS)
    assert not np.array_equal(first["blue"], cells.paint(field, 2)["blue"])


def test_channels_share_their_cells() -> None:
    planes = cells.paint(_field(Condition.UNTREATED, 4), 1)
    nuclei = planes["blue"] > 20
    around = cv2.dilate(nuclei.astype(np.uint8), np.ones((61, 61), np.uint8)) > 0
    assert planes["yellow"][around].mean() > 3 * planes["yellow"][~around].mean()


def test_conditions_differ_in_what_can_be_measured() -> None:
    measured = {condition: _measured(condition) for condition in CONDITIONS}
    untreated, paclitaxel, vorinostat = (measured[c] for c in CONDITIONS)
    # Fewer cells under paclitaxel, in more pieces of nucleus that are smaller; larger nuclei under vorinostat.
    assert paclitaxel["covered"] < 0.6 * untreated["covered"]
    assert paclitaxel["roundness"] < untreated["roundness"]
    assert vorinostat["nucleus"] > 1.3 * untreated["nucleus"]


def _measured(condition: Condition) -> dict[str, float]:
    """Share of the field that cells cover, median area of a nucleus, and how filled its convex hull is."""
    covered, areas, solid = [], [], []
    for number in range(4, 9):
        planes = cells.paint(_field(condition, number), 1)
        covered.append(float((cv2.GaussianBlur(planes["yellow"], (0, 0), 6) > 3).mean()))
        seen = (cv2.GaussianBlur(planes["blue"], (0, 0), 2) > 12).astype(np.uint8)
        for contour in cv2.findContours(seen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
            area = cv2.contourArea(contour)
            if area > 3000:
                areas.append(area)
                solid.append(area / cv2.contourArea(cv2.convexHull(contour)))
    return {
        "covered": float(np.mean(covered)),
        "nucleus": float(np.median(areas)),
        "roundness": float(np.median(solid)),
    }


def test_looks_can_be_told_apart() -> None:
    made = {look: cells.paint(_field(Condition.UNTREATED, 4, look), 1) for look in Appearance}
    for colour in ("blue", "red"):  # in green and yellow noise covers it, as it does in the real images
        sharp, blurred = (_focus(made[look][colour], colour) for look in (Appearance.NORMAL, Appearance.OUT_OF_FOCUS))
        assert blurred < 0.5 * sharp
    assert (made[Appearance.SATURATED]["blue"] == 255).mean() > 0.01 > (made[Appearance.NORMAL]["blue"] == 255).mean()
    assert made[Appearance.NEAR_EMPTY]["blue"].mean() < 0.3 * made[Appearance.NORMAL]["blue"].mean()


def _focus(plane: NDArray[np.uint8], colour: str) -> float:
    """As a reader of the file sees it: half size, variance of the Laplacian over that of the image."""
    read = _decoded(cells.encode(plane, colour))[..., _PLANES[colour][0]]
    small = cv2.resize(read, (1024, 1024), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_64F).var() / small.astype(np.float64).var())


def test_a_control_is_dark_in_green() -> None:
    field = _field(Condition.UNTREATED, 4)
    control = replace(field, antibody=plates.Antibody(plates.NEGATIVE))
    assert cells.paint(control, 1)["green"].mean() < 0.5 * cells.paint(field, 1)["green"].mean()


def test_a_composite_carries_three_channels() -> None:
    planes = cells.paint(_field(Condition.UNTREATED, 4), 1)
    image = _decoded(cells.composite(planes)).astype(int)
    for index, colour in enumerate(("red", "green", "blue")):
        assert np.abs(image[..., index] - planes[colour]).mean() < 2


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_nuclei_of_a_field_are_where_blue_is_bright(condition: Condition) -> None:
    field = _field(condition, 5)
    blue, truth = cells.paint(field, 1)["blue"], cells.nuclei(field, 1)
    assert truth.dtype == np.uint16
    assert truth.shape == blue.shape
    assert set(np.unique(truth)) == set(range(truth.max() + 1)), "numbers have no gap"
    assert truth.max() >= 5
    inside = cv2.erode((truth > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    outside = cv2.dilate((truth > 0).astype(np.uint8), np.ones((41, 41), np.uint8)) == 0
    assert blue[inside].mean() > 12 * blue[outside].mean()
    assert np.median(blue[outside]) == 0


def test_nuclei_at_another_edge_are_a_sample_of_the_same() -> None:
    field = _field(Condition.UNTREATED, 4)
    whole, half = cells.nuclei(field, 1), cells.nuclei(field, 1, 1024)
    assert np.array_equal(half > 0, whole[1::2, 1::2] > 0)


def test_a_nucleus_that_another_cell_covers_is_not_in_the_truth() -> None:
    covered = 0
    for number in range(4, 12):
        field = _field(Condition.UNTREATED, number)
        truth = cells.nuclei(field, 1)
        blue = cells.paint(field, 1)["blue"]
        inside = cv2.erode((truth > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        covered += int((cv2.blur(blue, (9, 9))[inside] < 4).sum())
    assert covered == 0
