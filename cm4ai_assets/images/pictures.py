"""Small pictures of fields and of their intensities, for the UI and for reports.

Belongs here: drawing. Does not belong here: choosing what to show, how it gets into a page (`defs.pages`), or what all
pictures share (`drawing`).

Contrast is stretched for the eye in every tile by itself. Brightness cannot be compared between tiles; the intensity
plot is for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from cm4ai_assets.drawing import GRID, INK, LABEL, LIMIT, PAPER, centred, font, png, shortened, webp
from cm4ai_assets.heavy import Image, ImageDraw, cv2, np, npt
from cm4ai_assets.images.colour import PAINTED_PLANES, full_level
from cm4ai_assets.images.counting import LEVELS
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.images.quality import percentile
from cm4ai_assets.storage.tensors import Pixels

# The 99.9th percentile becomes white, unless the image is so dark that this would show its noise.
_DARKEST_WHITE: Final = 32

_COLOURS: Final = {"red": "#d62728", "green": "#2a9d3a", "blue": "#2a5fd0", "yellow": "#c79a00"}
_MARKERS: Final = {"red": "microtubules", "green": "protein of interest", "blue": "nucleus", "yellow": "ER"}
_DECADES: Final = 6
_SUPERSAMPLING: Final = 2
_TILE_LABEL: Final = 11

OVERLAID: Final = 3
"""The first so many channels are what an overlay shows."""

_RGB: TypeAlias = "npt.NDArray[np.uint8]"
Counts: TypeAlias = "npt.NDArray[np.uint32] | npt.NDArray[np.uint64]"


def evenly(rows: int, count: int) -> list[int]:
    """As many row numbers as asked for, spread over the whole; all of them if there are no more."""
    if count >= rows:
        return list(range(rows))
    return [round(step * (rows - 1) / max(count - 1, 1)) for step in range(count)]


def overlay(planes: Pixels, edge: int) -> _RGB:
    """Microtubules, protein and nucleus as red, green and blue, each stretched; the ER is left out, as in HPA overlays.

    Args:
        planes: (channel, y, x), the first `OVERLAID` at least.
        edge: Edge length of the picture.
    """
    small = [cv2.resize(plane, (edge, edge), interpolation=cv2.INTER_AREA) for plane in planes[:OVERLAID]]
    return np.dstack([stretched(np.asarray(plane, np.uint8)) for plane in small])


def thumbnail(planes: Pixels, *, edge: int = 256) -> bytes:
    """One field as a WebP picture: see `overlay`."""
    return webp(Image.fromarray(overlay(planes, edge)))


def contact_sheet(
    fields: Iterable[tuple[str, Pixels]], *, columns: int = 6, edge: int = 128, limit: int = LIMIT
) -> bytes:
    """Fields side by side, each with its label, as a WebP picture.

    Args:
        fields: Labels and planes; taken one by one, so that a generator keeps one field in memory.
        columns: Tiles in a row.
        edge: Edge length of a tile.
        limit: Bytes that the picture may have.
    """
    tiles = [tile(label, overlay(planes, edge), edge) for label, planes in fields]
    return webp(sheet(tiles, columns, edge), limit=limit)


def channel_sheet(fields: Iterable[tuple[str, Pixels]], *, edge: int = 128, limit: int = LIMIT) -> bytes:
    """See `channel_picture`; as a WebP picture."""
    return webp(channel_picture(fields, edge=edge), limit=limit)


def channel_picture(fields: Iterable[tuple[str, Pixels]], *, edge: int) -> Image.Image:
    """A field in each row: its four channels in tensor order, each in its colour, and the overlay.

    Args:
        fields: Labels and planes; taken one by one.
        edge: Edge length of a tile.
    """
    tiles = []
    for label, planes in fields:
        for channel, plane in zip(PLANES, planes, strict=True):
            small = np.asarray(cv2.resize(plane, (edge, edge), interpolation=cv2.INTER_AREA), np.uint8)
            tiles.append(tile(f"{label} {channel}", _painted(stretched(small), channel), edge))
        tiles.append(tile(label, overlay(planes, edge), edge))
    return sheet(tiles, len(PLANES) + 1, edge)


def intensity_plot(histograms: Mapping[str, Counts], *, title: str = "Intensities") -> bytes:
    """How often each grey level occurs, one line per channel, as a PNG picture.

    Args:
        histograms: Channel to counts of the 256 grey levels; sums over many images are as good as one.
        title: What is shown, e.g. `paclitaxel, 4,421 fields`.
    """
    canvas = _Canvas(width=720, height=300)
    canvas.axes(title)
    for line, (channel, counts) in enumerate((name, histograms[name]) for name in PLANES if name in histograms):
        canvas.curve(counts, _COLOURS[channel])
        canvas.legend(line, _COLOURS[channel], f"{channel}: {_MARKERS[channel]}", _described(counts, channel))
    return canvas.png()


def _painted(plane: npt.NDArray[np.uint8], channel: str) -> _RGB:
    painted = np.zeros((*plane.shape, 3), np.uint8)
    painted[:, :, list(PAINTED_PLANES[channel])] = plane[:, :, None]
    return painted


def sheet(tiles: list[Image.Image], columns: int, edge: int) -> Image.Image:
    """Tiles (`tile`) side by side, in rows of so many."""
    tiles = tiles or [tile("no field to show", np.zeros((edge, edge, 3), np.uint8), edge)]
    gap, (width, height) = 4, tiles[0].size
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    whole = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), PAPER)
    for number, each in enumerate(tiles):
        row, column = divmod(number, columns)
        whole.paste(each, (column * (width + gap), row * (height + gap)))
    return whole


def stretched(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A plane with its 99.9th percentile at white; one that is nearly black stays dark."""
    counts = np.bincount(plane.ravel(), minlength=LEVELS)
    white = max(percentile(np.cumsum(counts), 999), _DARKEST_WHITE)
    return np.asarray(np.minimum(plane.astype(np.uint16) * 255 // white, 255), np.uint8)


def tile(label: str, picture: _RGB, edge: int) -> Image.Image:
    """A picture with its label below it. What a font might not have is a question mark."""
    strip = 16
    framed = Image.new("RGB", (edge, edge + strip), PAPER)
    framed.paste(Image.fromarray(picture), (0, 0))
    text = "".join(char if char.isascii() and char.isprintable() else "?" for char in label)
    text = shortened(text, edge, size=_TILE_LABEL)
    centred(ImageDraw.Draw(framed), (edge / 2, edge + strip / 2), text, size=_TILE_LABEL)
    return framed


def _described(counts: Counts, channel: str) -> str:
    cumulative = np.cumsum(counts, dtype=np.int64)
    if not cumulative[-1]:
        return "no pixels"
    median, high = percentile(cumulative, 500), percentile(cumulative, 990)
    saturated = int(counts[full_level(channel) :].sum(dtype=np.int64))
    return f"median {median}, 99 % up to {high}, {100 * saturated / int(cumulative[-1]):.2f} % saturated"


class _Canvas:
    """A plot of shares of pixels, on a logarithmic scale, over grey levels. Drawn large and scaled down."""

    def __init__(self, *, width: int, height: int) -> None:
        self._size = (width, height)
        self._left, self._top, self._right, self._bottom = 74, 30, width - 14, height - 46
        self._image = Image.new("RGB", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._font = font(LABEL * _SUPERSAMPLING)

    def axes(self, title: str) -> None:
        """Grid, ticks, labels, title."""
        for decade in range(0, _DECADES + 1, 2):
            y = self._y(10.0**-decade)
            self._line([(self._left, y), (self._right, y)], GRID, 1)
            self._text((self._left - 6, y), f"{100 / 10**decade:g} %", "rm")
        for level in (0, 50, 100, 150, 200, 255):
            x = self._x(level)
            self._line([(x, self._top), (x, self._bottom)], GRID, 1)
            self._text((x, self._bottom + 12), str(level), "mm")
        self._line([(self._left, self._top), (self._left, self._bottom), (self._right, self._bottom)], INK, 1)
        self._text(((self._left + self._right) / 2, self._bottom + 32), "grey level", "mm")
        self._text((6, 14), "share of pixels", "lm")
        self._text(((self._left + self._right) / 2, 14), title, "mm")

    def curve(self, counts: Counts, colour: str) -> None:
        """One channel."""
        total = max(int(counts.sum(dtype=np.int64)), 1)
        points = [(self._x(level), self._y(int(count) / total)) for level, count in enumerate(counts)]
        self._line(points, colour, 2)

    def legend(self, line: int, colour: str, name: str, description: str) -> None:
        """One channel's name and numbers, at the upper right."""
        y = self._top + 14 + 17 * line
        self._line([(self._right - 400, y), (self._right - 382, y)], colour, 4)
        self._text((self._right - 376, y), name, "lm")
        self._text((self._right - 4, y), description, "rm")

    def png(self) -> bytes:
        """The finished picture."""
        return png(self._image.resize(self._size, Image.Resampling.BOX))

    def _x(self, level: float) -> float:
        return self._left + (self._right - self._left) * level / (LEVELS - 1)

    def _y(self, share: float) -> float:
        decades = -math.log10(share) if share > 0 else math.inf
        return self._top + (self._bottom - self._top) * min(decades, _DECADES) / _DECADES

    def _line(self, points: Sequence[tuple[float, float]], colour: str, width: int) -> None:
        scaled = [(x * _SUPERSAMPLING, y * _SUPERSAMPLING) for x, y in points]
        self._draw.line(scaled, fill=colour, width=width * _SUPERSAMPLING, joint="curve")

    def _text(self, place: tuple[float, float], text: str, anchor: str) -> None:
        scaled = (place[0] * _SUPERSAMPLING, place[1] * _SUPERSAMPLING)
        self._draw.text(scaled, text, fill=INK, font=self._font, anchor=anchor)
