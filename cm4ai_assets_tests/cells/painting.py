"""Nuclei painted for tests: pairs that touch or overlap, and how well labels agree with what was painted."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint16]
Plane = NDArray[np.uint8]


def pairs(seed: int, *, overlap: float, edge: int = 1024, across: int = 6) -> tuple[Plane, Labels]:
    """A blue plane of pairs of oval nuclei of unequal brightness, and their labels.

    Args:
        seed: Of places, sizes, brightness and grain.
        overlap: How much of the sum of their radii two centres lie nearer than that sum.
        edge: Edge length.
        across: Places in a row; a pair takes two.
    """
    rng, scale = np.random.default_rng(seed), edge / 1024
    truth, light = np.zeros((edge, edge), np.uint16), np.zeros((edge, edge), np.float32)
    for row in range(across):
        for column in range(0, across - 1, 2):
            y, x = (row + 0.5) * edge / across, (column + 0.6) * edge / across
            radii, turn = rng.uniform(32, 40, 2) * scale, rng.uniform(-0.5, 0.5)
            reach = radii.sum() * (1 - overlap)
            for number, (step, radius) in enumerate(zip((0.0, reach), radii, strict=True)):
                body = np.zeros(truth.shape, np.uint8)
                middle = round(x + step * np.cos(turn)), round(y + step * np.sin(turn))
                axes = round(radius * rng.uniform(1, 1.15)), round(radius)
                cv2.ellipse(body, middle, axes, np.degrees(turn) + 90 + rng.uniform(-20, 20), 0, 360, 1, -1)
                new = (body > 0) & (truth == 0)
                truth[new] = truth.max() + 1
                light[new] = rng.uniform(40, 110) * (1 if number else 0.7)
    grain = cv2.GaussianBlur(rng.standard_normal(light.shape, dtype=np.float32), (0, 0), 1.2 * scale)
    seen = cv2.GaussianBlur(light * (1 + 0.4 * grain), (0, 0), 1.5 * scale) + rng.poisson(1.0, light.shape)
    return np.asarray(np.clip(seen, 0, 255), np.uint8), truth


def matches(truth: Labels, found: Labels, *, iou: float = 0.5) -> tuple[int, int, int]:
    """How many painted nuclei have one that was found with more than this share of the union; painted; found."""
    painted, guessed = int(truth.max()), int(found.max())
    codes = truth.astype(np.int64).ravel() * (guessed + 1) + found.ravel()
    both = np.bincount(codes, minlength=(painted + 1) * (guessed + 1)).reshape(painted + 1, guessed + 1)
    union = both.sum(axis=1)[1:, None] + both.sum(axis=0)[None, 1:] - both[1:, 1:]
    return int((both[1:, 1:] > iou * union).sum()), painted, guessed


def f1(results: list[tuple[int, int, int]]) -> float:
    """Harmonic mean of precision and recall over several fields; 1 where there was nothing and nothing was found."""
    hits, painted, guessed = (sum(column) for column in zip(*results, strict=True))
    return 2 * hits / (painted + guessed) if painted + guessed else 1.0
