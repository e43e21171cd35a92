"""Touching nuclei set apart: a watershed of the distance to the outline, which parts only what looks like two nuclei.

Belongs here: where one body of nuclear pixels is cut. Does not belong here: which pixels those are (`segment`).

The body is flooded from its deepest points outwards. Where two basins meet, the neck between them is as wide as the
distance there. They stay apart if

- both are as thick as a whole nucleus (radius 26 at edge length 1024), and the neck is narrower than 0.9 of the
  thinner one; or
- both are at least half as thick, and the neck is narrower than half of the thinner one.

Otherwise they are lobes of one nucleus. Under paclitaxel a nucleus has many; a rule by shape alone would count each.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeAlias

from cm4ai_assets.heavy import cv2, np, npt

RADIUS: Final = 26.0
NECK: Final = 0.9
THIN_NECK: Final = 0.5
CONVEX: Final = 0.98
_STEP: Final = 0.5
_SHALLOWEST: Final = 2.0
_MOST_BASINS: Final = 255
_GRID: Final = 2  # flooding runs on every second pixel of edge length 1024: necks are wider

Mask: TypeAlias = "npt.NDArray[np.uint8]"
Parts: TypeAlias = "npt.NDArray[np.uint8]"


def parted(body: Mask, *, hull_area: float, scale: float) -> Parts:
    """The nuclei of one connected body: 0 outside, numbers from 1 inside; 1 everywhere if it is one nucleus.

    Args:
        body: 1 inside, 0 outside.
        hull_area: Area of its convex hull: what is nearly convex is not looked at.
        scale: Edge length of the field over 1024.
    """
    area = cv2.countNonZero(body)
    if area < np.pi * (RADIUS * scale) ** 2 or area > CONVEX * hull_area:
        return body
    grid = max(1, round(_GRID * scale))
    basins = _Flood(_depths(body, grid), RADIUS * scale / grid).basins()
    return body if basins.max() <= 1 else _at_full_size(basins, body, grid)


def _depths(body: Mask, grid: int) -> npt.NDArray[np.float32]:
    """The distance to the outline, smoothed, on every so many pixels, in units of that grid."""
    # Beyond the border of the field lies no nucleus: one that is cut by it is as thick as what is seen of it.
    height, width = (-(-length // grid) * grid - length for length in body.shape)
    framed = cv2.copyMakeBorder(body, grid, grid + height, grid, grid + width, cv2.BORDER_CONSTANT, value=0)
    deep = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_5)
    size = (framed.shape[1] // grid, framed.shape[0] // grid)
    small = cv2.resize(deep, size, interpolation=cv2.INTER_AREA) / grid
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5), np.float32)


def _at_full_size(basins: Parts, body: Mask, grid: int) -> Parts:
    """Basins of the grid on the pixels of the body; pixels that no basin reached go to the nearest."""
    height, width = body.shape
    large = cv2.resize(basins, None, fx=grid, fy=grid, interpolation=cv2.INTER_NEAREST)
    parts: Parts = np.where(body > 0, large[grid : grid + height, grid : grid + width], 0).astype(np.uint8)
    while (free := (body > 0) & (parts == 0)).any():
        grown = np.where(free, cv2.dilate(parts, _square()), parts)
        if np.array_equal(grown, parts):
            break
        parts = np.asarray(grown, np.uint8)
    return parts


@cache
def _square() -> Parts:
    return np.ones((3, 3), np.uint8)


class _Flood:
    """Floods depths from the deepest down, in steps of half a pixel of the grid.

    Args:
        depths: Distance to the outline; 0 outside.
        radius: Radius of a whole nucleus, in the same unit.
    """

    def __init__(self, depths: npt.NDArray[np.float32], radius: float) -> None:
        self._depths, self._radius = depths, radius
        self._labels: Parts = np.zeros(depths.shape, np.uint8)
        self._peaks = [0.0]
        self._apart: set[tuple[int, int]] = set()

    def basins(self) -> Parts:
        """Numbers of the basins, from 1 without gaps; 0 outside."""
        level = float(self._depths.max())
        while level > _STEP:
            below = self._depths >= level
            self._grow(below)
            if level > _SHALLOWEST:
                self._open(below, level)
            if len(self._peaks) > 2:  # noqa: PLR2004 - two basins and the outside
                self._judge(level)
            level -= _STEP
        _, numbers = np.unique(self._labels, return_inverse=True)
        return numbers.reshape(self._labels.shape).astype(np.uint8)

    def _grow(self, below: npt.NDArray[np.bool_]) -> None:
        for _ in range(3):  # a step of depth is less than three pixels wide
            free = below & (self._labels == 0)
            if not free.any():
                return
            self._labels = np.where(free, cv2.dilate(self._labels, _square()), self._labels).astype(np.uint8)

    def _open(self, below: npt.NDArray[np.bool_], level: float) -> None:
        """New basins where the water comes up from below."""
        free = below & (self._labels == 0)
        if not free.any():
            return
        count, found = cv2.connectedComponents(free.astype(np.uint8), connectivity=8)
        for number in range(1, min(count, _MOST_BASINS - len(self._peaks) + 1)):
            self._labels[found == number] = len(self._peaks)
            self._peaks.append(level)

    def _judge(self, neck: float) -> None:
        """Basins that meet now are two nuclei, or become one."""
        for pair in sorted(_meeting(self._labels) - self._apart):
            one, other = sorted(pair, key=lambda number: -self._peaks[number])
            if one == other or not (self._labels == other).any():
                continue
            if self._are_two(self._peaks[other], neck):
                self._apart.add(pair)
            else:
                self._labels[self._labels == other] = one
                self._apart = {_pair(*(one if n == other else n for n in known)) for known in self._apart}

    def _are_two(self, thinner: float, neck: float) -> bool:
        if thinner >= self._radius:
            return neck < NECK * thinner
        return thinner >= self._radius / 2 and neck < THIN_NECK * thinner


def _meeting(labels: Parts) -> set[tuple[int, int]]:
    """Pairs of basins that touch along an edge of pixels."""
    found: set[tuple[int, int]] = set()
    for one, other in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])):
        touch = (one != other) & (one > 0) & (other > 0)
        if touch.any():
            codes: Any = np.unique(one[touch].astype(np.int32) * (_MOST_BASINS + 1) + other[touch])
            found |= {_pair(*divmod(int(code), _MOST_BASINS + 1)) for code in codes}
    return found


def _pair(one: int, other: int) -> tuple[int, int]:
    return (min(one, other), max(one, other))
