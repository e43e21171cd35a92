"""Stores of nuclei: what one is, whether it is all there, and reading it.

Belongs here: the shape of a store (array, record, files) and everything that opens one. Does not belong here: making
one (`cells.passes`), or where it stands (`layout`).

A store is a Zarr v3 group with one array `nuclei`, uint16, (field, y, x): 0 where there is no nucleus, else its number
in the field. Its chunks and shards are those of a tensor store, each closed by crc32c. Beside it stand two Parquet
files: the nuclei with their measures, and the fields, with the reason where one has no nucleus. The group's metadata is
written last and holds the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import fsspec
import polars as pl

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.storage.recorded import METADATA, read_table, require_files, stated_record
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, NUCLEI
from cm4ai_assets.storage.tensors import chunk_edge, tensor_id, zarr_store

if TYPE_CHECKING:
    import zarr

# The version of everything between a stored pixel and a row of `if_cells`. Another version is another store.
SEGMENTATION_VERSION: Final = 1

DIMENSIONS: Final = ("field", "y", "x")
CELLS_FILE: Final = "cells.parquet"
FIELDS_FILE: Final = "fields.parquet"

Labels: TypeAlias = "npt.NDArray[np.uint16]"

FIELDS_SCHEMA: Final = pl.Schema(
    {
        "tensor_index": pl.Int32(),
        "nuclei": pl.Int32(),
        "specks": pl.Int32(),
        "level": pl.UInt8(),
        "reason": pl.String(),
        "labels_sha256": pl.String(),
    }
)
"""Columns of `FIELDS_FILE`: nuclei, bodies too small to be one, the field's threshold, why there is no nucleus."""


@dataclass(frozen=True)
class NucleiRecord:
    """What a store holds, by its own account.

    Attributes:
        source_sha256: SHA-256 of the ZIP.
        edge: Edge length of the planes.
        pixel_code_version: Version of the pixels.
        segmentation_version: Version of the segmentation.
        algorithm: Its name.
        tensor_digest: Digest of the pixels that were segmented.
        n_fields: Rows of the array.
        nuclei: Nuclei in all of them.
        digest: SHA-256 over the fields' SHA-256, in order.
        file_sizes: Bytes of each file of the store but the group's metadata, by its path in the store.
    """

    source_sha256: str
    edge: int
    pixel_code_version: int
    segmentation_version: int
    algorithm: str
    tensor_digest: str
    n_fields: int
    nuclei: int
    digest: str
    file_sizes: Mapping[str, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the array."""
        return (self.n_fields, self.edge, self.edge)

    @property
    def size(self) -> int:
        """Bytes of the store but the group's metadata."""
        return sum(self.file_sizes.values())

    def to_json(self) -> dict[str, object]:
        """The record as it stands in the group's attributes."""
        return asdict(self)


def nuclei_id(source_sha256: str, edge: int, pixel_code_version: int) -> str:
    """The name of a store: what it is a pure function of."""
    return nuclei_of(tensor_id(source_sha256, edge, pixel_code_version))


def nuclei_of(tensor: str) -> str:
    """The name of the store of a tensor's nuclei, as they are found now."""
    return f"{tensor}-s{SEGMENTATION_VERSION}"


def read_record(fs: fsspec.AbstractFileSystem, path: str) -> NucleiRecord:
    """What the store at `path` holds.

    Raises:
        TensorStoreError: There is no complete store.
    """
    return stated_record(fs, path, lambda stated: NucleiRecord(**stated), what="store of nuclei", remedy=NUCLEI.remedy)


def require_complete(fs: fsspec.AbstractFileSystem, path: str) -> NucleiRecord:
    """See that a store may be read, and read its record: Zarr takes a shard that is not there for zeros.

    Raises:
        TensorStoreError: There is none, or not all of it.
    """
    record = read_record(fs, path)
    require_files(fs, path, record.file_sizes, remedy=NUCLEI.remedy)
    return record


def open_labels(fs: fsspec.AbstractFileSystem, path: str) -> zarr.Array[Any]:
    """The labels of the store at `path`: uint16, (field, y, x); read only, lazy.

    Reading a shard that was lost meanwhile, or a chunk that its index does not know, is a `TensorStoreError`.

    Raises:
        TensorStoreError: There is none.
    """
    import zarr  # noqa: PLC0415 - slow to import

    from cm4ai_assets.storage.whole_shards import WholeShards  # noqa: PLC0415

    record = read_record(fs, path)
    per_field = (record.edge // chunk_edge(record.edge)) ** 2
    store = zarr_store(fs, path)
    whole = WholeShards(store, name=path, fields=record.n_fields, chunks_per_field=per_field, kind=NUCLEI)
    try:
        return zarr.open_array(whole, path=NUCLEI.array, mode="r", zarr_format=3)
    except FileNotFoundError:
        raise TensorStoreError(f"{path} has no array {NUCLEI.array}.", remedy=NUCLEI.remedy) from None
    except (ValueError, KeyError, TypeError) as error:
        raise TensorStoreError(
            f"{path}/{NUCLEI.array}/{METADATA} is damaged: {error!r}.", remedy=NUCLEI.remedy
        ) from error


def read_labels(array: zarr.Array[Any], index: int) -> Labels:
    """The labels of a field: (y, x)."""
    return np.ascontiguousarray(array[index], dtype=np.uint16)


def read_file(fs: fsspec.AbstractFileSystem, path: str, name: str) -> pl.DataFrame:
    """The nuclei (`CELLS_FILE`) or fields (`FIELDS_FILE`) of a store.

    Raises:
        TensorStoreError: The file is missing.
    """
    return read_table(fs, path, name, remedy=NUCLEI.remedy)


def labels_digest(labels: Labels) -> str:
    """SHA-256 of a field's labels, row by row, little endian."""
    return hashlib.sha256(np.ascontiguousarray(labels, dtype="<u2").data).hexdigest()


def fields_digest(fields: pl.DataFrame) -> str:
    """SHA-256 over the fields' SHA-256, in their order: equal digests, equal labels."""
    whole = hashlib.sha256()
    for digest in fields.sort("tensor_index")["labels_sha256"]:
        whole.update(bytes.fromhex(digest))
    return whole.hexdigest()


def labels_problems(array: zarr.Array[Any], fields: pl.DataFrame) -> Iterator[str]:
    """Read every chunk, and hold every field's labels against their digest; a sentence for each that differs.

    Args:
        array: The labels.
        fields: `FIELDS_FILE` of their store.
    """
    if array.shape[0] != fields.height:
        yield f"The labels have {array.shape[0]} fields, {fields.height} are known."
        return
    for index, digest in fields.sort("tensor_index").select("tensor_index", "labels_sha256").iter_rows():
        shard = NUCLEI.key(index // FIELDS_PER_SHARD)
        try:
            found = labels_digest(read_labels(array, index))
        except Exception as error:  # noqa: BLE001 - whatever damage makes zarr or its codecs raise is what is looked for
            yield f"{shard} (field {index}): {error}"
            continue
        if found != digest:
            yield f"{shard} (field {index}): other labels than those that were stored"
