"""What all small pictures share: colours, text, and files that stay below 30 kB.

Belongs here: Pillow's primitives as charts, graphs and contact sheets use them. Does not belong here: what is drawn
(the `pictures` of each subject), or how it gets into a page (`defs.pages`).

A picture may be stored in the event log, so each is encoded anew, with fewer colours or at less quality, until it fits.
Where it is not, a page may allow a photograph more.
Why not a plotting library: docs/decisions/0009.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Final

from cm4ai_assets.heavy import Image, ImageDraw, ImageFont

LIMIT: Final = 30_000
PNG: Final = "image/png"
WEBP: Final = "image/webp"

INK, FAINT, GRID, PAPER = "#333333", "#777777", "#e3e3e3", "#ffffff"
LABEL: Final = 12
"""Font size of most texts."""

_PALETTES: Final = (128, 64, 32, 16)
# Each quality with the bytes that a photograph of cells takes at it, where the one tried first takes 1.
_QUALITIES: Final = {80: 1.65, 70: 1.31, 60: 1.19, 45: 1.0, 30: 0.79, 15: 0.58, 5: 0.42}
_TRIED_FIRST: Final = 45


def font(size: float = LABEL) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of every picture. It comes with Pillow, so that pictures are the same on every machine."""
    return ImageFont.load_default(size=size)


def centred(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, ink: str = INK, *, size: float = LABEL
) -> None:
    """A line of text around a point."""
    draw.text(at, text, fill=ink, font=font(size), anchor="mm")


def shortened(text: str, width: float, *, size: float = LABEL) -> str:
    """As much of the text as fits into a width in pixels."""
    while text and font(size).getlength(text) > width:
        text = text[:-1]
    return text


def message(text: str) -> bytes:
    """A picture that says why there is nothing to see, as PNG."""
    canvas = Image.new("RGB", (320, 60), PAPER)
    centred(ImageDraw.Draw(canvas), (160, 30), text, FAINT)
    return png(canvas)


def png(canvas: Image.Image) -> bytes:
    """A drawing as PNG, with as many colours as fit; a smaller one if none does."""
    while True:
        for colours in _PALETTES:
            target = io.BytesIO()
            canvas.quantize(colours, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
            if target.tell() <= LIMIT:
                return target.getvalue()
        canvas = canvas.reduce(2)


def webp(picture: Image.Image, *, limit: int = LIMIT) -> bytes:
    """A photograph as WebP, at the best quality that fits into so many bytes; a smaller one if none does."""
    while (data := webp_unscaled(picture, limit=limit)) is None:
        picture = picture.reduce(2)
    return data


def webp_unscaled(picture: Image.Image, *, least_quality: int = 0, limit: int = LIMIT) -> bytes | None:
    """A photograph as WebP, at the best quality that fits; None if that is below the least that is asked for.

    An encoding takes up to a tenth of a second. So from the size of one the quality that fits is foreseen, and only
    that one and the next better one are tried; less quality never takes more bytes.
    """

    @cache
    def encoded(quality: int) -> bytes:
        target = io.BytesIO()
        picture.save(target, "WEBP", quality=quality, method=4)
        return target.getvalue()

    qualities = list(_QUALITIES)
    foreseen = limit / len(encoded(_TRIED_FIRST))
    at = next((place for place, share in enumerate(_QUALITIES.values()) if share <= foreseen), len(qualities) - 1)
    while at < len(qualities) and len(encoded(qualities[at])) > limit:
        at += 1
    if at == len(qualities):
        return None
    while at > 0 and len(encoded(qualities[at - 1])) <= limit:
        at -= 1
    return encoded(qualities[at]) if qualities[at] >= least_quality else None
