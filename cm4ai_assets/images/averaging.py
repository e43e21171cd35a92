"""Planes at a smaller edge length: each pixel the mean of the square of pixels that it covers.

Belongs here: the one rule of averaging, for the pixel pass and for readers: means are exact, and halves are rounded to
even, whatever the size of the square, so that means are not shifted (docs/decisions/0010). numba compiles the loop, as
in `perturbseq.kernel`: OpenCV rounds some halves up, takes three to five times as long with that put right, and starts
threads of its own, where every core has one already. Does not belong here: decoding (`decode`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

from cm4ai_assets.compiling import machine_code
from cm4ai_assets.heavy import cv2, np, npt

Plane: TypeAlias = "npt.NDArray[np.uint8]"

LARGEST_FACTOR: Final = 257
"""16 bits hold the sum of so many pixels."""


def area_average(plane: Plane, edge: int, out: Plane | None = None) -> Plane:
    """The plane at another edge length.

    Args:
        plane: (y, x), square.
        edge: A divisor of its edge length. The plane itself is returned if it is equal.
        out: Where to write to.

    Raises:
        ValueError: `edge` is not a divisor.
    """
    if edge < 1 or plane.shape[0] % edge:
        raise ValueError(f"{edge} does not divide the edge length {plane.shape[0]}.")
    if edge == plane.shape[0]:
        return plane
    target = np.empty((edge, edge), np.uint8) if out is None else out
    factor = plane.shape[0] // edge
    if factor > LARGEST_FACTOR:  # OpenCV rounds these as we do
        cv2.resize(plane, (edge, edge), dst=target, interpolation=cv2.INTER_AREA)
    else:
        compiled()(plane, target, factor)
    return target


@cache
def compiled() -> Callable[[Plane, Plane, int], None]:
    """The loop as machine code; it takes some seconds the first time on a machine."""
    loop: Callable[[Plane, Plane, int], None] = machine_code(_average)
    loop(np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), 2)
    return loop


def _average(  # pragma: no cover - compiled # noqa: C901 - a loop that numba compiles whole
    plane: Plane, out: Plane, factor: int
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
