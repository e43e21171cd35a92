"""Zarr v3 shards, assembled by hand from chunks that the working threads have compressed.

Belongs here: bytes of a sharded array of fields, of whatever kind (`shard_names.Sharded`). Does not belong here: what a
store holds beside its array (`images.shards`, `cells.writing`), or reading it (`tensors`, `labels`).

Assembling by hand lets chunks be compressed in the threads that made them, and keeps at most one field in memory.
Chunks go to the shard's file as they come and the index follows them. A store's metadata comes after the last shard: at
any moment before, a reader finds no store.

Each chunk is zstd and closed by crc32c. Plain zstd let 35 of 40 flipped bits through as wrong pixels.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import google_crc32c

from cm4ai_assets.heavy import imagecodecs, np, npt
from cm4ai_assets.storage.disk import write_whole
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.shard_names import ABSENT_CHUNK, FIELDS_PER_SHARD, Sharded
from cm4ai_assets.storage.tensors import chunk_edge

# Level 3 is twice as slow for 1 % less.
ZSTD_LEVEL: Final = 1


def compress(plane: npt.NDArray[Any]) -> list[bytes]:
    """The chunks of a square plane as they stand in a shard, row by row; of any unsigned type, little endian."""
    edge = chunk_edge(plane.shape[0])
    chunks = []
    for y in range(0, plane.shape[0], edge):
        for x in range(0, plane.shape[1], edge):
            square = np.ascontiguousarray(plane[y : y + edge, x : x + edge])
            chunk = bytes(imagecodecs.zstd_encode(square, level=ZSTD_LEVEL))  # type: ignore[arg-type]  # it takes any buffer
            chunks.append(chunk + _checksum(chunk))
    return chunks


class Shards(Protocol):
    """What takes the fields of an array in order and makes shards of them: in this process, or on other machines."""

    @property
    def n_fields(self) -> int:
        """Fields that were added."""
        ...

    def append(self, chunks: Sequence[Any]) -> None:
        """Add a field: its chunks, in order."""
        ...

    def finish(self) -> tuple[int, ...]:
        """Write what is open; the size of each shard in bytes."""
        ...

    def close(self) -> None:
        """Let go of what is open. What was not finished stays incomplete."""
        ...


class _Shard:
    """One shard in the making: chunks go to its file as they come, the index follows them."""

    def __init__(self, file: BinaryIO, chunks_per_field: int) -> None:
        self.file, self._rows = file, 0
        self._index = np.full((FIELDS_PER_SHARD, chunks_per_field, 2), ABSENT_CHUNK, dtype="<u8")

    def append(self, chunks: Sequence[bytes]) -> bool:
        """Add a field; whether the shard is full now."""
        for place, chunk in enumerate(chunks):
            self._index[self._rows, place] = (self.file.tell(), len(chunk))
            self.file.write(chunk)
        self._rows += 1
        return self._rows == FIELDS_PER_SHARD

    def finish(self) -> int:
        """Write the index; the size of the shard."""
        index = self._index.tobytes()
        self.file.write(index + _checksum(index))
        return self.file.tell()


def shard_bytes(fields: Iterable[Sequence[bytes]], *, chunks_per_field: int) -> bytes:
    """A whole shard in memory, as `ShardFiles` writes it."""
    file = io.BytesIO()
    shard = _Shard(file, chunks_per_field)
    for chunks in fields:
        shard.append(_counted(chunks, chunks_per_field))
    shard.finish()
    return file.getvalue()


class ShardFiles:
    """Writes the shards of one array, field by field. Memory does not grow with the number of fields.

    Args:
        root: The store's folder; made if missing.
        kind: What the array is.
        chunks_per_field: Inner chunks of one field.
    """

    def __init__(self, root: Path, kind: Sharded, *, chunks_per_field: int) -> None:
        self._root, self._kind, self._chunks_per_field = root, kind, chunks_per_field
        self._shard: _Shard | None = None
        self.n_fields = 0
        self._sizes: list[int] = []
        root.mkdir(parents=True, exist_ok=True)

    def append(self, chunks: Sequence[bytes]) -> None:
        """Add a field: its chunks, in order."""
        _counted(chunks, self._chunks_per_field)
        if self._shard is None:
            path = self._root / self._kind.key(len(self._sizes))
            path.parent.mkdir(parents=True)
            self._shard = _Shard(path.open("xb"), self._chunks_per_field)
        is_full = self._shard.append(chunks)
        self.n_fields += 1
        if is_full:
            self._close_shard(self._shard)

    def finish(self) -> tuple[int, ...]:
        """Write what is open; the size of each shard in bytes."""
        if self._shard is not None:
            self._close_shard(self._shard)
        (self._root / self._kind.array).mkdir(exist_ok=True)
        return tuple(self._sizes)

    def close(self) -> None:
        """Let go of the open file. What was not finished stays incomplete."""
        if self._shard is not None:
            self._shard.file.close()
            self._shard = None

    def _close_shard(self, shard: _Shard) -> None:
        size = shard.finish()
        shard.file.flush()
        os.fsync(shard.file.fileno())
        shard.file.close()
        self._sizes.append(size)
        self._shard = None


def _counted(chunks: Sequence[bytes], wanted: int) -> Sequence[bytes]:
    if len(chunks) != wanted:
        raise ValueError(f"{len(chunks)} chunks, not {wanted}.")
    return chunks


def array_metadata(
    shape: Sequence[int], dimensions: Sequence[str], dtype: str, attributes: Mapping[str, object]
) -> dict[str, object]:
    """The `zarr.json` of an array whose planes are cut into chunks as `compress` cuts them."""
    planes, chunk = len(shape) - 3, chunk_edge(shape[-1])
    endian = {} if dtype == "uint8" else {"configuration": {"endian": "little"}}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [FIELDS_PER_SHARD, *shape[1:]]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [1, *[1] * planes, chunk, chunk],
                    "codecs": [
                        {"name": "bytes", **endian},
                        {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}},
                        {"name": "crc32c"},
                    ],
                    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    "index_location": "end",
                },
            }
        ],
        "dimension_names": list(dimensions),
        "attributes": dict(attributes),
        "storage_transformers": [],
    }


def write_metadata(folder: Path, content: Mapping[str, object]) -> None:
    """Write the `zarr.json` of a group or an array, whole."""
    # Not sorted: the order of keys is fixed where they are made. ASCII only, whatever the names.
    write_whole(folder / METADATA, (json.dumps(content, indent=2) + "\n").encode("ascii"))


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")
