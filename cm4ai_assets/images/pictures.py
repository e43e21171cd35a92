"""Small pictures of fields and of their intensities, for the UI and for reports.

Belongs here: drawing. Does not belong here: choosing what to show, or how it gets into a page (`defs.pages`).

A picture may be stored in the event log, so each is kept below 30 kB, by encoding it anew until it fits. Contrast is
stretched for the eye in every tile by itself: brightness cannot be compared between tiles, which is what the intensity
plot is for.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from cm4ai_assets.images.colour import full_level
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.images.quality import LEVELS, percentile
from cm4ai_assets.storage.tensors import Pixels

LIMIT: Final = 30_000
SHEET_MIME: Final = "image/webp"
PLOT_MIME: Final = "image/png"

_QUALITIES: Final = (80, 70, 60, 45, 30, 15, 5)
# The 99.9th percentile becomes white, unless the image is so dark that this would show its noise.
_DARKEST_WHITE: Final = 32

_COLOURS: Final = {"red": "#d62728", "green": "#2a9d3a", "blue": "#2a5fd0", "yellow": "#c79a00"}
_MARKERS: Final = {"red": "microtubules", "green": "protein of interest", "blue": "nucleus", "yellow": "ER"}
_INK, _GRID, _PAPER = "#333333", "#e3e3e3", "#ffffff"
_DECADES: Final = 6
_SUPERSAMPLING: Final = 2
_SHADES: Final = (8, 4, 2, 1)

_RGB = NDArray[np.uint8]
Counts = NDArray[np.uint32] | NDArray[np.uint64]


def evenly(rows: int, count: int) -> list[int]:
    """As many row numbers as asked for, spread over the whole; all of them if there are no more."""
    if count >= rows:
        return list(range(rows))
    return [round(step * (rows - 1) / max(count - 1, 1)) for step in range(count)]


def overlay(planes: Pixels, edge: int) -> _RGB:
    """Microtubules, protein and nucleus as red, green and blue, each stretched; the ER is left out, as in HPA overlays.

    Args:
        planes: (channel, y, x).
        edge: Edge length of the picture.
    """
    small = [cv2.resize(plane, (edge, edge), interpolation=cv2.INTER_AREA) for plane in planes[:3]]
    return np.dstack([_stretched(np.asarray(plane, np.uint8)) for plane in small])


def thumbnail(planes: Pixels, *, edge: int = 256) -> bytes:
    """One field as a WebP picture: see `overlay`."""
    return _webp(Image.fromarray(overlay(planes, edge)))


def contact_sheet(fields: Iterable[tuple[str, Pixels]], *, columns: int = 6, edge: int = 128) -> bytes:
    """Fields side by side, each with its label, as a WebP picture.

    Args:
        fields: Labels and planes; taken one by one, so that a generator keeps one field in memory.
        columns: Tiles in a row.
        edge: Edge length of a tile.
    """
    tiles = [_tile(label, overlay(planes, edge), edge) for label, planes in fields]
    if not tiles:
        tiles = [_tile("no field to show", np.zeros((edge, edge, 3), np.uint8), edge)]
    gap, (width, height) = 4, tiles[0].size
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), _PAPER)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (column * (width + gap), row * (height + gap)))
    return _webp(sheet)


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


def _stretched(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    counts = np.bincount(plane.ravel(), minlength=LEVELS)
    white = max(percentile(np.cumsum(counts), 999), _DARKEST_WHITE)
    return np.asarray(np.minimum(plane.astype(np.uint16) * 255 // white, 255), np.uint8)


def _tile(label: str, picture: _RGB, edge: int) -> Image.Image:
    strip = 16
    tile = Image.new("RGB", (edge, edge + strip), _PAPER)
    tile.paste(Image.fromarray(picture), (0, 0))
    text = "".join(char if char.isascii() and char.isprintable() else "?" for char in label)
    font = ImageFont.load_default(size=11)
    while text and font.getlength(text) > edge:
        text = text[:-1]
    ImageDraw.Draw(tile).text((edge / 2, edge + strip / 2), text, fill=_INK, font=font, anchor="mm")
    return tile


def _webp(picture: Image.Image) -> bytes:
    """The picture at the best quality that fits; smaller ones if none does."""
    while True:
        for quality in _QUALITIES:
            target = io.BytesIO()
            picture.save(target, "WEBP", quality=quality, method=4)
            if target.tell() <= LIMIT:
                return target.getvalue()
        picture = picture.reduce(2)


def _described(counts: Counts, channel: str) -> str:
    cumulative = np.cumsum(counts, dtype=np.int64)
    if not cumulative[-1]:
        return "no pixels"
    median, high = percentile(cumulative, 500), percentile(cumulative, 990)
    saturated = int(counts[full_level(channel) :].sum(dtype=np.int64))
    return f"median {median}, 99 % up to {high}, {100 * saturated / int(cumulative[-1]):.2f} % saturated"


def _palette(shades: int) -> Image.Image:
    """Every colour of a plot, mixed with the paper in equal steps."""
    paper = np.array(ImageColor.getrgb(_PAPER))
    colours = [np.array(ImageColor.getrgb(colour)) for colour in (*_COLOURS.values(), _INK, _GRID)]
    mixed = [paper, *(paper + (colour - paper) * step // shades for colour in colours for step in range(1, shades + 1))]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate(mixed).astype(np.uint8).tobytes())
    return palette


class _Canvas:
    """A plot of shares of pixels, on a logarithmic scale, over grey levels. Drawn large and scaled down."""

    def __init__(self, *, width: int, height: int) -> None:
        self._size = (width, height)
        self._left, self._top, self._right, self._bottom = 74, 30, width - 14, height - 46
        self._image = Image.new("RGB", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(size=12 * _SUPERSAMPLING)

    def axes(self, title: str) -> None:
        """Grid, ticks, labels, title."""
        for decade in range(0, _DECADES + 1, 2):
            y = self._y(10.0**-decade)
            self._line([(self._left, y), (self._right, y)], _GRID, 1)
            self._text((self._left - 6, y), f"{100 / 10**decade:g} %", "rm")
        for level in (0, 50, 100, 150, 200, 255):
            x = self._x(level)
            self._line([(x, self._top), (x, self._bottom)], _GRID, 1)
            self._text((x, self._bottom + 12), str(level), "mm")
        self._line([(self._left, self._top), (self._left, self._bottom), (self._right, self._bottom)], _INK, 1)
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
        """The finished picture, in the colours that it was drawn with and as many shades of them as fit."""
        picture = self._image.resize(self._size, Image.Resampling.BOX)
        for shades in _SHADES:
            target = io.BytesIO()
            picture.quantize(palette=_palette(shades), dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
            if target.tell() <= LIMIT:
                break
        return target.getvalue()

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
        self._draw.text(scaled, text, fill=_INK, font=self._font, anchor=anchor)
