"""The index that closes a shard: where each of its chunks stands.

Belongs here: reading it, and refusing one that lacks what it should know. Does not belong here: writing it
(`sharding`), or the chunks themselves.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import google_crc32c

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.storage.shard_names import ABSENT_CHUNK, FIELDS_PER_SHARD, IMAGE, Sharded

CHECKSUM: Final = 4
"""Bytes of crc32c after the index, and after each chunk."""

Entries: TypeAlias = "npt.NDArray[np.uint64]"


def index_size(chunks_per_field: int) -> int:
    """Bytes of an index with its checksum."""
    return FIELDS_PER_SHARD * chunks_per_field * 16 + CHECKSUM


def stored_rows(fields: int, shard: int) -> int:
    """How many fields of an array of `fields` rows stand in that shard."""
    return min(FIELDS_PER_SHARD, fields - shard * FIELDS_PER_SHARD)


def full_entries(
    index: bytes, *, name: str, shard: int, fields: int, chunks_per_field: int, kind: Sharded = IMAGE
) -> Entries:
    """Offset and length of every chunk of the shard's fields: uint64, (field, chunk, 2), without a copy.

    The checksum is not looked at: see `sound_entries`.

    Args:
        index: The index, with its checksum or cut short.
        name: What errors call the store.
        shard: Number of the shard.
        fields: Rows of the array.
        chunks_per_field: Inner chunks of one field.
        kind: What the array is.

    Raises:
        TensorStoreError: A chunk of a stored field is not known there.
    """
    rows = stored_rows(fields, shard)
    stated = np.frombuffer(index[: len(index) // 16 * 16], dtype="<u8").reshape(-1, 2)[: rows * chunks_per_field]
    if len(stated) < rows * chunks_per_field or (stated == ABSENT_CHUNK).any():
        message = f"{name}: the index of {kind.key(shard)} lacks chunks of stored fields."
        raise TensorStoreError(message, remedy=kind.remedy)
    return stated.reshape(rows, chunks_per_field, 2)


def sound_entries(index: bytes, *, name: str, shard: int, fields: int, chunks_per_field: int) -> Entries:
    """The same of an index that is read for the first time: its checksum is verified before.

    Raises:
        TensorStoreError: Its bytes are not those that were written, or it lacks a chunk.
    """
    body, checksum = index[:-CHECKSUM], index[-CHECKSUM:]
    if len(index) != index_size(chunks_per_field) or google_crc32c.value(body).to_bytes(4, "little") != checksum:
        raise TensorStoreError(f"{name}: the index of {IMAGE.key(shard)} changed on disk.", remedy=IMAGE.remedy)
    return full_entries(body, name=name, shard=shard, fields=fields, chunks_per_field=chunks_per_field)
