"""Single cells, drawn once per condition and stamped many times: their shape, and what each structure looks like.

Belongs here: the drawing of one cell, layer by layer. Does not belong here: which layers an antibody stains
(`proteins`) and how cells are put together into a field (`cells`).

The shapes follow the real images: round to polygonal bodies 250 to 400 pixels wide with nuclei of 130 to 190; under
paclitaxel several lobes and bundled microtubules; under vorinostat large flat cells with large nuclei.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from cm4ai_assets.conditions import Condition
from cm4ai_assets.heavy import cv2, np, npt
from cm4ai_assets.sandbox import seeds
from cm4ai_assets.threads import cores

Plane: TypeAlias = "npt.NDArray[np.uint8]"  # grey levels
Layer: TypeAlias = "npt.NDArray[Any]"  # brightness as floating point, about 0 to 1

CELLS = 10
_BLURRED = 5  # every so many cells, one lies out of the plane of focus
_ATLAS = 1024


@dataclass(frozen=True)
class Style:
    """What a treatment does to the shape of cells. Lengths in pixels."""

    radius: tuple[float, float]
    stretch: float
    corners: float
    nucleus: tuple[float, float]
    lobes: tuple[int, int]
    filaments: int
    bundled: float
    flatness: float


STYLES = {
    Condition.UNTREATED: Style((120, 170), 0.45, 0.16, (64, 84), (1, 1), 150, 0.0, 24),
    Condition.PACLITAXEL: Style((105, 185), 0.22, 0.08, (38, 58), (2, 7), 80, 0.8, 42),
    Condition.VORINOSTAT: Style((190, 260), 0.55, 0.18, (90, 118), (1, 1), 220, 0.15, 18),
}


@dataclass(frozen=True)
class Stamp:
    """One drawn cell: masks of body and nuclei, the three fixed stains, the structures an antibody may light up.

    `nuclei` is the outline that was drawn, before it was softened, textured or put out of focus.
    """

    body: Plane
    nuclei: Plane
    nucleus: Plane
    tubulin: Plane
    er: Plane
    structures: dict[str, Plane]
    radius: float


@cache
def textures() -> dict[str, Layer]:
    """Band-limited noise with standard deviation 1, at the grain sizes that cells have."""
    made: dict[str, Layer] = {}
    for name, fine, coarse in (("grain", 0.8, 3.0), ("mesh", 1.8, 5.0), ("cloud", 5.0, 15.0)):
        noise = seeds.generator("texture", name).standard_normal((_ATLAS, _ATLAS), dtype=np.float32)
        wave = cv2.GaussianBlur(noise, (0, 0), fine) - cv2.GaussianBlur(noise, (0, 0), coarse)
        made[name] = np.asarray(wave / wave.std(), np.float32)
    return made


@cache
def bank(condition: Condition) -> tuple[Stamp, ...]:
    """The cells of a condition. The same artwork for every seed."""
    textures()
    with ThreadPoolExecutor(cores()) as pool:
        return tuple(pool.map(lambda n: _Artist(condition, n).stamp(blur=5.0 * (n % _BLURRED == 1)), range(CELLS)))


class _Artist:
    """Draws one cell. Each method draws one layer on the same geometry."""

    def __init__(self, condition: Condition, number: int) -> None:
        self.rng = seeds.generator("cell", condition, number)
        self.style = STYLES[condition]
        self.radius = self.rng.uniform(*self.style.radius)
        stretch = 1 + self.rng.uniform(0, self.style.stretch)
        self.size = 2 * int(self.radius * stretch * 1.25) + 16
        self.centre = self.size / 2
        self.mask = self._blob(self.centre, self.centre, self.radius, self.style.corners, stretch)
        self.edge: Layer = cv2.distanceTransform(self.mask, cv2.DIST_L2, 3)
        # Height over the slide: steep at the rim of a round cell, shallow and long for a flat one.
        self.height: Layer = 1 - np.exp(-self.edge / self.style.flatness)
        self.nuclei = self._nuclei()
        hard = (self.nuclei > 0).astype(np.uint8)
        self.inside: Layer = cv2.distanceTransform(hard, cv2.DIST_L2, 3)
        self.outside: Layer = cv2.distanceTransform(1 - hard, cv2.DIST_L2, 3)
        self.soft_nuclei: Layer = cv2.GaussianBlur(self.nuclei, (0, 0), 1.8)
        self.soft_body: Layer = cv2.GaussianBlur(self.mask, (0, 0), 2.5).astype(np.float32) / 255
        self.nucleoli = self._spots(hard, int(self.rng.integers(1, 5)), (7, 14), margin=12)
        self.cytoplasm: Layer = self.height * self.soft_body * (1 - 0.6 * self.soft_nuclei)

    def stamp(self, *, blur: float) -> Stamp:
        """All layers of the cell; out of focus by `blur` pixels, and dimmer then."""
        er, tubulin = self._er(), self._tubulin()
        grain, mesh, cloud = self._noise("grain"), self._noise("mesh"), self._noise("cloud")
        inner, cytoplasm = self.soft_nuclei, self.cytoplasm
        structures = {
            "nucleoplasm": _grey(inner * (0.85 + 0.05 * mesh + 0.05 * cloud) * (1 - 0.45 * self.nucleoli), blur),
            "nucleoli": _grey(self.nucleoli * (0.95 + 0.1 * mesh) + 0.10 * inner, blur),
            "speckles": _grey(self._spots(self.inside, 26, (3, 6), margin=5) + 0.25 * inner, blur),
            "nuclear_membrane": _grey(self._envelope(3.0) + 0.12 * inner, blur),
            "cytosol": _grey(cytoplasm * (0.72 + 0.15 * grain + 0.10 * cloud), blur),
            "er": _grey(er, blur),
            "mitochondria": _grey(self._worms(count=int(self.radius * 0.8), length=26, width=4), blur),
            "vesicles": _grey(self._dots(int(self.radius * 0.9), (2, 5)) + 0.10 * cytoplasm, blur),
            "membrane": _grey(np.exp(-(((self.edge - 5) / 4) ** 2)) * self.soft_body + 0.12 * cytoplasm, blur),
            "golgi": _grey(self._golgi() + 0.06 * cytoplasm, blur),
            "microtubules": _grey(tubulin, blur),
        }
        return Stamp(
            body=self.mask,
            nuclei=np.where(self.nuclei > 0, np.uint8(255), np.uint8(0)),
            nucleus=_grey(self._chromatin() * self.rng.uniform(0.6, 1.0), blur),
            tubulin=_grey(tubulin * self.rng.uniform(0.6, 1.0), blur),
            er=_grey(er * self.rng.uniform(0.6, 1.0), blur),
            structures=structures,
            radius=float(np.sqrt(np.count_nonzero(self.mask) / np.pi)),
        )

    def _noise(self, texture: str) -> Layer:
        y, x = self.rng.integers(0, _ATLAS - self.size, 2)
        return textures()[texture][y : y + self.size, x : x + self.size]

    def _blob(self, x: float, y: float, radius: float, waviness: float, stretch: float = 1.0) -> Plane:
        """A filled outline: a circle, stretched, with waves of 2 to 5 corners."""
        angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        r = np.full(angle.shape, radius)
        for corners in (2, 3, 4, 5):
            depth = radius * self.rng.normal(0, waviness / corners)
            r += depth * np.cos(corners * angle + self.rng.uniform(0, 2 * np.pi))
        turn = self.rng.uniform(0, np.pi)
        u, v = r * np.cos(angle) * np.sqrt(stretch), r * np.sin(angle) / np.sqrt(stretch)
        path = np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], axis=1)
        plane = np.zeros((self.size, self.size), np.uint8)
        cv2.fillPoly(plane, [np.round(path).astype(np.int32)], 255)
        return plane

    def _nuclei(self) -> Layer:
        """One oval nucleus, or several lobes of uneven brightness that lie together."""
        lobes = int(self.rng.integers(self.style.lobes[0], self.style.lobes[1] + 1))
        shift = self.rng.normal(0, 0.08 * self.radius, 2)
        plane = np.zeros((self.size, self.size), np.float32)
        for lobe in range(lobes):
            radius = self.rng.uniform(*self.style.nucleus) * (1.0 if lobes == 1 else self.rng.uniform(0.5, 1.0))
            reach = 0.0 if lobes == 1 else min(0.62 * self.radius - radius * 0.5, radius * (0.75 + 0.18 * lobes))
            reach *= self.rng.uniform(0.6, 1.0)
            angle = 2 * np.pi * (lobe + self.rng.uniform(-0.3, 0.3)) / lobes
            x, y = self.centre + shift[0] + reach * np.cos(angle), self.centre + shift[1] + reach * np.sin(angle)
            blob = self._blob(x, y, radius, 0.08, 1 + self.rng.uniform(0, 0.5))
            plane[blob > 0] = self.rng.uniform(0.6, 1.0) if lobes > 1 else 1.0
        plane[self.mask == 0] = 0
        return plane

    def _spots(self, where: Layer, count: int, radius: tuple[float, float], margin: int) -> Layer:
        """Soft discs, at least `margin` inside the region."""
        depth = cv2.distanceTransform((where > 0).astype(np.uint8), cv2.DIST_L2, 3)
        room = np.argwhere(depth > margin)
        plane = np.zeros((self.size, self.size), np.uint8)
        for _ in range(count if len(room) else 0):
            y, x = room[self.rng.integers(len(room))]
            cv2.circle(plane, (int(x), int(y)), round(self.rng.uniform(*radius)), int(self.rng.integers(130, 255)), -1)
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.6), np.float32) / 255

    def _chromatin(self) -> Layer:
        grain = 0.80 + 0.13 * self._noise("mesh") + 0.10 * self._noise("cloud")
        layer: Layer = self.soft_nuclei * grain * (1 - 0.5 * self.nucleoli)
        return layer

    def _envelope(self, width: float) -> Layer:
        rim: Layer = np.exp(-(((self.outside + self.inside - 1) / width) ** 2))
        return rim

    def _er(self) -> Layer:
        near = np.exp(-self.outside / (0.42 * self.radius))
        mesh = 1 - np.minimum(np.abs(self._noise("mesh")), 1.6) / 1.6  # bright lines where the noise crosses zero
        sheet = (0.28 + 0.72 * near) * (0.50 + 0.35 * mesh + 0.14 * self._noise("cloud") + 0.06 * self._noise("grain"))
        layer: Layer = self.height * self.soft_body * sheet * (1 - 0.6 * self.soft_nuclei)
        return layer + self.rng.uniform(0.1, 0.35) * self._envelope(2.5)

    def _tubulin(self) -> Layer:
        lines = self._radial_lines()
        if self.style.bundled:
            lines = (1 - 0.6 * self.style.bundled) * lines + self.style.bundled * self._bundles()
        mesh = 1 - np.minimum(np.abs(self._noise("mesh")), 1.4) / 1.4
        body: Layer = self.height * self.soft_body * (1 - 0.55 * self.soft_nuclei)
        return body * (0.16 + 0.32 * mesh + 0.65 * np.minimum(lines, 1.2))

    def _radial_lines(self) -> Layer:
        """Filaments that leave the centrosome beside the nucleus and bend on their way out."""
        start = self.rng.uniform(0, 2 * np.pi)
        reach = 0.8 * self.style.nucleus[0]
        x0, y0 = self.centre + reach * np.cos(start), self.centre + reach * np.sin(start)
        plane: Layer = np.zeros((self.size, self.size), np.float32)
        steps = np.linspace(0.1, 1.25 * self.radius, 14)
        for _ in range(6):
            layer = np.zeros((self.size, self.size), np.uint8)
            angles = self.rng.uniform(0, 2 * np.pi, self.style.filaments // 6)
            bends = self.rng.normal(0, 1.0, len(angles))
            origins = self.rng.normal(0, 0.10 * self.radius, (len(angles), 2))
            for angle, bend, (dx, dy) in zip(angles, bends, origins, strict=True):
                heading = angle + bend * (steps / steps[-1]) ** 1.5
                path = np.stack([x0 + dx + steps * np.cos(heading), y0 + dy + steps * np.sin(heading)], axis=1)
                cv2.polylines(layer, [np.round(path * 8).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 3)
            plane += layer
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.9), np.float32) / 500

    def _bundles(self) -> Layer:
        """Thick arcs along the rim and around the nuclei, as paclitaxel makes them."""
        layer = np.zeros((self.size, self.size), np.uint8)
        for _ in range(int(self.radius * 0.40)):
            radius = self.radius * self.rng.uniform(0.45, 0.95)
            axes = (round(radius), round(radius * self.rng.uniform(0.72, 1.0)))
            x, y = (int(self.centre + d) for d in self.rng.normal(0, 0.09 * self.radius, 2))
            turn, span = self.rng.uniform(0, 360), self.rng.uniform(20, 75)
            level, width = int(self.rng.integers(120, 255)), int(self.rng.integers(1, 5))
            cv2.ellipse(layer, (x, y), axes, turn, 0, span, level, width, cv2.LINE_AA)
        return np.asarray(cv2.GaussianBlur(layer, (0, 0), 1.3), np.float32) / 220

    def _worms(self, count: int, length: float, width: int) -> Layer:
        """Short bent rods around the nuclei."""
        room = np.argwhere((self.outside > 4) & (self.edge > 8))  # noqa: PLR2004 - pixels
        layer = np.zeros((self.size, self.size), np.uint8)
        steps = np.linspace(-0.5, 0.5, 6)
        weight = np.exp(-self.outside[room[:, 0], room[:, 1]] / (0.5 * self.radius))
        for y, x in room[self.rng.choice(len(room), count, p=weight / weight.sum())]:
            heading = self.rng.uniform(0, 2 * np.pi) + self.rng.normal(0, 1.5) * steps
            size = length * self.rng.uniform(0.4, 1.2)
            path = np.stack([x + size * steps * np.cos(heading), y + size * steps * np.sin(heading)], axis=1)
            cv2.polylines(layer, [np.round(path).astype(np.int32)], False, int(self.rng.integers(130, 255)), width)
        return np.asarray(cv2.GaussianBlur(layer, (0, 0), 1.3), np.float32) / 200 * self.soft_body

    def _dots(self, count: int, radius: tuple[float, float]) -> Layer:
        return self._spots(np.where(self.outside > 3, self.mask, 0), count, radius, margin=8)  # noqa: PLR2004 - pixels

    def _golgi(self) -> Layer:
        """Ribbons heaped at one side of the nucleus."""
        near = np.argwhere((self.outside > 3) & (self.outside < 0.25 * self.radius) & (self.edge > 10))  # noqa: PLR2004
        around = np.arctan2(near[:, 0] - self.centre, near[:, 1] - self.centre)
        room = near[np.cos(around - self.rng.uniform(0, 2 * np.pi)) > 0.65]  # noqa: PLR2004 - a fifth of the way round
        layer = np.zeros((self.size, self.size), np.uint8)
        for y, x in room[self.rng.integers(0, max(len(room), 1), 26 if len(room) else 0)]:
            axes = (int(self.rng.integers(5, 14)), int(self.rng.integers(2, 4)))
            turn = np.degrees(np.arctan2(y - self.centre, x - self.centre)) + 90 + self.rng.normal(0, 30)
            cv2.ellipse(layer, (int(x), int(y)), axes, turn, 0, 360, int(self.rng.integers(140, 255)), -1, cv2.LINE_AA)
        return np.asarray(cv2.GaussianBlur(layer, (0, 0), 1.8), np.float32) / 230 * self.soft_body


def _grey(layer: Layer, blur: float) -> Plane:
    if blur:
        layer = 0.7 * cv2.GaussianBlur(layer.astype(np.float32), (0, 0), blur)
    return np.asarray(np.clip(np.round(layer * 220), 0, 255), np.uint8)
