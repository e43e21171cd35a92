"""The published files that rows name, by the columns in which they name them.

Belongs here: `source_file_id`, `source_sha256` and `source_file` as files an archive publishes. Does not belong here:
the files behind a partition as a whole (`published`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from cm4ai_assets.lineage.published import PublishedFile, deposited, release_file
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.store import Store
from cm4ai_assets.updates.inputs import lock_of


@dataclass(frozen=True)
class Source:
    """What some rows say of where they come from.

    Attributes:
        file_id: Id of a file of the release; None for a table of a deposit.
        sha256: Digest of that file, or of the table that was pulled; None where its bytes were not stored.
        tables: Names of the tables in it: members of a ZIP, or paths in a deposit.
        file: The file as it is published; None if neither the lock nor the deposits of the release list it.
    """

    file_id: int | None
    sha256: str | None
    tables: tuple[str, ...]
    file: PublishedFile | None


def sources_of(store: Store, release: str, rows: pl.DataFrame) -> Iterator[Source]:
    """The files that rows of a release name, each once, sorted.

    Args:
        store: The storage.
        release: Release key.
        rows: Rows with `source_file_id`, `source_sha256` and `source_file`.
    """
    within = rows.group_by("source_file_id", "source_sha256").agg(pl.col("source_file").unique().sort())
    for file_id, sha256, names in within.sort("source_file_id", "source_sha256").iter_rows():
        file = _locked(store, release, file_id) if file_id is not None else _pulled(store, release, sha256, names)
        yield Source(file_id, sha256, tuple(names), file)


def _locked(store: Store, release: str, file_id: int) -> PublishedFile | None:
    lock = lock_of(store, release)
    rows = [] if lock is None else lock.filter(pl.col("file_id") == file_id).rows(named=True)
    return release_file(store, BlobStore(store.fs, store.root), rows[0], release) if rows else None


def _pulled(store: Store, release: str, sha256: str | None, names: list[str]) -> PublishedFile | None:
    """The file of a deposit that rows of one digest come from."""
    named = pl.DataFrame({"source_file": names, "source_sha256": pl.Series([sha256] * len(names), dtype=pl.String)})
    return next(deposited(store, BlobStore(store.fs, store.root), release, named), None)
