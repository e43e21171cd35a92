"""How many pixels of a plane have each grey level.

Belongs here: that loop, which numba compiles, as in `averaging`. It takes eight pixels from memory at once. Six in ten
pixels of a published image are 0 and stand side by side: eight of those are one addition. Others are counted in four
histograms in turn: one level often follows itself, and to wait for its counter costs as much as a cache miss. OpenCV
takes four times as long. Does not belong here: what the counts say (`quality`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

from cm4ai_assets.compiling import machine_code
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.images.averaging import Plane

LEVELS: Final = 256
_AT_ONCE: Final = 8

Histogram: TypeAlias = "npt.NDArray[np.uint32]"


def histogram(plane: Plane) -> Histogram:
    """How many pixels have each of the 256 grey levels.

    Args:
        plane: Of fewer than 2^32 pixels.
    """
    pixels = np.ascontiguousarray(plane).reshape(-1)
    whole = len(pixels) - len(pixels) % _AT_ONCE
    counts: Histogram = compiled()(pixels[:whole].view(np.uint64))
    if whole < len(pixels):
        counts += np.bincount(pixels[whole:], minlength=LEVELS).astype(np.uint32)
    return counts


@cache
def compiled() -> Callable[[npt.NDArray[np.uint64]], Histogram]:
    """The loop as machine code; it takes a second the first time on a machine."""
    loop: Callable[[npt.NDArray[np.uint64]], Histogram] = machine_code(_counts)
    loop(np.zeros(1, np.uint64))
    return loop


def _counts(words: npt.NDArray[np.uint64]) -> Histogram:  # pragma: no cover - compiled
    counts = np.zeros((4, LEVELS), np.uint32)
    black = 0
    for word in words:
        if word == 0:
            black += _AT_ONCE
            continue
        counts[0, word & 255] += 1
        counts[1, (word >> 8) & 255] += 1
        counts[2, (word >> 16) & 255] += 1
        counts[3, (word >> 24) & 255] += 1
        counts[0, (word >> 32) & 255] += 1
        counts[1, (word >> 40) & 255] += 1
        counts[2, (word >> 48) & 255] += 1
        counts[3, word >> 56] += 1
    total = np.zeros(LEVELS, np.uint32)
    for level in range(LEVELS):
        total[level] = counts[0, level] + counts[1, level] + counts[2, level] + counts[3, level]
    total[0] += black
    return total
