"""From the rows of a table to the blobs and stores that they name.

Belongs here: one rule for each table whose rows refer to something. Does not belong here: which tables a release has
(the package itself). Who asks what a storage holds waits for no archive's client and no library of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from cm4ai_assets.archives.dataverse.locked_file import LockedFile, stored_blob
from cm4ai_assets.archives.ena.run_file import run_files
from cm4ai_assets.archives.ena.run_file import stored_blob as run_blob
from cm4ai_assets.archives.figshare.locked_file import FigshareFile
from cm4ai_assets.archives.figshare.locked_file import stored_blob as article_blob
from cm4ai_assets.archives.massive.deposit_file import DepositFile
from cm4ai_assets.references.kinds import Kind, Reference
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.nuclei import nuclei_of
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import IF_TENSORS
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.tables.release import IF_ARCHIVE, RELEASE_FILES
from cm4ai_assets.tables.targets import PERTURB_TARGETS


@dataclass(frozen=True)
class Held:
    """Where what is referred to stands."""

    store: Store
    blobs: BlobStore

    @cached_property
    def levels(self) -> list[str]:
        """The names of the copies at a smaller edge length, of every tensor: listed once."""
        return self.store.children(layout.LEVELS)


def _of_lock(rows: pl.DataFrame, partition: Partition, held: Held) -> Iterator[Reference]:
    for file in map(LockedFile.from_row, rows.iter_rows(named=True)):
        if (blob := stored_blob(file, held.blobs)) is not None:
            yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), file.path, partition)


def _of_archive(rows: pl.DataFrame, partition: Partition, held: Held) -> Iterator[Reference]:
    for label, sha256 in rows.select("label", "sha256").iter_rows():
        yield Reference(Kind.BLOB, held.blobs.path(sha256), label, partition)


def _of_deposits(rows: pl.DataFrame, partition: Partition, held: Held) -> Iterator[Reference]:
    """What was pulled of the deposits, before the table was made or since: its rows name files, the index their bytes.

    The members of a folder stand in no table. Where one was pulled, all is meant that came without a published digest:
    one blob too many is kept, and none is lost.
    """
    named = rows.select("accession", "path", "size").iter_rows()
    files = [(path, DepositFile(accession, path, size)) for accession, path, size in named]
    noted = held.blobs.index.first_uses([file.identity for _, file in files])
    for path, file in files:
        if (blob := noted.get(file.identity)) is not None and held.blobs.has(blob.sha256):
            yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), path, partition)
    folders = [row for row in rows.filter(pl.col("sha256").is_not_null())["sha256"] if not held.blobs.has(row)]
    for sha256 in held.blobs.without_digest() if folders else ():
        yield Reference(Kind.BLOB, held.blobs.path(sha256), "of a deposit", partition)


def _of_article(rows: pl.DataFrame, partition: Partition, held: Held) -> Iterator[Reference]:
    """What is stored of the article's files, before the table was made or since."""
    for row in rows.iter_rows(named=True):
        if (blob := article_blob(FigshareFile.from_row(row), held.blobs)) is not None:
            yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), row["label"], partition)


def _of_runs(rows: pl.DataFrame, partition: Partition, held: Held) -> Iterator[Reference]:
    """What was pulled of the runs' files, before the table was made or since."""
    for row in rows.filter(pl.col("file_names").list.len() > 0).iter_rows(named=True):
        for file in run_files(row):
            if (blob := run_blob(file, held.blobs)) is not None:
                yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), file.name, partition)


def _of_tensors(rows: pl.DataFrame, partition: Partition, held: Held) -> Iterator[Reference]:
    """The tensor, its statistics, and the copies at a smaller edge length that a reader has stored."""
    for path in rows["path"]:
        name = path.rsplit("/", 1)[-1].removesuffix(".zarr")
        yield Reference(Kind.TENSOR, path, name, partition)
        yield Reference(Kind.STATISTICS, layout.statistics_path(name), name, partition)
        for level in held.levels:
            if level.startswith(f"{name}-"):
                yield Reference(Kind.LEVEL, f"{layout.LEVELS}/{level}", level.removesuffix(".zarr"), partition)


def _of_cells(rows: pl.DataFrame, partition: Partition, held: Held) -> Iterator[Reference]:
    """The store of the nuclei. Where there is not one nucleus no row names it; then the tensor's row leads to it."""
    paths = rows["path"].unique().to_list()
    if not paths and held.store.has_table(IF_TENSORS.name, partition):
        tensors = held.store.table(IF_TENSORS.name, partition).collect()["path"]
        stores = [layout.nuclei_path(nuclei_of(path.rsplit("/", 1)[-1].removesuffix(".zarr"))) for path in tensors]
        paths = [path for path in stores if held.store.exists(path)]
    for path in paths:
        yield Reference(Kind.NUCLEI, path, path.rsplit("/", 1)[-1].removesuffix(".zarr"), partition)


def _of_profiles(rows: pl.DataFrame, partition: Partition, _: Held) -> Iterator[Reference]:
    for path in rows["path"].unique():
        yield Reference(Kind.PROFILES, path, path.rsplit("/", 1)[-1].removesuffix(".zarr"), partition)


FOLLOW: dict[str, Callable[[pl.DataFrame, Partition, Held], Iterator[Reference]]] = {
    RELEASE_FILES.name: _of_lock,
    IF_ARCHIVE.name: _of_archive,
    MASSIVE_FILES.name: _of_deposits,
    FIGSHARE_FILES.name: _of_article,
    SRA_RUNS.name: _of_runs,
    IF_TENSORS.name: _of_tensors,
    IF_CELLS.name: _of_cells,
    PERTURB_TARGETS.name: _of_profiles,
}
"""Table to its rule."""
