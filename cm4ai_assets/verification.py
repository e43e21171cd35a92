"""Re-reading what is stored: every digest, every table, every chunk, against what was recorded when it was published.

Belongs here: `cm4ai verify`. It repairs nothing: it says what is damaged and what brings it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import open_array, tensor_digest, verify_store
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.images import CHANNELS


@dataclass(frozen=True)
class Verified:
    """One stored thing that was read again: what it is, how much was read, and what is wrong with it."""

    what: str
    detail: str
    problems: tuple[str, ...]


def verify(store: Store, *, release: str | None = None) -> Iterator[Verified]:
    """Check everything that is published, or that one release refers to; each result as it is there.

    A blob or tensor that several releases share is read once.
    """
    for table in tables.ALL:
        for partition in _published(store, table.name, release):
            yield _table(store, table, partition)
    blobs: dict[str, dict[str, Any]] = {}
    for partition in _published(store, "if_archive", release):
        row = _only_row(store, "if_archive", partition)
        blobs.setdefault(row["sha256"], row)
    for row in blobs.values():
        yield _blob(store, row)
    stores = {_only_row(store, "if_tensors", part)["path"]: part for part in _published(store, "if_tensors", release)}
    for path, partition in stores.items():
        yield _tensor(store, path, partition)


def _published(store: Store, name: str, release: str | None) -> list[Partition]:
    return [partition for partition in store.partitions(name) if release in {None, partition.release}]


def _only_row(store: Store, name: str, partition: Partition) -> dict[str, Any]:
    return store.table(name, partition).collect().row(0, named=True)


def _table(store: Store, table: Table, partition: Partition) -> Verified:
    what = f"table {table.name} {partition}"
    try:
        frame = store.table(table.name, partition).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        return Verified(what, "unreadable", (f"{error}. Materialize {table.name} again.",))
    problems = tuple(f"{v.message} ({v.rows} rows, e.g. {v.sample})" for v in table.violations(frame))
    return Verified(what, f"{frame.height:,} rows", problems)


def _blob(store: Store, row: dict[str, Any]) -> Verified:
    what, detail = f"blob {row['sha256'][:12]}… {row['label']}", f"{row['size']:,} bytes"
    try:
        BlobStore(store.fs, store.root).verify(row["sha256"])
    except Cm4aiError as error:
        return Verified(what, detail, (str(error),))
    return Verified(what, detail, ())


def _tensor(store: Store, path: str, partition: Partition) -> Verified:
    what, stated = f"tensor {path}", _only_row(store, "if_tensors", partition)
    digests = [
        list(planes)
        for (planes,) in store.table("if_quality", partition)
        .filter(pl.col("tensor_index").is_not_null())
        .with_columns(pl.col("channel").replace_strict({name: n for n, name in enumerate(CHANNELS)}).alias("place"))
        .sort("tensor_index", "place")
        .group_by("tensor_index", maintain_order=True)
        .agg("pixel_sha256")
        .select("pixel_sha256")
        .collect()
        .iter_rows()
    ]
    detail = f"{len(digests):,} fields"
    try:
        problems = [str(found) for found in verify_store(open_array(store.fs, f"{store.root}/{path}"), digests)]
    except Cm4aiError as error:
        return Verified(what, detail, (str(error),))
    if tensor_digest(digest for planes in digests for digest in planes) != stated["digest"]:
        problems.append("if_quality and if_tensors name different pixels")
    if problems:
        problems.append(f"Remove {store.location(path)} and materialize if_tensors again.")
    return Verified(what, detail, tuple(problems))
