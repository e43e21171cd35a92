"""Nuclei in one blue plane: smoothing, a threshold, and touching nuclei set apart.

Belongs here: which pixels are nuclei, and why a field has none. Does not belong here: where touching nuclei are parted
(`splitting`), and what is measured of them (`measure`).

The steps, all lengths in pixels at edge length 1024 and scaled with the edge:

1. Gaussian smoothing (sigma 2).
2. The threshold of the field: Otsu's on the square roots of the grey levels, in which shot noise has one width at every
   brightness, times 0.6, so that dim nuclei stand beside bright ones; at least grey level 6, below which a published
   background lies.
3. The threshold of the place: 0.15 of the brightest within about 50 pixels, which keeps the glow of a bright nucleus
   out. A pixel is nuclear if it exceeds both.
4. Opening (radius 3); holes smaller than 400 pixels are filled: nucleoli are dark.
5. Touching nuclei are parted at their necks by a watershed of the distance to the outline (`splitting`).
6. Bodies below 450 pixels are counted and left out: fragments, micronuclei that lie apart, debris. The smallest real
   nuclei seen have some 2,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from cm4ai_assets.cells.splitting import parted
from cm4ai_assets.heavy import cv2, np, npt

ALGORITHM: Final = "Otsu on square roots, local floor, watershed by distance"
REFERENCE_EDGE: Final = 1024

SIGMA: Final = 2.0
FLOOR: Final = 6
OTSU_SHARE: Final = 0.6
GLOW_SHARE: Final = 0.15
OPENING: Final = 3
SMALLEST: Final = 450
LARGEST_HOLE: Final = 400

# The brightest of the neighbourhood is looked for in a plane of this edge, whatever that of the field.
_COARSE_EDGE: Final = 256
_COARSE_REACH: Final = 12
_COARSE_SIGMA: Final = 4.0

MOST_COVERED: Final = 0.75

# Why a field has no nucleus.
DARK, NO_CONTRAST, SPECKS_ONLY = "dark", "no_contrast", "specks_only"
REASONS: Final = (DARK, NO_CONTRAST, SPECKS_ONLY)

Plane: TypeAlias = "npt.NDArray[np.uint8]"
Labels: TypeAlias = "npt.NDArray[np.uint16]"


@dataclass(frozen=True, slots=True)
class Segmented:
    """The nuclei of one field.

    Attributes:
        labels: uint16, (y, x): 0 where there is no nucleus, else its number, from 1 without gaps, from top to bottom.
        level: The field's threshold, a grey level of the smoothed plane.
        specks: Bodies that were too small to be a nucleus, and are left out.
        reason: Why there is no nucleus, one of `REASONS`; None if there is one.
    """

    labels: Labels
    level: int
    specks: int
    reason: str | None

    @property
    def nuclei(self) -> int:
        """How many there are."""
        return int(self.labels.max())


class Segmenter:
    """Finds nuclei in planes of one edge length. Holds no state between planes: any number of threads may share it.

    Args:
        edge: Edge length of the planes.
    """

    def __init__(self, edge: int) -> None:
        self._edge, self._scale = edge, edge / REFERENCE_EDGE
        self._smallest = SMALLEST * self._scale**2
        self._largest_hole = LARGEST_HOLE * self._scale**2
        self._opening = _disc(max(1, round(OPENING * self._scale)))

    def __call__(self, blue: Plane) -> Segmented:
        """The nuclei of a blue plane (y, x)."""
        smooth = np.asarray(cv2.GaussianBlur(blue, (0, 0), SIGMA * self._scale), np.uint8)
        level = _field_level(smooth)
        mask = np.asarray(cv2.morphologyEx(self._exceeds(smooth, level), cv2.MORPH_OPEN, self._opening), np.uint8)
        if reason := _no_nuclei(mask):
            return Segmented(np.zeros(blue.shape, np.uint16), level, 0, reason)
        labels, specks = self._labelled(mask)
        return Segmented(labels, level, specks, None if labels.any() else SPECKS_ONLY)

    def _exceeds(self, smooth: Plane, level: int) -> Plane:
        """1 where a pixel is brighter than the field's threshold and than the glow of its neighbourhood, else 0."""
        coarse = cv2.resize(smooth, (_COARSE_EDGE, _COARSE_EDGE), interpolation=cv2.INTER_AREA)
        brightest = cv2.GaussianBlur(cv2.dilate(coarse, _disc(_COARSE_REACH)), (0, 0), _COARSE_SIGMA)
        glow = cv2.convertScaleAbs(brightest, alpha=GLOW_SHARE)
        floor = cv2.max(np.asarray(glow, np.uint8), np.full_like(np.asarray(glow, np.uint8), level))
        floor = cv2.resize(floor, (self._edge, self._edge), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.compare(smooth, floor, cv2.CMP_GT) > 0, np.uint8)

    def _labelled(self, mask: Plane) -> tuple[Labels, int]:
        """Numbers of the nuclei, and how many bodies are too small to be one."""
        labels, count, specks = np.zeros(mask.shape, np.uint16), 0, 0
        for (y, x), body, hull in self._bodies(mask):
            parts = parted(body, hull_area=hull, scale=self._scale)
            for number in range(1, int(parts.max()) + 1):
                part = parts == number
                if np.count_nonzero(part) < self._smallest:
                    specks += 1
                    continue
                count += 1
                labels[y : y + body.shape[0], x : x + body.shape[1]][part] = count
        return labels, specks

    def _bodies(self, mask: Plane) -> Iterator[tuple[tuple[int, int], Plane, float]]:
        """Connected bodies from top to bottom: corner, mask of the box with small holes filled, area of the hull."""
        outlines, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        tree: Any = np.zeros((1, 0, 4), np.int32) if hierarchy is None else hierarchy
        places = [number for number in range(len(outlines)) if tree[0][number][3] < 0]
        boxes = {place: cv2.boundingRect(outlines[place]) for place in places}
        for place, (x, y, width, height) in sorted(boxes.items(), key=lambda item: (item[1][1], item[1][0])):
            body = np.zeros((height, width), np.uint8)
            cv2.drawContours(body, [outlines[place]], 0, 1, cv2.FILLED, offset=(-x, -y))
            hole = tree[0][place][2]
            while hole >= 0:
                if cv2.contourArea(outlines[hole]) > self._largest_hole:
                    box = mask[y : y + height, x : x + width]
                    emptied = np.zeros_like(body)
                    cv2.drawContours(emptied, [outlines[hole]], 0, 1, cv2.FILLED, offset=(-x, -y))
                    body[(emptied > 0) & (box == 0)] = 0
                hole = tree[0][hole][0]
            yield (y, x), body, cv2.contourArea(cv2.convexHull(outlines[place]))


def _field_level(smooth: Plane) -> int:
    """The threshold of a field: see the module."""
    roots = np.asarray(cv2.LUT(smooth, _roots()), np.uint8)
    otsu, _ = cv2.threshold(roots, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return max(FLOOR, round(OTSU_SHARE * otsu * otsu / 255))


@cache
def _roots() -> Plane:
    return np.asarray(np.round(np.sqrt(np.arange(256) * 255.0)), np.uint8)


def _no_nuclei(mask: Plane) -> str | None:
    """Why nothing that a threshold says of this field can be believed; None if it can."""
    covered = cv2.countNonZero(mask)
    if not covered:
        return DARK
    return NO_CONTRAST if covered > MOST_COVERED * mask.size else None


def _disc(radius: int) -> Plane:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
