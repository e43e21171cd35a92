"""Zarr v3 shards, assembled by hand from chunks that the decoding threads have compressed.

Belongs here: bytes of a tensor store. Does not belong here: reading it (`storage.tensors`, by zarr-python), or the
order of fields (`pixels`).

Assembling by hand lets chunks be compressed in the threads that decoded them, and keeps at most one field in memory.
Chunks go to the shard's file as they come, the index follows them, and the metadata comes after the last shard: at any
moment before, a reader finds no store.

Each chunk is zstd and closed by crc32c. Plain zstd let 35 of 40 flipped bits through as wrong pixels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import google_crc32c
import numpy as np
from imagecodecs import zstd_encode

from cm4ai_assets.images.decode import PLANES, Plane
from cm4ai_assets.storage import tensors
from cm4ai_assets.storage.disk import write_whole
from cm4ai_assets.storage.shard_names import ABSENT_CHUNK, ARRAY, FIELDS_PER_SHARD, shard_key
from cm4ai_assets.storage.tensors import CHANNEL_COUNT, Failure, StoreRecord

# Level 3 is twice as slow for 1 % less.
ZSTD_LEVEL: Final = 1

# Data reference, section 1.5: the release crate's own description of the four stains.
_STAINS: Final = {
    "red": ("microtubules", "tubulin antibody"),
    "green": ("protein of interest", "variable antibody; see if_fields.antibody_id"),
    "blue": ("nucleus", "DAPI"),
    "yellow": ("endoplasmic reticulum", "calreticulin antibody"),
}


def compress(plane: Plane) -> list[bytes]:
    """The plane's chunks as they stand in a shard, row by row."""
    edge = tensors.chunk_edge(plane.shape[0])
    chunks = []
    for y in range(0, plane.shape[0], edge):
        for x in range(0, plane.shape[1], edge):
            square = np.ascontiguousarray(plane[y : y + edge, x : x + edge])
            chunk = bytes(zstd_encode(square, level=ZSTD_LEVEL))  # type: ignore[arg-type]  # it takes any buffer
            chunks.append(chunk + _checksum(chunk))
    return chunks


class StoreWriter:
    """Writes one store, field by field, and its metadata last. Memory does not grow with the number of fields.

    Args:
        root: The store's folder; made if missing, and empty.
        edge: Edge length of the planes.
    """

    def __init__(self, root: Path, edge: int) -> None:
        self._root, self._edge = root, edge
        self._chunks_per_field = CHANNEL_COUNT * (edge // tensors.chunk_edge(edge)) ** 2
        self._index = self._empty_index()
        self._file: BinaryIO | None = None
        self.n_fields = 0
        self._shard_sizes: list[int] = []
        root.mkdir(parents=True, exist_ok=True)

    def append(self, chunks: Sequence[bytes]) -> None:
        """Add a field: the chunks of its four planes, in channel order."""
        if len(chunks) != self._chunks_per_field:
            raise ValueError(f"{len(chunks)} chunks, not {self._chunks_per_field}.")
        row = self.n_fields % FIELDS_PER_SHARD
        if self._file is None:
            path = self._root / shard_key(len(self._shard_sizes))
            path.parent.mkdir(parents=True)
            self._file = path.open("xb")
        for place, chunk in enumerate(chunks):
            self._index[row, place] = (self._file.tell(), len(chunk))
            self._file.write(chunk)
        self.n_fields += 1
        if row == FIELDS_PER_SHARD - 1:
            self._close_shard(self._file)

    def finish(
        self,
        *,
        source_sha256: str,
        digest: str,
        failures: Mapping[str, Sequence[Failure]],
        first_published_in: Mapping[str, str] | None = None,
    ) -> StoreRecord:
        """Write the metadata. From here on the store is complete.

        Args:
            source_sha256: SHA-256 of the ZIP.
            digest: `tensor_digest` of the planes.
            failures: Why fields were left out, by field id.
            first_published_in: See `group_metadata`.
        """
        if self._file is not None:
            self._close_shard(self._file)
        record = StoreRecord(
            source_sha256=source_sha256,
            edge=self._edge,
            n_fields=self.n_fields,
            digest=digest,
            shard_sizes=tuple(self._shard_sizes),
            failures={field_id: tuple(found) for field_id, found in failures.items()},
        )
        (self._root / ARRAY).mkdir(exist_ok=True)
        _write_json(self._root / ARRAY / tensors.METADATA, array_metadata(record))
        _write_json(self._root / tensors.METADATA, group_metadata(record, first_published_in or {}))
        return record

    def close(self) -> None:
        """Let go of the open file. What was not finished stays incomplete."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _empty_index(self) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint64]]:
        return np.full((FIELDS_PER_SHARD, self._chunks_per_field, 2), ABSENT_CHUNK, dtype="<u8")

    def _close_shard(self, file: BinaryIO) -> None:
        index = self._index.tobytes()
        file.write(index + _checksum(index))
        file.flush()
        os.fsync(file.fileno())
        self._shard_sizes.append(file.tell())
        file.close()
        self._file, self._index = None, self._empty_index()


def array_metadata(record: StoreRecord) -> dict[str, object]:
    """The array's `zarr.json`. There is no pixel size in it: none is published."""
    edge, chunk = record.edge, tensors.chunk_edge(record.edge)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(record.shape),
        "data_type": "uint8",
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [FIELDS_PER_SHARD, CHANNEL_COUNT, edge, edge]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [1, 1, chunk, chunk],
                    "codecs": [
                        {"name": "bytes"},
                        {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}},
                        {"name": "crc32c"},
                    ],
                    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    "index_location": "end",
                },
            }
        ],
        "dimension_names": list(tensors.DIMENSIONS),
        "attributes": {
            "channels": [
                {"name": name, "marker": _STAINS[name][0], "stain": _STAINS[name][1], "source_plane": plane}
                for name, plane in PLANES.items()
            ],
            "source_sha256": record.source_sha256,
            "edge": edge,
            "pixel_code_version": record.version,
        },
        "storage_transformers": [],
    }


def group_metadata(record: StoreRecord, first_published_in: Mapping[str, str]) -> dict[str, object]:
    """The group's `zarr.json`, which holds the store's record, and where its images were first published.

    `first_published_in` has the keys `doi`, `version` and `license`, as the archive states them, of the release for
    which the store was made. A later release with the same ZIP shares the store, and this attribute stays as it is:
    its own dataset and licence stand in its row of `if_tensors` and in the metadata of that table's Parquet file.
    """
    attributes = {tensors.RECORD: record.to_json(), tensors.FIRST_PUBLISHED_IN: dict(first_published_in)}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")


def _write_json(path: Path, content: dict[str, object]) -> None:
    # Not sorted: the order of keys is fixed above. ASCII only, whatever the names.
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode("ascii"))
