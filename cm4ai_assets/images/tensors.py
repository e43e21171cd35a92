"""The tensor of a ZIP: made once, audited before it is published, and taken from the store by every later release.

Belongs here: whether the pass over the pixels is needed, and where its products go. Does not belong here: the pass
itself (`pixels`), or what a store is (`storage.tensors`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import fsspec
import polars as pl

from cm4ai_assets.errors import StoredBytesDamagedError, TensorStoreError
from cm4ai_assets.images.fields import FieldPlan
from cm4ai_assets.images.pixels import PassProgress, run_pass
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.shard_names import ARRAY
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import StoreRecord, is_complete, read_record, tensor_id
from cm4ai_assets.storage.zips import Member
from cm4ai_assets.tables.images import IF_QUALITY


@dataclass(frozen=True)
class Product:
    """A tensor and the statistics of the same pass: still staged if it was made now, else as published.

    Attributes:
        fs: Filesystem the products are on.
        array_path: The Zarr store.
        statistics_path: The Parquet file of `if_quality` without its partition columns.
        path: Where the Zarr store stands, or will stand, relative to the storage root.
        record: What the store tells of itself.
        images: Images decoded for it now; 0 if it was reused.
        seconds: Wall time of the pass; 0 if it was reused.
        publish: Puts it under its final path; does nothing if it was reused.
    """

    fs: fsspec.AbstractFileSystem
    array_path: str
    statistics_path: str
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
        rows = pl.read_parquet(io.BytesIO(self.fs.cat_file(self.statistics_path)))
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
) -> Iterator[Product]:
    """The product of a ZIP, reused from the store or made now. What was made and not published is gone at the end.

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
            store.fs, published, store.address(statistics), tensor, record, images=0, seconds=0, publish=_nothing
        )
        return
    with store.staging.folder() as folder:
        made = run_pass(
            source,
            members,
            plans,
            folder / "pass",
            edge=edge,
            source_sha256=source_sha256,
            progress=progress,
            first_published_in=first_published_in,
        )

        def publish() -> None:
            # Statistics first: the complete tensor store is what later releases look for.
            store.publish_file(made.quality_path, statistics)
            if not _is_usable(store, tensor):  # another run may have made the same pixels meanwhile
                store.remove(tensor)
            store.publish_tree(made.tensor_path, tensor, last=METADATA)

        yield Product(
            fsspec.filesystem("file"),
            str(made.tensor_path),
            str(made.quality_path),
            tensor,
            made.record,
            made.images,
            made.seconds,
            publish,
        )


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
