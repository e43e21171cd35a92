"""What is measured of the nuclei of one field: shape, sharpness, and intensities in nucleus and ring.

Belongs here: numbers computed from labels and planes. Does not belong here: finding nuclei (`segment`), or what makes
one implausible (`plausible`).

Everything stands in one numpy array a column, a row a nucleus, in the order of the labels. Sums and medians come from
histograms of the 256 grey levels, which hold 8-bit intensities completely: they are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

from cm4ai_assets.cells.segment import REFERENCE_EDGE, Labels
from cm4ai_assets.heavy import cv2, ndimage, np, npt
from cm4ai_assets.images.colour import full_level
from cm4ai_assets.images.counting import LEVELS
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.storage.tensors import Pixels
from cm4ai_assets.tables.images import BLUE

# A ring, in pixels at edge length 1024. What lies nearer shares light with the nucleus; see docs/decisions/0028.
RING_GAP: Final = 2.0
RING_WIDTH: Final = 10.0

_LEAST_CONTRAST: Final = 1.0

Columns: TypeAlias = "dict[str, npt.NDArray[Any]]"
Box = tuple[slice, slice]


class Meter:
    """Measures fields of one edge length. Any number of threads may share it.

    Args:
        edge: Edge length of the planes.
    """

    def __init__(self, edge: int) -> None:
        self._edge, self._scale = edge, edge / REFERENCE_EDGE
        self._rings = Rings(edge)

    def __call__(self, planes: Pixels, labels: Labels) -> Columns:
        """The columns of a field's nuclei.

        Args:
            planes: uint8, (channel, y, x), channels in tensor order.
            labels: Nuclei numbered from 1 without gaps; at least one.
        """
        count = int(labels.max())
        nuclei = _Region.of(labels)
        rings = self._rings.region(labels, nuclei)
        found: Columns = {**self._shapes(labels, count), "ring_area": rings.area.astype(np.int32)}
        for channel, plane in zip(PLANES, planes, strict=True):
            for name, region in (("nucleus", nuclei), ("ring", rings)):
                counts = region.histograms(plane)
                found |= {f"{name}_{channel}_{key}": value for key, value in intensities(counts).items()}
                if (name, channel) == ("nucleus", "blue"):
                    found["saturated_fraction"] = counts[:, full_level("blue") :].sum(axis=1) / nuclei.area
        nucleus, ring = found["nucleus_blue_mean"], found["ring_blue_mean"]
        found["glow"] = np.where(nucleus > 0, ring / np.maximum(nucleus, 1e-6), np.nan)
        contrast = nucleus - np.nan_to_num(ring)
        found["edge_sharpness"] = self._sharpness(planes[BLUE], labels, nuclei, contrast)
        return found

    def _shapes(self, labels: Labels, count: int) -> Columns:
        boxes: list[Box] = ndimage.find_objects(labels)
        rows = [_shape(labels[box] == number, box) for number, box in enumerate(boxes, start=1)]
        kinds = {"solidity": np.float32, "eccentricity": np.float32, "major_axis": np.float32, "minor_axis": np.float32}
        kinds |= {"centroid_y": np.float32, "centroid_x": np.float32}
        columns: Columns = {
            name: np.array([row[name] for row in rows], kinds.get(name, np.int32)) for name in (rows[0] if rows else ())
        }
        edges = (columns["y0"] == 0) | (columns["x0"] == 0)
        columns["touches_border"] = edges | (columns["y1"] == self._edge) | (columns["x1"] == self._edge)
        return {"cell": np.arange(1, count + 1, dtype=np.int32), **columns}

    def _sharpness(
        self, blue: Pixels, labels: Labels, nuclei: _Region, contrast: npt.NDArray[Any]
    ) -> npt.NDArray[np.float32]:
        """How much of a nucleus's contrast one pixel of its outline takes, at edge length 1024; NaN if unknown."""
        smooth = np.asarray(cv2.GaussianBlur(blue, (0, 0), self._scale), np.uint8).ravel().astype(np.float32)
        # The outline against the background: where two nuclei touch there is no edge to judge, nor at the border.
        outline = (cv2.erode(labels, np.ones((3, 3), np.uint8)) == 0) & (labels > 0)
        outline[[0, -1]] = outline[:, [0, -1]] = False
        places = np.flatnonzero(outline)
        down, right = (smooth[places + step] - smooth[places - step] for step in (self._edge, 1))
        owners = labels.ravel()[places].astype(np.int64) - 1
        pixels = np.bincount(owners, minlength=nuclei.count)
        slope = np.bincount(owners, np.hypot(down, right) / 2, minlength=nuclei.count)
        known = (pixels > 0) & (contrast >= _LEAST_CONTRAST)
        share = np.full(nuclei.count, np.nan, np.float32)
        share[known] = slope[known] / pixels[known] / contrast[known] * self._scale
        return share


class Rings:
    """The rings of nuclei. One begins `RING_GAP` outside its nucleus and is `RING_WIDTH` wide, at edge length 1024.

    A pixel belongs to the nearest nucleus alone, and no pixel of a nucleus to a ring. What lies outside the field is in
    none.

    Args:
        edge: Edge length of the labels.
    """

    def __init__(self, edge: int) -> None:
        scale = edge / REFERENCE_EDGE
        self._gap, self._end = RING_GAP * scale, (RING_GAP + RING_WIDTH) * scale

    def __call__(self, labels: Labels) -> Labels:
        """For each pixel the nucleus in whose ring it lies, 0 for none: uint16, (y, x)."""
        region = self.region(labels, _Region.of(labels))
        rings = np.zeros(labels.size, np.uint16)
        rings[region.places] = region.owners + 1
        return rings.reshape(labels.shape)

    def region(self, labels: Labels, nuclei: _Region) -> _Region:
        """The same as places of the flat field."""
        outside = (labels == 0).astype(np.uint8)
        distance, nearest = cv2.distanceTransformWithLabels(
            outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        places = np.flatnonzero((distance > self._gap) & (distance <= self._end))
        # OpenCV numbers the pixels of nuclei from 1, in the order of rows.
        return _Region(places, nuclei.owners[nearest.ravel()[places] - 1], nuclei.count)


@dataclass(frozen=True)
class _Region:
    """Pixels that belong to nuclei: their places in the flat field, and the nucleus of each, from 0."""

    places: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, labels: Labels) -> _Region:
        """The nuclei of a field."""
        places = np.flatnonzero(labels > 0)
        return cls(places, labels.ravel()[places].astype(np.int64) - 1, int(labels.max()))

    @cached_property
    def area(self) -> npt.NDArray[np.int64]:
        """Pixels of each."""
        return np.bincount(self.owners, minlength=self.count)

    def histograms(self, plane: Pixels) -> npt.NDArray[np.int64]:
        """Pixels at each grey level: (nucleus, level)."""
        codes = self.owners * LEVELS + plane.ravel()[self.places]
        return np.bincount(codes, minlength=self.count * LEVELS).reshape(self.count, LEVELS)


def intensities(counts: npt.NDArray[np.int64]) -> Columns:
    """Mean, median (nearest rank) and sum of each histogram, (nucleus, level); NaN and 0 where it is empty."""
    cumulative = np.cumsum(counts, axis=1)
    area, total = cumulative[:, -1], counts @ np.arange(LEVELS)
    empty = area == 0
    half = -(-area // 2)
    median = (cumulative < half[:, None]).sum(axis=1)
    return {
        "mean": np.where(empty, np.nan, total / np.maximum(area, 1)).astype(np.float32),
        "median": np.where(empty, np.nan, median).astype(np.float32),
        "sum": total,
    }


def _shape(mask: npt.NDArray[np.bool_], box: Box) -> dict[str, float]:
    """Box, centroid, area and form of one nucleus. Lengths in pixels."""
    plane = mask.astype(np.uint8)
    moments = cv2.moments(plane, binaryImage=True)
    area, y0, x0 = moments["m00"], box[0].start, box[1].start
    # A pixel is a square, not a point: each axis has the variance 1/12 of its own.
    yy, xx, xy = moments["mu02"] / area + 1 / 12, moments["mu20"] / area + 1 / 12, moments["mu11"] / area
    middle, reach = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    major, minor = 4 * np.sqrt(middle + reach), 4 * np.sqrt(max(middle - reach, 1 / 12))
    return {
        "y0": y0,
        "x0": x0,
        "y1": box[0].stop,
        "x1": box[1].stop,
        "centroid_y": y0 + moments["m01"] / area,
        "centroid_x": x0 + moments["m10"] / area,
        "area": area,
        "major_axis": major,
        "minor_axis": minor,
        "eccentricity": np.sqrt(max(0.0, 1 - (minor / major) ** 2)),
        "solidity": min(1.0, area / _hull_pixels(plane)),
    }


def _hull_pixels(mask: npt.NDArray[np.uint8]) -> int:
    """Pixels of the convex hull."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(np.concatenate(outlines))
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, hull, 1)
    return cv2.countNonZero(filled)
