"""The tensor of a ZIP: made once, audited before it is published, and taken from the store by every later release.

Belongs here: whether the pass over the pixels is needed, and where its products go. Does not belong here: the pass
itself (`pixels`), or what a store is (`storage.tensors`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import fsspec
import polars as pl

from cm4ai_assets.cluster.connection import Connect
from cm4ai_assets.errors import StoredBytesDamagedError, TensorStoreError
from cm4ai_assets.images.fields import FieldPlan
from cm4ai_assets.images.on_cluster import run_pass_on
from cm4ai_assets.images.pixels import Passed, PassProgress, PassResult, run_pass
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.file_digests import Files
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.shard_names import ARRAY
from cm4ai_assets.storage.store import Put, Store
from cm4ai_assets.storage.tensors import StoreRecord, is_complete, read_record, tensor_id
from cm4ai_assets.tables.images import IF_QUALITY


@dataclass(frozen=True)
class Product:
    """A tensor and the statistics of the same pass: still staged if it was made now, else as published.

    Attributes:
        fs: Filesystem the products are on.
        array_path: The Zarr store.
        statistics: Reads the Parquet file of `if_quality` without its partition columns.
        path: Where the Zarr store stands, or will stand, relative to the storage root.
        record: What the store tells of itself.
        images: Images decoded for it now; 0 if it was reused.
        seconds: Wall time of the pass; 0 if it was reused.
        publish: Puts it under its final path; does nothing if it was reused.
    """

    fs: fsspec.AbstractFileSystem
    array_path: str
    statistics: Callable[[], bytes]
    path: str
    record: StoreRecord
    images: int
    seconds: float
    publish: Callable[[], None]

    @property
    def reused(self) -> bool:
        """The pixels were there already: same ZIP, same edge, same code."""
        return self.images == 0 and self.seconds == 0

    def quality(self, *, release: str, condition: str) -> pl.DataFrame:
        """The table `if_quality` of a release that carries this ZIP."""
        rows = pl.read_parquet(io.BytesIO(self.statistics()))
        return IF_QUALITY.place(rows, release=release, condition=condition)


@contextmanager
def product_of(
    store: Store,
    source: ByteSource,
    members: Sequence[Member],
    plans: Sequence[FieldPlan],
    *,
    source_sha256: str,
    edge: int,
    first_published_in: Mapping[str, str],
    progress: Callable[[PassProgress], None] | None = None,
    connect: Connect | None = None,
) -> Iterator[Product]:
    """The product of a ZIP, reused from the store or made now. What was made and not published is gone at the end.

    It is made by threads of this process, or by the cluster to which `connect` leads; the bytes are the same.
    `first_published_in` is written into a store that is made now; one that is reused keeps what it says; see
    `shards.group_metadata`.

    Raises:
        TensorStoreError: Under its name stands the tensor of another ZIP.
    """
    name = tensor_id(source_sha256, edge)
    tensor, statistics = layout.tensor_path(name), layout.statistics_path(name)
    published = store.address(tensor)
    if _is_usable(store, statistics) and _is_usable(store, tensor):
        record = read_record(store.fs, published)
        if record.source_sha256 != source_sha256:
            raise TensorStoreError(
                f"{tensor} is of the ZIP {record.source_sha256}, not of {source_sha256}, which begins alike.",
                remedy="Report this: the name of a tensor no longer tells ZIPs apart.",
            )
        yield Product(
            store.fs, published, partial(store.read, statistics), tensor, record, images=0, seconds=0, publish=_nothing
        )
        return
    stated = _Stated(edge, source_sha256, first_published_in, progress)
    making = (
        _in_threads(store, stated, partial(run_pass, source, members, plans))
        if connect is None
        else _on_cluster(store, stated, partial(run_pass_on, members=members, plans=plans), connect)
    )
    with making as made:

        def publish() -> None:
            # Statistics first: the complete tensor store is what later releases look for.
            store.publish_file(made.passed.quality_path, statistics)
            # Another run may have made the same pixels meanwhile.
            made.put(tensor, replace=not _is_usable(store, tensor))

        yield Product(
            made.fs,
            made.array_path,
            made.passed.quality_path.read_bytes,
            tensor,
            made.passed.record,
            made.passed.images,
            made.passed.seconds,
            publish,
        )


@dataclass(frozen=True)
class _Made:
    """A tensor that was made now: where it stands, how its pass went, and what puts it under its final path."""

    fs: fsspec.AbstractFileSystem
    array_path: str
    passed: Passed
    put: Put


class _Stated(NamedTuple):
    """What is the same for both passes."""

    edge: int
    source_sha256: str
    first_published_in: Mapping[str, str]
    progress: Callable[[PassProgress], None] | None


@contextmanager
def _in_threads(store: Store, stated: _Stated, passing: Callable[..., PassResult]) -> Iterator[_Made]:
    with store.staging.folder() as folder:
        passed = passing(folder / "pass", **stated._asdict())
        put = partial(store.publish_tree, passed.tensor_path, last=METADATA)
        yield _Made(fsspec.filesystem("file"), str(passed.tensor_path), passed, put)


@contextmanager
def _on_cluster(
    store: Store, stated: _Stated, passing: Callable[..., tuple[Passed, Files]], connect: Connect
) -> Iterator[_Made]:
    with store.staging.folder() as folder, store.shared_folder() as shared:
        with connect() as cluster:
            passed, files = passing(cluster, shared, quality_path=folder / "quality.parquet", **stated._asdict())
        put = partial(store.publish_shared, shared, files=files, last=METADATA)
        yield _Made(store.fs, shared.address, passed, put)


def _is_usable(store: Store, path: str) -> bool:
    """What stands there is whole, and what a later release reads of it is what was published; else it is made again.

    Of a tensor that is its metadata. Its shards are there at their size: each chunk is closed by a checksum of its own.
    """
    try:
        if not path.endswith(".zarr"):
            return store.exists(path) and not store.digests.damage(path)
        read = (METADATA, f"{ARRAY}/{METADATA}")
        return is_complete(store.fs, store.address(path)) and not store.digests.damage(path, only=read)
    except StoredBytesDamagedError:
        return False


def _nothing() -> None:
    """What is published already needs no publishing."""
