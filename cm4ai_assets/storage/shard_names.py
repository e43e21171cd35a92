"""Where the shards of a tensor stand within its store, and how many rows each holds.

Belongs here: what both the reader (`tensors`) and its watch for missing parts (`whole_shards`) must agree on.
"""

from __future__ import annotations

from typing import Final

ARRAY: Final = "image"
FIELDS_PER_SHARD: Final = 16
ABSENT_CHUNK: Final = 2**64 - 1
"""Offset and length of an index entry without a chunk (Zarr v3, sharding codec)."""
REMEDY: Final = "Materialize if_tensors again."


def shard_key(shard: int) -> str:
    """Path of a shard within the store."""
    return f"{ARRAY}/c/{shard}/0/0/0"
