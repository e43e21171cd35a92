"""Baseline JPEGs of any sampling, written by hand: no encoder at hand writes more than the usual five layouts."""

from __future__ import annotations

import numpy as np

_STEP = 8
_SIZES = 12  # a DC difference has at most eleven bits at 8 bits per sample
Factors = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def jpeg(factors: Factors, *, edge: int = 64, seed: int = 0) -> bytes:
    """An image of flat squares in random colours, with these sampling factors (horizontal, vertical) of Y, Cb and Cr.

    Args:
        factors: From 1 to 4 each, at most ten blocks in all.
        edge: Edge length; squares at the right and lower end may be cut.
        seed: Which colours.
    """
    random = np.random.default_rng(seed)
    across = -(-edge // (8 * max(h for h, _ in factors)))
    down = -(-edge // (8 * max(v for _, v in factors)))
    bits, previous = [], [0, 0, 0]
    for _ in range(across * down):
        for component, (h, v) in enumerate(factors):
            for _ in range(h * v):
                level = int(random.integers(-100, 100))
                bits.append(_dc(level - previous[component]) + "0")  # "0": no further coefficient
                previous[component] = level
    return b"".join((
        b"\xff\xd8",
        _segment(0xDB, b"\x00" + bytes([_STEP] * 64)),
        _segment(0xC0, bytes([8, *edge.to_bytes(2, "big"), *edge.to_bytes(2, "big"), 3])
                 + b"".join(bytes([n + 1, 16 * h + v, 0]) for n, (h, v) in enumerate(factors))),
        _segment(0xC4, b"\x00" + bytes([0, 0, 0, _SIZES, *[0] * 12]) + bytes(range(_SIZES))),
        _segment(0xC4, b"\x10" + bytes([1, *[0] * 15]) + b"\x00"),
        _segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0])),
        _packed("".join(bits)),
        b"\xff\xd9",
    ))  # fmt: skip


def _dc(difference: int) -> str:
    """The number of bits, as a code of four, and the bits."""
    size = abs(difference).bit_length()
    value = difference if difference >= 0 else difference + (1 << size) - 1
    return f"{size:04b}" + (f"{value:0{size}b}" if size else "")


def _packed(bits: str) -> bytes:
    data = int(bits + "1" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big")
    return data.replace(b"\xff", b"\xff\x00")


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
