"""Small pictures of nuclei: fields with outlines, single cells, how large and how many, and where on the plates.

Belongs here: drawing. Does not belong here: choosing what to show, how it gets into a page, or what all pictures share
(`drawing`, `images.pictures`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from cm4ai_assets.drawing import FAINT, GRID, INK, LIMIT, PAPER, centred, font, message, png, shortened, webp
from cm4ai_assets.heavy import Image, ImageDraw, cv2, np, npt
from cm4ai_assets.images.decode import Plane
from cm4ai_assets.images.pictures import overlay, sheet, stretched, tile
from cm4ai_assets.storage.nuclei import Labels
from cm4ai_assets.storage.tensors import Pixels

SOUND, DOUBTFUL = (60, 220, 90), (255, 150, 0)
_BAR: Final = "#2a5fd0"
_ROWS, _COLUMNS = "ABCDEFGH", range(1, 13)
_DARK: Final = 0.55
_BINS: Final = 40

_RGB: TypeAlias = "npt.NDArray[np.uint8]"


def outlined(blue: Pixels, labels: Labels, plausible: Collection[int], edge: int) -> _RGB:
    """The blue plane with its nuclei outlined: green if plausible, else orange.

    Args:
        blue: (y, x).
        labels: The nuclei, of the same shape.
        plausible: Numbers of the plausible ones.
        edge: Edge length of the picture.
    """
    small = np.asarray(cv2.resize(blue, (edge, edge), interpolation=cv2.INTER_AREA), np.uint8)
    # The square root shows dim nuclei beside bright ones.
    grey = np.asarray(np.sqrt(stretched(small) * 255.0), np.uint8)
    picture = np.ascontiguousarray(np.dstack([grey] * 3))
    reduced = np.asarray(cv2.resize(labels, (edge, edge), interpolation=cv2.INTER_NEAREST), np.uint16)
    for number in np.unique(reduced[reduced > 0]).tolist():
        outlines, _ = cv2.findContours((reduced == number).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, SOUND if number in plausible else DOUBTFUL, 1)
    return np.asarray(picture, np.uint8)


def outline_sheet(
    fields: Iterable[tuple[str, Plane, Labels, Collection[int]]],
    *,
    columns: int = 3,
    edge: int = 240,
    limit: int = LIMIT,
) -> bytes:
    """Fields side by side with the outlines of their nuclei, as a WebP picture.

    Args:
        fields: Label, the stain of nuclei (y, x), nuclei and the numbers of the plausible ones; taken one by one.
        columns: Tiles in a row.
        edge: Edge length of a tile.
        limit: Bytes that the picture may have.
    """
    tiles = [tile(label, outlined(blue, labels, plausible, edge), edge) for label, blue, labels, plausible in fields]
    return webp(sheet(tiles, columns, edge), limit=limit)


def cell_sheet(
    cells: Iterable[tuple[str, Pixels, npt.NDArray[np.bool_]]], *, columns: int = 8, edge: int = 88
) -> bytes:
    """Single cells side by side, each an overlay of its crop with the outline of its nucleus, as a WebP picture.

    Args:
        cells: Label, crop (channel, y, x) and mask of the nucleus; taken one by one.
        columns: Tiles in a row.
        edge: Edge length of a tile.
    """
    tiles = []
    for label, crop, mask in cells:
        picture = np.ascontiguousarray(overlay(crop, edge))
        small = cv2.resize(mask.astype(np.uint8), (edge, edge), interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(np.asarray(small, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, (255, 255, 255), 1)
        tiles.append(tile(label, picture, edge))
    return webp(sheet(tiles, columns, edge))


def histogram(values: Sequence[float], caption: str, *, width: int = 420, height: int = 200) -> bytes:
    """How many values lie in each of some forty equal steps, as a PNG picture.

    Args:
        values: What is counted; at least 0.
        caption: What the values are.
        width: Of the picture.
        height: Likewise.
    """
    if not len(values):
        return message(f"{caption}: none.")
    last = max(float(np.percentile(values, 99.5)), 1.0)
    decade = 10.0 ** np.floor(np.log10(max(last / _BINS, 1.0)))
    step = next(decade * factor for factor in (1, 2, 5, 10) if decade * factor * _BINS >= last)
    capped = np.minimum(np.asarray(values, np.float64), step * _BINS - 1e-9)
    counts = np.bincount((capped / step).astype(int), minlength=int(capped.max() / step) + 1)
    canvas = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    left, top, right, foot = 56, 12, width - 14, height - 46
    room = (right - left) / len(counts)
    for share in (0.0, 0.5, 1.0):
        y = foot - (foot - top) * share
        draw.line([(left, y), (right, y)], fill=GRID)
        draw.text((left - 6, y), f"{counts.max() * share:,.0f}", fill=INK, font=font(11), anchor="rm")
    for number, count in enumerate(counts.tolist()):
        box = (left + room * number, foot - (foot - top) * count / counts.max(), left + room * (number + 0.9), foot)
        draw.rectangle(box, fill=_BAR)
    for number in range(0, len(counts) + 1, 5 if len(counts) >= 10 else 1):  # noqa: PLR2004 - what has room
        centred(draw, (left + room * number, foot + 11), f"{step * number:,.0f}", size=11)
    centred(draw, ((left + right) / 2, height - 14), caption, FAINT)
    return png(canvas)


def plate_map(values: Mapping[tuple[str, str, int], float], caption: str, *, cell: int = 24) -> bytes:
    """A number in each well of each plate, the plates side by side, as a PNG picture. Grey where there is none.

    Args:
        values: By plate, row letter and column number.
        caption: What the numbers are.
        cell: Edge length of a well.
    """
    plates = sorted({plate for plate, _, _ in values})
    if not plates:
        return message(f"{caption}: none.")
    across = min(3, len(plates))
    width, height = 30 + cell * len(_COLUMNS), 52 + cell * len(_ROWS)
    down = -(-len(plates) // across)
    canvas = Image.new("RGB", (across * width + 8, down * height + 24), PAPER)
    draw = ImageDraw.Draw(canvas)
    most = max(values.values()) or 1.0
    for number, plate in enumerate(plates):
        corner = (number % across * width, number // across * height)
        centred(draw, (corner[0] + 22 + cell * len(_COLUMNS) / 2, corner[1] + 12), shortened(plate, width))
        wells = {(row, column): value for (name, row, column), value in values.items() if name == plate}
        _plate(draw, (corner[0] + 22, corner[1] + 38), wells, most, cell)
    centred(draw, (canvas.width / 2, canvas.height - 12), f"{caption}; at most {most:,.0f}", FAINT)
    return png(canvas)


def _plate(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    wells: Mapping[tuple[str, int], float],
    most: float,
    cell: int,
) -> None:
    left, top = corner
    for column in _COLUMNS:
        centred(draw, (left + cell * (column - 0.5), top - 9), str(column), size=10)
    for row, letter in enumerate(_ROWS):
        centred(draw, (left - 10, top + cell * (row + 0.5)), letter, size=10)
        for column in _COLUMNS:
            box = (left + cell * (column - 1), top + cell * row, left + cell * column - 2, top + cell * (row + 1) - 2)
            _well(draw, box, wells.get((letter, column)), most)


def _well(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], value: float | None, most: float) -> None:
    if value is None:
        draw.rectangle(box, fill=GRID)
        return
    share = value / most
    draw.rectangle(box, fill=tuple(round(255 + (end - 255) * share) for end in (0x2A, 0x5F, 0xD0)), outline=GRID)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    centred(draw, middle, f"{value:.0f}", PAPER if share > _DARK else INK, size=9)
