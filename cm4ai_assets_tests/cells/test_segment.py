"""Nuclei found, against those that were painted, and on published images."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cm4ai_assets.cells.segment import DARK, NO_CONTRAST, SPECKS_ONLY, Segmenter
from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.images.decode import PlaneDecoder
from cm4ai_assets.sandbox import cells, plates
from cm4ai_assets.sandbox.plates import Appearance
from cm4ai_assets_tests.cells.painting import f1, matches, pairs
from cm4ai_assets_tests.shared import PUBLISHED_IMAGES, needs_shared

EDGE = 1024


@pytest.mark.parametrize("condition", CONDITIONS)
def test_f1_against_the_painted_nuclei_of_the_sandbox_is_above_nine_tenths(condition: Condition) -> None:
    segment, results = Segmenter(EDGE), []
    normal, *others = (plates.fields_of(condition, 24, 1)[number] for number in (0, 5, 11, 17))
    looks = (Appearance.NEAR_EMPTY, Appearance.OUT_OF_FOCUS, Appearance.SATURATED)
    for field in (normal, *(replace(one, appearance=look) for one, look in zip(others, looks, strict=True))):
        found = segment(np.array(area_average(cells.paint(field, 1)["blue"], EDGE)))
        results.append(matches(cells.nuclei(field, 1, EDGE), found.labels))
    assert sum(painted for _, painted, _ in results) > 20
    assert f1(results) >= 0.9, results
    for hits, painted, guessed in results:
        assert guessed - hits <= 1, "debris is not a nucleus"
        assert painted - hits <= 2


@pytest.mark.parametrize("overlap", [0.0, 0.06, 0.12])
def test_nuclei_that_touch_are_parted(overlap: float) -> None:
    results = []
    for seed in (1, 2):
        blue, truth = pairs(seed, overlap=overlap)
        results.append(matches(truth, Segmenter(EDGE)(blue).labels))
    assert f1(results) >= 0.9, results


@pytest.mark.parametrize("edge", [512, 2048])
def test_lengths_follow_the_edge(edge: int) -> None:
    blue, truth = pairs(3, overlap=0.05, edge=edge)
    assert f1([matches(truth, Segmenter(edge)(blue).labels)]) >= 0.9


@pytest.mark.parametrize(("radius", "nuclei"), [(21, 1), (36, 3)])
def test_lobes_that_are_thinner_than_a_nucleus_are_one(radius: int, nuclei: int) -> None:
    blue = np.zeros((EDGE, EDGE), np.uint8)
    for place in range(3):
        cv2.circle(blue, (round(400 + place * 1.5 * radius), 400), radius, 90, -1)
    assert Segmenter(EDGE)(blue).nuclei == nuclei


def test_what_hangs_by_a_thread_is_parted_though_it_is_thin() -> None:
    blue = np.zeros((EDGE, EDGE), np.uint8)
    for x in (400, 446):
        cv2.circle(blue, (x, 400), 22, 90, -1)
    assert Segmenter(EDGE)(blue).nuclei == 2


def test_nucleoli_are_filled_and_large_holes_are_not() -> None:
    blue = np.zeros((EDGE, EDGE), np.uint8)
    for x, hole in ((300, 8), (600, 25)):
        cv2.circle(blue, (x, 400), 50, 90, -1)
        cv2.circle(blue, (x, 400), hole, 0, -1)
    labels = Segmenter(EDGE)(blue).labels
    assert labels.max() == 2
    assert labels[400, 300] > 0
    assert labels[400, 600] == 0


def test_a_nucleus_at_the_border_is_found_and_pairs_are_parted_there_too() -> None:
    blue = np.zeros((EDGE, EDGE), np.uint8)
    for x in (500, 562):
        cv2.ellipse(blue, (x, 0), (38, 90), 0, 0, 360, 80, -1)
    found = Segmenter(EDGE)(cv2.GaussianBlur(blue, (0, 0), 1.5))
    assert found.nuclei == 2
    assert (found.labels[0] > 0).any()


def test_numbers_go_from_top_to_bottom_without_gaps() -> None:
    blue, _ = pairs(4, overlap=0.0)
    labels = Segmenter(EDGE)(blue).labels
    assert labels.dtype == np.uint16
    assert labels.shape == blue.shape
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    tops = [np.argwhere(labels == number)[0, 0] for number in range(1, labels.max() + 1)]
    assert np.corrcoef(tops, np.arange(len(tops)))[0, 1] > 0.95


def test_dim_nuclei_stand_beside_bright_ones_and_glow_is_left_out() -> None:
    blue = np.zeros((EDGE, EDGE), np.float32)
    cv2.circle(blue, (300, 300), 40, 200.0, -1)
    glow = cv2.GaussianBlur(blue, (0, 0), 25) * 0.15
    cv2.circle(blue, (600, 600), 40, 40.0, -1)
    labels = Segmenter(EDGE)(np.clip(blue + glow, 0, 255).astype(np.uint8)).labels
    assert labels.max() == 2
    areas = np.bincount(labels.ravel())[1:]
    assert areas == pytest.approx([np.pi * 40**2] * 2, rel=0.15)


def _noise(level: float, width: float) -> np.ndarray:
    grain = np.random.default_rng(5).normal(level, width, (EDGE, EDGE))
    return np.clip(grain, 0, 255).astype(np.uint8)


def test_fields_without_a_nucleus_say_why() -> None:
    segment = Segmenter(EDGE)
    specks = np.zeros((EDGE, EDGE), np.uint8)
    for x in range(60, 1000, 120):
        cv2.circle(specks, (x, 500), 8, 150, -1)
    overexposed = np.full((EDGE, EDGE), 254, np.uint8)
    expected = {
        DARK: [np.zeros((EDGE, EDGE), np.uint8), _noise(1, 2)],
        NO_CONTRAST: [overexposed, _noise(30, 6), _noise(120, 40)],
        SPECKS_ONLY: [specks],
    }
    for reason, planes in expected.items():
        for plane in planes:
            found = segment(plane)
            assert (found.nuclei, found.reason) == (0, reason)
    assert segment(specks).specks == 8


def test_a_field_with_nuclei_has_no_reason_and_counts_its_specks() -> None:
    blue, truth = pairs(6, overlap=0.0)
    cv2.circle(blue, (20, 1000), 7, 200, -1)
    found = Segmenter(EDGE)(blue)
    assert (found.nuclei, found.specks, found.reason) == (int(truth.max()), 1, None)


@needs_shared
def test_published_fields_have_about_as_many_nuclei_as_a_person_counts() -> None:
    """Counted by eye on the images, without slivers at the border and what is out of focus: at least and at most."""
    seen = {
        "A1_R2": (45, 62), "A1_R5": (12, 20), "A1_R6": (22, 34), "A2_R11": (8, 11), "A2_R17": (1, 1), "C1_R1": (7, 10),
    }  # fmt: skip
    decoder, segment = PlaneDecoder(), Segmenter(EDGE)
    for name, (least, most) in seen.items():
        path = PUBLISHED_IMAGES / "samples" / "paclitaxel" / "blue" / f"B2AI_1_Paclitaxel_{name}_z01_blue.jpg"
        found = segment(np.array(area_average(decoder.plane(path.read_bytes(), "blue"), EDGE)))
        assert least <= found.nuclei <= most, (name, found.nuclei)
