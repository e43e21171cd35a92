"""The tensor store of a ZIP: its array of images, written field by field, and what its metadata say.

Belongs here: a store of images. Does not belong here: bytes of shards (`storage.sharding`), reading a store
(`storage.tensors`, by zarr-python), or the order of fields (`pixels`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.storage import sharding, tensors
from cm4ai_assets.storage.recorded import RECORD
from cm4ai_assets.storage.shard_names import IMAGE
from cm4ai_assets.storage.sharding import ShardFiles, Shards, compress, write_metadata
from cm4ai_assets.storage.tensors import CHANNEL_COUNT, Failure, StoreRecord

__all__ = ["StoreWriter", "array_metadata", "chunks_per_field", "compress", "group_metadata"]

# Data reference, section 1.5: the release crate's own description of the four stains.
STAINS: Final = {
    "red": ("microtubules", "tubulin antibody"),
    "green": ("protein of interest", "variable antibody; see if_fields.antibody_id"),
    "blue": ("nucleus", "DAPI"),
    "yellow": ("endoplasmic reticulum", "calreticulin antibody"),
}
"""Channel to what it marks, and with what."""


class StoreWriter:
    """Writes one store, field by field, and its metadata last. Memory does not grow with the number of fields.

    Args:
        root: The store's folder; made if missing, and empty.
        edge: Edge length of the planes.
        shards: Writes the shards; into `root`, if not given.
    """

    def __init__(self, root: Path, edge: int, *, shards: Shards | None = None) -> None:
        self._root, self._edge = root, edge
        self._shards = shards or ShardFiles(root, IMAGE, chunks_per_field=chunks_per_field(edge))

    @property
    def n_fields(self) -> int:
        """Fields that were added."""
        return self._shards.n_fields

    def append(self, chunks: Sequence[Any]) -> None:
        """Add a field: the chunks of its four planes, in channel order, as `shards` takes them."""
        self._shards.append(chunks)

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
        shard_sizes = self._shards.finish()
        record = StoreRecord(
            source_sha256=source_sha256,
            edge=self._edge,
            n_fields=self.n_fields,
            digest=digest,
            shard_sizes=shard_sizes,
            failures={field_id: tuple(found) for field_id, found in failures.items()},
        )
        (self._root / IMAGE.array).mkdir(parents=True, exist_ok=True)
        write_metadata(self._root / IMAGE.array, array_metadata(record))
        write_metadata(self._root, group_metadata(record, first_published_in or {}))
        return record

    def close(self) -> None:
        """Let go of the open file. What was not finished stays incomplete."""
        self._shards.close()


def chunks_per_field(edge: int) -> int:
    """Inner chunks of one field: those of its four planes."""
    return CHANNEL_COUNT * (edge // tensors.chunk_edge(edge)) ** 2


def array_metadata(record: StoreRecord) -> dict[str, object]:
    """The array's `zarr.json`. There is no pixel size in it: none is published."""
    attributes = {
        "channels": [
            {"name": name, "marker": STAINS[name][0], "stain": STAINS[name][1], "source_plane": plane}
            for name, plane in PLANES.items()
        ],
        "source_sha256": record.source_sha256,
        "edge": record.edge,
        "pixel_code_version": record.version,
    }
    return sharding.array_metadata(record.shape, tensors.DIMENSIONS, "uint8", attributes)


def group_metadata(record: StoreRecord, first_published_in: Mapping[str, str]) -> dict[str, object]:
    """The group's `zarr.json`, which holds the store's record, and where its images were first published.

    `first_published_in` has the keys `doi`, `version` and `license`, as the archive states them, of the release for
    which the store was made. A later release with the same ZIP shares the store, and this attribute stays as it is:
    its own dataset and licence stand in its row of `if_tensors` and in the metadata of that table's Parquet file.
    """
    attributes = {RECORD: record.to_json(), tensors.FIRST_PUBLISHED_IN: dict(first_published_in)}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}
