"""Fields of view as pictures: cells placed, stained, exposed and encoded as the published images are.

Belongs here: how stamps become the four channel images and the composite of a field. Does not belong here: the shape
of a cell (`stamps`), what an antibody stains (`proteins`), which fields exist (`plates`).

Planes are put together in a square-root scale, in which shot noise has one width at every brightness: noise is then
one addition, and exposure one look-up. Everything is uint8, and cv2 and the encoder release the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from cm4ai_assets.conditions import Condition
from cm4ai_assets.heavy import cv2, np, npt, simplejpeg
from cm4ai_assets.sandbox import proteins, seeds
from cm4ai_assets.sandbox.plates import Appearance, Field
from cm4ai_assets.sandbox.stamps import Plane, Stamp, bank

EDGE = 2048
QUALITY = 85  # the quantization tables of the real files are those of quality 85, exactly
COLOURS = ("blue", "green", "red", "yellow")
_RGB = {"blue": (0, 0, 1), "green": (0, 1, 0), "red": (1, 0, 0), "yellow": (1, 1, 0)}

_ROOT = 14.0  # grey level v stands as 14 * sqrt(v)
_DARK = 32  # where zero lies once noise was added, so that noise can be negative
_NOISE = {"blue": 8.0, "green": 12.0, "red": 9.0, "yellow": 11.0}  # width in the square-root scale
_EXPOSURE = {"blue": 0.60, "green": 0.75, "red": 0.38, "yellow": 0.52}
_OVEREXPOSURE = 4.0
_MARGIN = 256

# Cells of a field: how many at least and at most. Neighbours lie so near (in sums of radii).
_COUNTS = {Condition.UNTREATED: (14, 46), Condition.PACLITAXEL: (5, 20), Condition.VORINOSTAT: (5, 15)}
_NEARNESS = 0.82
_UNTURNED = 2
_OUTSIDE = 60  # a cell's centre may lie this far outside the field
_DEBRIS = {Condition.UNTREATED: 90, Condition.PACLITAXEL: 120, Condition.VORINOSTAT: 60}


def prepare(*conditions: Condition) -> None:
    """Draw what every field needs, once, before threads ask for it at the same time."""
    for condition in conditions:
        for number in range(len(bank(condition))):
            _stains(condition, number)
    for colour in COLOURS:
        _noise(colour)
    _specks()


def paint(field: Field, seed: int) -> dict[str, Plane]:
    """The four planes of a field, full size, as the intensity that its colour carries."""
    rng = _generator(field, seed)
    canvases = {colour: np.zeros((EDGE, EDGE), np.uint8) for colour in COLOURS}
    _stamp_cells(canvases, field, list(_laid(field, rng)))
    _stamp_debris(canvases, int(_DEBRIS[field.condition] * rng.uniform(0.3, 1.6)), rng)
    exposures = {colour: _EXPOSURE[colour] * float(rng.lognormal(0, 0.30)) for colour in COLOURS}
    if field.appearance is Appearance.SATURATED:
        exposures = {colour: _OVEREXPOSURE * exposure for colour, exposure in exposures.items()}
    shift = seeds.generator(seed, field.stem)
    for colour, canvas in canvases.items():
        seen = _defocused(canvas) if field.appearance is Appearance.OUT_OF_FOCUS else canvas
        y, x = shift.integers(0, _MARGIN, 2)
        cv2.add(seen, _noise(colour)[y : y + EDGE, x : x + EDGE], dst=canvas)
        cv2.LUT(canvas, _exposed(exposures[colour]), dst=canvas)
    return canvases


def nuclei(field: Field, seed: int, edge: int = EDGE) -> npt.NDArray[np.uint16]:
    """The nuclei that `paint` paints: 0 where there is none, else the number of the cell, from 1; (y, x).

    The lobes of one cell are one nucleus. What another cell covers is left out, as it is in the picture; debris is not
    in it, and a nucleus that is wholly covered or outside has no number.

    Args:
        field: The field.
        seed: The seed of the sandbox.
        edge: Edge length of the labels, a divisor of the painted one.
    """
    labels = np.zeros((EDGE, EDGE), np.uint16)
    for place, cell in enumerate(_laid(field, _generator(field, seed)), start=1):
        stamp = bank(field.condition)[cell.number]
        there, here = _overlap(stamp.body.shape[0], cell.x, cell.y)
        body, drawn = _turned(stamp.body, cell.turn)[here] > 0, _turned(stamp.nuclei, cell.turn)[here] > 0
        labels[there][body] = np.where(drawn[body], place, 0)
    step = EDGE // edge
    present = np.unique(labels[step // 2 :: step, step // 2 :: step], return_inverse=True)[1]
    return present.reshape(edge, edge).astype(np.uint16)


def encode(plane: Plane, colour: str) -> bytes:
    """The plane as a JPEG painted in its colour: 2048 x 2048, 8 bits, three components, 4:2:0."""
    luma, blue_difference, red_difference = _painting(colour)
    half = cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)
    # The colour transform is linear in one plane, so three look-ups replace an RGB image and its conversion.
    jpeg: bytes = simplejpeg.encode_jpeg_yuv_planes(
        cv2.LUT(plane, luma), cv2.LUT(half, blue_difference), cv2.LUT(half, red_difference), quality=QUALITY
    )
    return jpeg


def composite(planes: dict[str, Plane]) -> bytes:
    """The `blue_red_green` overlay: each of the three planes in its own colour, without chroma subsampling.

    That the real composites are 4:4:4 is inferred from how much the archives grew (data reference, section 1.8).
    """
    rgb = cv2.merge([planes["red"], planes["green"], planes["blue"]])
    jpeg: bytes = simplejpeg.encode_jpeg(rgb, quality=QUALITY, colorspace="RGB", colorsubsampling="444")
    return jpeg


def _places(field: Field, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """Which cells lie where (number in the bank, x, y): islands that grow cell by cell, as MDA-MB-468 do."""
    radii = [stamp.radius for stamp in bank(field.condition)]
    low, high = _COUNTS[field.condition]
    wanted = int(rng.integers(0, 2)) if field.appearance is Appearance.NEAR_EMPTY else int(rng.integers(low, high + 1))
    loneliness = rng.uniform(0.05, 0.35)
    placed: list[tuple[int, int, int]] = []
    for _ in range(10 * wanted):
        if len(placed) == wanted:
            break
        number = int(rng.integers(len(radii)))
        if not placed or rng.random() < loneliness:
            x, y = rng.uniform(0, EDGE, 2)
        else:
            neighbour, u, v = placed[rng.integers(len(placed))]
            angle = rng.uniform(0, 2 * np.pi)
            reach = (radii[number] + radii[neighbour]) * _NEARNESS * rng.uniform(1.0, 1.12)
            x, y = u + reach * np.cos(angle), v + reach * np.sin(angle)
        inside = -_OUTSIDE < x < EDGE + _OUTSIDE and -_OUTSIDE < y < EDGE + _OUTSIDE
        if inside and all(
            np.hypot(x - u, y - v) > _NEARNESS * 0.97 * (radii[number] + radii[other]) for other, u, v in placed
        ):
            placed.append((number, int(x), int(y)))
    return placed


@dataclass(frozen=True)
class _Cell:
    """One cell of a field: which of the bank, where its centre is, how it is turned, how bright its layers are."""

    number: int
    x: int
    y: int
    turn: int
    shares: dict[str, float]


def _generator(field: Field, seed: int) -> np.random.Generator:
    # The plane of focus is left out of the name: two planes of one region show the same cells.
    return seeds.generator(seed, field.condition, field.plate, field.well, field.region)


def _laid(field: Field, rng: np.random.Generator) -> Iterator[_Cell]:
    """The cells of a field in the order in which they are laid down."""
    for number, x, y in _places(field, rng):
        # Cells lie at unequal heights and take up unequal amounts of dye.
        height, turn = rng.uniform(0.45, 1.0), int(rng.integers(-1, 3))
        shares = {colour: float(np.sqrt(height * rng.uniform(0.7, 1.0))) for colour in COLOURS}
        yield _Cell(number, x, y, turn, shares)


def _stamp_cells(canvases: dict[str, Plane], field: Field, laid: list[_Cell]) -> None:
    """Lay the cells down in order: the body of a later cell covers what lies under it."""
    mixture = tuple(proteins.mixture(field.antibody.label, field.condition).items())
    green: dict[int, Plane] = {}
    for cell in laid:
        number = cell.number
        stamp = bank(field.condition)[number]
        if number not in green:
            green[number] = _protein(stamp, mixture)
        layers = {**_stains(field.condition, number), "green": green[number]}
        there, here = _overlap(stamp.body.shape[0], cell.x, cell.y)
        body = _turned(stamp.body, cell.turn)[here]
        for colour, layer in layers.items():
            lit = cv2.convertScaleAbs(_turned(layer, cell.turn)[here], alpha=cell.shares[colour])
            cv2.copyTo(lit, body, canvases[colour][there])


@cache
def _stains(condition: Condition, number: int) -> dict[str, Plane]:
    """The layers of a cell that are the same with every antibody, in the square-root scale."""
    stamp = bank(condition)[number]
    return {
        "blue": _looked_up(stamp.nucleus, _roots()),
        "red": _looked_up(stamp.tubulin, _roots()),
        "yellow": _looked_up(stamp.er, _roots()),
    }


def _protein(stamp: Stamp, mixture: tuple[tuple[str, float], ...]) -> Plane:
    """The green layer of a cell: the structures of the mixture, added up."""
    (first, amount), *rest = mixture
    total = cv2.convertScaleAbs(stamp.structures[first], alpha=amount)
    for name, more in rest:
        cv2.addWeighted(total, 1.0, stamp.structures[name], more, 0.0, dst=total)
    return _looked_up(total, _roots())


def _turned(plane: Plane, turn: int) -> Plane:
    """The plane as it is (2), or flipped along one axis (0, 1) or both (-1), as cv2 counts."""
    return plane if turn == _UNTURNED else np.asarray(cv2.flip(plane, turn), np.uint8)


def _overlap(size: int, x: int, y: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a square stamp centred at (x, y) falls on the canvas, and which part of it does."""
    left, top = x - size // 2, y - size // 2
    there = slice(max(top, 0), min(top + size, EDGE)), slice(max(left, 0), min(left + size, EDGE))
    here = slice(there[0].start - top, there[0].stop - top), slice(there[1].start - left, there[1].stop - left)
    return there, here


def _stamp_debris(canvases: dict[str, Plane], count: int, rng: np.random.Generator) -> None:
    """Specks and shreds between the cells: bright in the ER stain, fainter in the others, as in the real images."""
    specks = _specks()
    for _ in range(count):
        speck = specks[rng.integers(len(specks))]
        there, here = _overlap(speck.shape[0], *(int(v) for v in rng.integers(0, EDGE, 2)))
        brightness = rng.uniform(0.1, 1.2) ** 2
        shares = {
            "yellow": 1.0,
            "green": rng.uniform(0, 0.4),
            "red": rng.uniform(0, 0.4),
            "blue": rng.uniform(-0.8, 0.4),
        }
        for colour, share in shares.items():
            if share > 0:
                region = canvases[colour][there]
                lit = cv2.convertScaleAbs(speck[here], alpha=float(np.sqrt(brightness * share)))
                cv2.max(region, lit, dst=region)


@cache
def _specks() -> tuple[Plane, ...]:
    """Small heaps of discs and rings, now and then a thread; in the square-root scale."""
    made = []
    for number in range(24):
        rng = seeds.generator("speck", number)
        plane = np.zeros((80, 80), np.uint8)
        for _ in range(int(rng.integers(1, 7))):
            x, y = (int(v) for v in rng.normal(40, 8, 2))
            cv2.circle(
                plane, (x, y), int(rng.integers(2, 10)), int(rng.integers(120, 255)), int(rng.choice((-1, -1, 3)))
            )
        if number % 8 == 0:
            cv2.ellipse(plane, (40, 40), (30, int(rng.integers(5, 20))), rng.uniform(0, 360), 0, 150, 200, 3)
        made.append(_looked_up(cv2.GaussianBlur(plane, (0, 0), rng.uniform(1.2, 3.5)), _roots()))
    return tuple(made)


def _defocused(canvas: Plane) -> Plane:
    """Blurred by a dozen pixels; at a quarter of the size, where it costs little."""
    small = cv2.resize(canvas, (EDGE // 4, EDGE // 4), interpolation=cv2.INTER_AREA)
    large = cv2.resize(cv2.GaussianBlur(small, (0, 0), 3.0), (EDGE, EDGE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)


def _looked_up(plane: Any, table: Plane) -> Plane:  # noqa: ANN401 - cv2 does not say what it returns
    return np.asarray(cv2.LUT(plane, table), np.uint8)


@cache
def _roots() -> Plane:
    return np.round(_ROOT * np.sqrt(np.arange(256))).astype(np.uint8)


@cache
def _noise(colour: str) -> Plane:
    """Shot noise around `_DARK`, a little larger than a field so that each field can take another cut-out."""
    turned = np.rot90(_grain(), COLOURS.index(colour))
    return np.asarray(np.clip(np.round(_DARK + _NOISE[colour] * turned), 0, 255), np.uint8)


@cache
def _grain() -> npt.NDArray[np.float32]:
    edge = EDGE + _MARGIN
    noise = seeds.generator("noise").standard_normal((edge, edge), dtype=np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 0.5)  # neighbours share light: detector noise is never quite white
    return np.asarray(blurred / blurred.std(), np.float32)


def _exposed(exposure: float) -> Plane:
    """From the square-root scale back to grey levels. One level is taken off: the real background is truly black."""
    level = np.maximum(np.arange(256) - _DARK, 0) / _ROOT
    return np.clip(np.round(exposure * level**2 - 0.5), 0, 255).astype(np.uint8)


@cache
def _painting(colour: str) -> tuple[Plane, Plane, Plane]:
    """Luma and colour differences of a grey level painted in a colour (JFIF, ITU-R BT.601)."""
    red, green, blue = _RGB[colour]
    level = np.arange(256, dtype=np.float64)
    luma = (0.299 * red + 0.587 * green + 0.114 * blue) * level
    blue_difference = 128 + (-0.168736 * red - 0.331264 * green + 0.5 * blue) * level
    red_difference = 128 + (0.5 * red - 0.418688 * green - 0.081312 * blue) * level
    made = [np.clip(np.round(part), 0, 255).astype(np.uint8) for part in (luma, blue_difference, red_difference)]
    return made[0], made[1], made[2]
