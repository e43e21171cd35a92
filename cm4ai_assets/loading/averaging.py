"""Planes at a smaller edge length, in the thread that decoded them.

Belongs here: the loop. The rule that it follows is `images.decode.area_average`, pixel for pixel: each mean of a square
of pixels is exact, and halves are rounded to even. OpenCV takes three to five times as long for it, because of that
rounding; and it starts threads of its own, where every core has one already. numba compiles the loop, as in
`perturbseq.kernel`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np

from cm4ai_assets.images.decode import area_average
from cm4ai_assets.storage.tensors import Pixels

LARGEST_FACTOR: Final = 257
"""16 bits hold the sum of so many pixels."""


def average_into(plane: Pixels, out: Pixels) -> None:
    """The plane, averaged, into `out`.

    Args:
        plane: (y, x), square.
        out: Of an edge length that divides the plane's.
    """
    factor = plane.shape[0] // out.shape[0]
    if factor > LARGEST_FACTOR:
        np.copyto(out, area_average(plane, out.shape[0]))
    else:
        compiled()(plane, out, factor)


@cache
def compiled() -> Callable[[Pixels, Pixels, int], None]:
    """The loop as machine code; it takes some seconds the first time in a process."""
    import numba  # noqa: PLC0415 - slow to import

    loop: Callable[[Pixels, Pixels, int], None] = numba.njit(nogil=True)(_average)
    loop(np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), 2)
    return loop


def _average(  # pragma: no cover - compiled # noqa: C901 - a loop that numba compiles whole
    plane: Pixels, out: Pixels, factor: int
) -> None:
    pixels = factor * factor
    # Of 16 bits, so that the loops become vector instructions.
    sums = np.empty(plane.shape[1], np.uint16)
    for y in range(out.shape[0]):
        for x in range(len(sums)):
            sums[x] = plane[y * factor, x]
        for row in range(1, factor):
            for x in range(len(sums)):
                sums[x] += plane[y * factor + row, x]
        # Half to even: what is added is just less than a half, or a half where the quotient is odd.
        if factor == 2:  # noqa: PLR2004
            for x in range(out.shape[1]):
                two = np.uint16(sums[2 * x] + sums[2 * x + 1])
                out[y, x] = (two + np.uint16(1) + ((two >> np.uint16(2)) & np.uint16(1))) >> np.uint16(2)
        elif factor == 4:  # noqa: PLR2004
            for x in range(out.shape[1]):
                four = np.uint16(sums[4 * x] + sums[4 * x + 1] + sums[4 * x + 2] + sums[4 * x + 3])
                out[y, x] = (four + np.uint16(7) + ((four >> np.uint16(4)) & np.uint16(1))) >> np.uint16(4)
        else:
            for x in range(out.shape[1]):
                total = 0
                for column in range(factor):
                    total += sums[factor * x + column]
                quotient, rest = total // pixels, total % pixels
                odd_half = 2 * rest == pixels and quotient % 2 == 1
                out[y, x] = quotient + 1 if 2 * rest > pixels or odd_half else quotient
