"""Tensor stores for the tests of loading: of noise, whose every pixel is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage.tensors import tensor_digest


def noise(fields: int, edge: int, seed: int = 0) -> np.ndarray:
    """uint8 (field, 4, edge, edge)."""
    return np.random.default_rng(seed).integers(0, 256, (fields, 4, edge, edge), dtype=np.uint8)


def written(path: Path, pixels: np.ndarray) -> Path:
    """A store of these pixels."""
    writer = StoreWriter(path, pixels.shape[-1])
    for field in pixels:
        writer.append([chunk for plane in field for chunk in compress(plane)])
    digest = tensor_digest(hashlib.sha256(plane.tobytes()).hexdigest() for field in pixels for plane in field)
    writer.finish(source_sha256="ab" * 32, digest=digest, failures={})
    return path
