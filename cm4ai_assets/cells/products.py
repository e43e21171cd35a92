"""The nuclei of a tensor: found once, audited before they are published, and taken from the store by later releases.

Belongs here: whether a pass is needed, where its products go, and the table that comes from them. Does not belong here:
the pass (`passes`), or what a store is (`storage.nuclei`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import polars as pl

from cm4ai_assets.cells.on_cluster import run_pass_on
from cm4ai_assets.cells.passes import CellsProgress, run_pass
from cm4ai_assets.cluster.connection import Cluster, Connect
from cm4ai_assets.errors import StoredBytesDamagedError, TensorStoreError
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage import layout, tensors
from cm4ai_assets.storage.file_digests import Files
from cm4ai_assets.storage.nuclei import (
    CELLS_FILE,
    FIELDS_FILE,
    SEGMENTATION_VERSION,
    NucleiRecord,
    nuclei_id,
    read_file,
    read_record,
    require_complete,
)
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.shared import SharedFolder
from cm4ai_assets.storage.store import Put, Store
from cm4ai_assets.tables.cells import IF_CELLS


@dataclass(frozen=True)
class Product:
    """A store of nuclei: still staged if it was made now, else as published.

    Attributes:
        fs: Filesystem it is on.
        store_path: Where it stands there.
        path: Where it stands, or will stand, relative to the storage root.
        record: What it says of itself.
        seconds: Wall time of the pass; None if it was reused.
        as_audited: It was reused, and each byte of it is what was audited when it was published.
        publish: Puts it under its final path; does nothing if it was reused.
    """

    fs: fsspec.AbstractFileSystem
    store_path: str
    path: str
    record: NucleiRecord
    seconds: float | None
    as_audited: bool
    publish: Callable[[], None]

    def fields(self) -> pl.DataFrame:
        """One row a field; see `storage.nuclei.FIELDS_SCHEMA`."""
        return read_file(self.fs, self.store_path, FIELDS_FILE)

    def cells(self) -> pl.DataFrame:
        """One row a nucleus, with its measures."""
        return read_file(self.fs, self.store_path, CELLS_FILE)

    def table(self, fields: pl.DataFrame, *, release: str, condition: str) -> pl.DataFrame:
        """The table `if_cells` of a release.

        Args:
            fields: Its `if_fields`, which name the rows of the tensor.
            release: The release.
            condition: The condition.
        """
        names = fields.filter(pl.col("tensor_index").is_not_null()).select("tensor_index", "field_id")
        rows = (
            self.cells()
            .join(names, on="tensor_index", how="left", maintain_order="left")
            .with_columns(
                pl.lit(self.path).alias("path"), pl.lit(SEGMENTATION_VERSION, pl.Int32()).alias("segmentation_version")
            )
        )
        return IF_CELLS.place(rows, release=release, condition=condition)


@contextmanager
def product_of(
    store: Store,
    tensor_path: str,
    *,
    first_published_in: Mapping[str, str],
    workers: int | None = None,
    progress: Callable[[CellsProgress], None] | None = None,
    connect: Connect | None = None,
) -> Iterator[Product]:
    """The nuclei of a tensor, reused from the store or found now. What was made and not published is gone at the end.

    Args:
        store: The storage.
        tensor_path: The tensor, relative to the storage root.
        first_published_in: Written into a store that is made now; see `images.shards.group_metadata`.
        workers: See `passes.run_pass`.
        progress: Likewise.
        connect: Leads to the cluster that does it; threads of this process do, if not given.

    Raises:
        TensorStoreError: The tensor has lost a part, or under its name stand the nuclei of other pixels.
    """
    address = store.address(tensor_path)
    tensors.require_complete(store.fs, address)
    tensor = tensors.read_record(store.fs, address)
    path = path_for(tensor.source_sha256, tensor.edge, tensor.version)
    if _is_usable(store, path):
        record = read_record(store.fs, store.address(path))
        if record.tensor_digest != tensor.digest:
            raise TensorStoreError(
                f"{path} is of other pixels than {tensor_path}.",
                remedy=f"Run `cm4ai verify`: one of the two was made from other bytes; withdraw {path}.",
            )
        as_audited = store.digests.read(path) is not None and not store.digests.damage(path)
        yield Product(store.fs, store.address(path), path, record, None, as_audited, publish=lambda: None)
        return
    started = time.monotonic()
    stated: dict[str, Any] = {"first_published_in": first_published_in, "progress": progress}
    with (
        _in_threads(store, partial(run_pass, ShardReader(store.url, address), tensor, workers=workers, **stated))
        if connect is None
        else _on_cluster(store, partial(run_pass_on, tensor_path=tensor_path, tensor=tensor, **stated), connect)
    ) as made:
        seconds = time.monotonic() - started

        def publish() -> None:
            # Another run may have found the same nuclei meanwhile.
            made.put(path, replace=not _is_usable(store, path))

        yield Product(made.fs, made.store_path, path, made.record, seconds, as_audited=False, publish=publish)


@dataclass(frozen=True)
class _Made:
    """Nuclei that were found now: where they stand, what of, and what puts them under their final path."""

    fs: fsspec.AbstractFileSystem
    store_path: str
    record: NucleiRecord
    put: Put


@contextmanager
def _in_threads(store: Store, passing: Callable[[Path], NucleiRecord]) -> Iterator[_Made]:
    with store.staging.folder() as folder:
        made = folder / "nuclei"
        record = passing(made)
        put = partial(store.publish_tree, made, last=METADATA)
        yield _Made(fsspec.filesystem("file"), str(made), record, put)


@contextmanager
def _on_cluster(
    store: Store, passing: Callable[[Cluster, SharedFolder], tuple[NucleiRecord, Files]], connect: Connect
) -> Iterator[_Made]:
    with store.shared_folder() as shared:
        with connect() as cluster:
            record, files = passing(cluster, shared)
        put = partial(store.publish_shared, shared, files=files, last=METADATA)
        yield _Made(store.fs, shared.address, record, put)


def path_for(source_sha256: str, edge: int, pixel_code_version: int) -> str:
    """Where the nuclei of a tensor stand, or would, relative to the storage root."""
    return layout.nuclei_path(nuclei_id(source_sha256, edge, pixel_code_version))


def _is_usable(store: Store, path: str) -> bool:
    """What stands there is whole, and what a later release reads of it is what was published; else it is made again."""
    try:
        require_complete(store.fs, store.address(path))
        return not store.digests.damage(path, only=(METADATA, CELLS_FILE, FIELDS_FILE))
    except (TensorStoreError, StoredBytesDamagedError):
        return False
