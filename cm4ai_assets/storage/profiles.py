"""Stores of profiles: what one is, whether it is all there, and reading it.

Belongs here: the shape of a store (arrays, chunks, record) and everything that opens one. Does not belong here: making
one (`perturbseq.profiles`), image tensors (`tensors`), or where a store stands (`layout`).

A store is a Zarr v3 group with one float32 array for each statistic, (target, gene), and two Parquet files: the targets
and the genes, in the order of the axes. Each chunk is zstd, closed by crc32c. The group's metadata is written last and
holds the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import fsspec
import polars as pl

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.heavy import np
from cm4ai_assets.storage.recorded import METADATA, read_table, require_files, stated_record
from cm4ai_assets.storage.tensors import zarr_store

if TYPE_CHECKING:
    import zarr

STATISTICS: Final = ("mean", "variance", "log_mean", "log_variance", "detected")
TARGETS_FILE: Final = "targets.parquet"
GENES_FILE: Final = "genes.parquet"
REMEDY: Final = "Materialize perturb_targets again."
CHUNK: Final = (64, 16_384)


@dataclass(frozen=True)
class ProfilesRecord:
    """What a store holds, by its own account.

    Attributes:
        source_identity: The digest of the h5ad, or what stands for it.
        code_version: Version of the pass and of what follows from it.
        shape: Targets and genes.
        digest: SHA-256 over the profiles, statistic by statistic.
        file_sizes: Bytes of each file of the store but the group's metadata, by its path in the store.
        counts_in: Which matrix of the file holds counts.
        evidence: Why: each matrix of the file, and what a sample of it says.
        layout: How that matrix stands in the file: csc, csr or dense.
        depths_from: By what cells were normalised: a column of obs, or the matrix itself.
        cells: Cells of the file.
        cells_of_other_depth: Cells whose counts in the matrix are not what that column of obs states.
        cells_of_several_targets: Cells with guides against several targets; they are in no profile.
        cells_without_target: Cells that name no target; likewise.
        unsorted: Lines of the matrix whose indices do not ascend.
        readings: How often the matrix was read.
    """

    source_identity: str
    code_version: int
    shape: tuple[int, int]
    digest: str
    file_sizes: Mapping[str, int]
    counts_in: str
    evidence: str
    layout: str
    depths_from: str
    cells: int
    cells_of_other_depth: int
    cells_of_several_targets: int
    cells_without_target: int
    unsorted: int
    readings: int

    @property
    def size(self) -> int:
        """Bytes of the store but the group's metadata."""
        return sum(self.file_sizes.values())

    def to_json(self) -> dict[str, object]:
        """The record as it stands in the group's attributes."""
        return asdict(self)

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> ProfilesRecord:
        """The record from the group's attributes."""
        return cls(**{**stated, "shape": (int(stated["shape"][0]), int(stated["shape"][1]))})


def read_record(fs: fsspec.AbstractFileSystem, path: str) -> ProfilesRecord:
    """What the store at `path` holds.

    Raises:
        TensorStoreError: There is no complete store.
    """
    return stated_record(fs, path, ProfilesRecord.from_json, what="store of profiles", remedy=REMEDY)


def require_complete(fs: fsspec.AbstractFileSystem, path: str) -> ProfilesRecord:
    """See that a store may be read, and read its record: Zarr takes a chunk that is not there for a fill value.

    Raises:
        TensorStoreError: There is none, or not all of it.
    """
    record = read_record(fs, path)
    require_files(fs, path, record.file_sizes, remedy=REMEDY)
    return record


def open_statistic(fs: fsspec.AbstractFileSystem, path: str, statistic: str) -> zarr.Array[Any]:
    """One statistic of a store: float32, axes target, gene; read only, lazy.

    A chunk that was lost since the store was looked at (`require_complete`) is an error on reading, as is one whose
    bytes changed.

    Raises:
        TensorStoreError: There is none.
    """
    import zarr  # noqa: PLC0415 - slow to import

    from cm4ai_assets.storage.whole_chunks import WholeChunks  # noqa: PLC0415

    if statistic not in STATISTICS:
        raise TensorStoreError(f"There is no statistic {statistic!r}.", remedy=f"One of {', '.join(STATISTICS)}.")
    try:
        store = WholeChunks(zarr_store(fs, path), name=path)
        return zarr.open_array(store, path=statistic, mode="r", zarr_format=3)
    except FileNotFoundError:
        raise TensorStoreError(f"{path} has no array {statistic}.", remedy=REMEDY) from None
    except (ValueError, KeyError, TypeError) as error:
        raise TensorStoreError(f"{path}/{statistic}/{METADATA} is damaged: {error!r}.", remedy=REMEDY) from error


def read_axis(fs: fsspec.AbstractFileSystem, path: str, name: str) -> pl.DataFrame:
    """The targets (`TARGETS_FILE`) or genes (`GENES_FILE`) of a store, in the order of its axis.

    Raises:
        TensorStoreError: The file is missing.
    """
    return read_table(fs, path, name, remedy=REMEDY)


class ProfilesDigest:
    """SHA-256 over profiles, fed with some targets at a time: one digest a statistic, and one over them."""

    def __init__(self) -> None:
        self._of = {name: hashlib.sha256() for name in STATISTICS}

    def add(self, statistic: str, values: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Add some targets; targets of a statistic come in their order."""
        self._of[statistic].update(np.ascontiguousarray(values, dtype="<f4").data)

    def hexdigest(self) -> str:
        """The digest of all that was added."""
        return hashlib.sha256(b"".join(self._of[name].digest() for name in STATISTICS)).hexdigest()


def digest_of(fs: fsspec.AbstractFileSystem, path: str) -> str:
    """The digest of what a store holds now: every chunk is read, and its checksum held.

    Raises:
        TensorStoreError: A chunk is missing.
        ValueError: A chunk's bytes changed.
    """
    whole = ProfilesDigest()
    for name in STATISTICS:
        array = open_statistic(fs, path, name)
        for first in range(0, array.shape[0], CHUNK[0]):
            whole.add(name, np.asarray(array[first : first + CHUNK[0]], dtype=np.float32))
    return whole.hexdigest()
