"""Stored levels: a tensor's planes at a smaller edge length, for cores that are few beside their GPU.

Belongs here: making such a store, and whether one may be read in place of averaging. Does not belong here: averaging
(`averaging`), or tensors of another edge that are made from the JPEGs (CM4AI_TENSOR_SIZE).

A level is a copy of what a reader computes from the tensor, pixel for pixel: it changes the speed and nothing else, may
be removed at any time, and no table refers to it; `verify` finds it beside its tensor. It is a store of the same kind
as the tensor, and says which tensor, by its digest, it was made of; one that was made of another is not read. Why
it is not part of the tensor, and when it is worth its bytes: docs/decisions/0026.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from cm4ai_assets.errors import ConfigurationError, TensorStoreError
from cm4ai_assets.images.shards import StoreWriter
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD
from cm4ai_assets.storage.sharding import compress, write_metadata
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import (
    FIRST_PUBLISHED_IN,
    StoreRecord,
    is_complete,
    read_record,
    require_complete,
    tensor_digest,
    tensor_id,
)

AVERAGED_FROM: Final = "averaged_from"
"""Attribute of a level: edge length and digest of the tensor that it was made of."""

_Field = tuple[list[bytes], list[str]]


def stored_level(store: Store, tensor: str, size: int) -> str | None:
    """Where the level of a tensor stands on the store's filesystem, if it may be read; else None.

    Args:
        store: The store.
        tensor: Where the tensor stands on the store's filesystem.
        size: Edge length of the level.
    """
    record = read_record(store.fs, tensor)
    level = store.address(_path(record, size))
    try:
        made_of = json.loads(store.fs.cat_file(f"{level}/{METADATA}"))["attributes"][AVERAGED_FROM]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return level if made_of == _origin(record) and is_complete(store.fs, level) else None


def store_level(store: Store, tensor: str, size: int) -> str:
    """Make the level of a tensor, unless it is stored; its path relative to the storage. See `Release.store_level`.

    One that is stored is read whole, and made anew where its bytes are not those that were written.
    """
    require_complete(store.fs, tensor)
    record = read_record(store.fs, tensor)
    if not 1 <= size < record.edge or record.edge % size:
        raise ConfigurationError(
            f"{size} is no smaller edge length that divides {record.edge}.", remedy=f"Take {record.edge // 2}."
        )
    path, stored = _path(record, size), stored_level(store, tensor, size)
    if stored is None or not _can_be_read(ShardReader(store.url, stored)):
        with store.staging.folder() as folder:
            _write(ShardReader(store.url, tensor, size=size), record, _first_published(store, tensor), folder / "level")
            store.publish_tree(folder / "level", path, last=METADATA, replace=True)
        if stored_level(store, tensor, size) is None:
            raise TensorStoreError(f"{path} was not stored whole.", remedy="Store the level again.")
    return path


def _write(reader: ShardReader, record: StoreRecord, first_published: dict[str, str], folder: Path) -> None:
    writer, digests = StoreWriter(folder, reader.size), list[str]()
    try:
        for chunks, planes in _averaged(reader):
            writer.append(chunks)
            digests += planes
        writer.finish(
            source_sha256=record.source_sha256,
            digest=tensor_digest(digests),
            failures=record.failures,
            first_published_in=first_published,
        )
    finally:
        writer.close()
    group = json.loads((folder / METADATA).read_text())
    group["attributes"][AVERAGED_FROM] = _origin(record)
    write_metadata(folder, group)


def _can_be_read(level: ShardReader) -> bool:
    """Whether every chunk has the checksum that it was written with."""
    try:
        with ThreadPoolExecutor(level.default_threads()) as threads:
            return all(threads.map(lambda index: level.read(index) is not None, range(level.n_fields)))
    except TensorStoreError:
        return False


def _averaged(reader: ShardReader) -> Iterator[_Field]:
    """Chunks and digests of each field, in order; as many fields at once as a shard holds."""

    def averaged(index: int) -> _Field:
        planes = reader.read(index)
        digests = [hashlib.sha256(plane.data).hexdigest() for plane in planes]
        return [chunk for plane in planes for chunk in compress(plane)], digests

    with ThreadPoolExecutor(reader.default_threads()) as threads:
        for first in range(0, reader.n_fields, FIELDS_PER_SHARD):
            yield from threads.map(averaged, range(first, min(first + FIELDS_PER_SHARD, reader.n_fields)))


def _path(record: StoreRecord, size: int) -> str:
    return layout.level_path(tensor_id(record.source_sha256, record.edge, record.version), size)


def _origin(record: StoreRecord) -> dict[str, Any]:
    return {"edge": record.edge, "digest": record.digest}


def _first_published(store: Store, tensor: str) -> dict[str, str]:
    attributes = json.loads(store.fs.cat_file(f"{tensor}/{METADATA}"))["attributes"]
    return dict(attributes.get(FIRST_PUBLISHED_IN, {}))
