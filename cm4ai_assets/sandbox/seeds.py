"""Random numbers that depend on a name, never on the order in which things are made.

Belongs here: how a name becomes a generator or a stable choice. Does not belong here: what is drawn with it.
"""

from __future__ import annotations

import hashlib

from cm4ai_assets.heavy import np


def number(*parts: object) -> int:
    """A 64-bit number that stands for the parts, the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:8], "big")


def generator(*parts: object) -> np.random.Generator:
    """A generator of its own for the parts, so that threads may paint in any order."""
    return np.random.default_rng(number(*parts))


def unit(*parts: object) -> float:
    """A number from 0 to below 1 that stands for the parts."""
    return number(*parts) / 2**64
