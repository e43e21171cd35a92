"""The display colour that a published image is painted in: which channel it shows, and how bright it can get.

Belongs here: what the three planes of an RGB image say about its channel, and what JPEG's colour transform makes of a
channel's full intensity. Does not belong here: decoding (`decode`), or what a wrong colour means (`pixels`, `audit`).

Each published file is painted: red in R, green in G, blue in B, yellow in R and G alike. So the decoded pixels tell
which channel a file shows, whatever its name says. Grey files (some of 2024 are) tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cm4ai_assets.heavy import cv2, np, npt
from cm4ai_assets.tables.images import CHANNELS, GREY, MIXED

# In tensor order, which is the HPA order; yellow is painted as red and green alike.
PAINTED_PLANES: Final = {"red": (0,), "green": (1,), "blue": (2,), "yellow": (0, 1)}

# Below this level colour is not evidence: JPEG rounds the chroma of a dark square to grey, or to a neighbouring hue.
DARK: Final = 12
# What the strongest plane must hold above that level, summed over the pixels: some twenty pixels of a dim cell.
_EVIDENCE: Final = 1000
# Colour that leaks into other planes stays below 0.3 of the painted one on published images, and yellow's two planes
# differ by 0.03. Planes that differ by less than a quarter are grey.
_PAINTED: Final = 0.5
_COLOURED: Final = 0.25
# Rows that are looked at first, and how many times as many where these are dark.
_SAMPLED_ROWS: Final = 16
_MORE: Final = 16
_ROWS_AT_ONCE: Final = 32


def colour_of(rgb: npt.NDArray[np.uint8]) -> str | None:
    """The channel in whose colour an image is painted, `grey` or `mixed`; None if it is too dark to tell.

    A sample of its rows answers for nearly every image. Where these are dark, more are looked at, and at last all.

    Args:
        rgb: (y, x, 3).
    """
    for step in (rgb.shape[0] // _SAMPLED_ROWS, rgb.shape[0] // (_SAMPLED_ROWS * _MORE), 1):
        rows = rgb[step // 2 :: max(step, 1)]
        parts = [_bright_sums(rows[first : first + _ROWS_AT_ONCE]) for first in range(0, len(rows), _ROWS_AT_ONCE)]
        found = colour_of_sums([sum(plane) for plane in zip(*parts, strict=True)])
        if found is not None:
            return found
    return None


def _bright_sums(rows: npt.NDArray[np.uint8]) -> list[float]:
    """What each plane of some rows holds above `DARK`."""
    means = cv2.mean(np.maximum(rows, DARK))[:3]
    return [(mean - DARK) * rows.shape[0] * rows.shape[1] for mean in means]


def colour_of_sums(sums: Sequence[float]) -> str | None:
    """The colour of an image, from what its three planes hold above `DARK`, each summed over the pixels."""
    low, high = min(sums), max(sums)
    if high < _EVIDENCE:
        return None
    if high - low < _COLOURED * high:
        return GREY
    painted = tuple(plane for plane, held in enumerate(sums) if held - low >= _PAINTED * (high - low))
    return next((channel for channel in CHANNELS if PAINTED_PLANES[channel] == painted), MIXED)


def contradicts(colour: str | None, channel: str) -> bool:
    """Whether an image of this colour cannot show the channel. Grey and darkness contradict nothing."""
    return colour not in (None, GREY, channel)


def full_level(channel: str) -> int:
    """The level that a channel painted at 255 decodes to: 254 in red and blue, 255 in green and yellow.

    JPEG stores Y, Cb and Cr as whole numbers up to 255. Pure red would need a Cr of 255.5, pure blue such a Cb; cut to
    255 they decode to 254 (JFIF 1.02, the conversion to and from RGB).
    """
    red, green, blue = (255.0 if plane in PAINTED_PLANES[channel] else 0.0 for plane in range(3))
    exact = 0.299 * red + 0.587 * green + 0.114 * blue
    luma = _whole(exact)
    to_blue, to_red = _whole(128 + (blue - exact) / 1.772) - 128, _whole(128 + (red - exact) / 1.402) - 128
    decoded = (luma + 1.402 * to_red, luma - 0.344136 * to_blue - 0.714136 * to_red, luma + 1.772 * to_blue)
    return _whole(decoded[PAINTED_PLANES[channel][0]])


def _whole(value: float) -> int:
    """As a byte holds it."""
    return min(max(round(value), 0), 255)
