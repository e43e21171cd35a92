"""Everything that a release refers to: the one answer for verification, garbage collection and backup.

Belongs here: following what is published to what it needs. A table names blobs and tensors, a lock names files whose
bytes may be stored. Does not belong here: reading what is referred to (`verification`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.archives.dataverse.acquire import stored_blob
from cm4ai_assets.archives.dataverse.lock import locked_files
from cm4ai_assets.archives.ena.acquire import run_files
from cm4ai_assets.archives.ena.acquire import stored_blob as run_blob
from cm4ai_assets.archives.figshare.acquire import stored_blob as article_blob
from cm4ai_assets.archives.figshare.lock import FigshareFile
from cm4ai_assets.archives.massive.acquire import DepositFile
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Makings
from cm4ai_assets.storage.nuclei import nuclei_of
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import IF_TENSORS
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.tables.release import IF_ARCHIVE, RELEASE_FILES
from cm4ai_assets.tables.targets import PERTURB_TARGETS
from cm4ai_assets.updates.inputs import feed_of, holder


class Kind(StrEnum):
    """What is referred to; the word that `cm4ai verify` prints."""

    RECORD = "release record"
    TABLE = "table"
    DOCUMENT = "document"
    BLOB = "blob"
    TENSOR = "tensor"
    STATISTICS = "statistics"
    PROFILES = "profiles"
    NUCLEI = "nuclei"
    LEVEL = "smaller images"
    ENVIRONMENT = "environment"
    SOFTWARE = "software"


OF_RUNS = frozenset({Kind.TABLE, Kind.DOCUMENT, Kind.TENSOR, Kind.NUCLEI, Kind.PROFILES})
"""What runs make and records of runs are about (`storage.makings`)."""


@dataclass(frozen=True)
class Reference:
    """One stored thing that a release refers to.

    Attributes:
        kind: What it is.
        path: Where it stands, relative to the storage root: a file, or the folder of a tensor or document.
        name: Its table, document, published label or tensor id.
        partition: That of the table or document; of another thing, the partition whose table refers to it.
    """

    kind: Kind
    path: str
    name: str
    partition: Partition


@dataclass(frozen=True)
class _Held:
    """Where what is referred to stands."""

    store: Store
    blobs: BlobStore

    @cached_property
    def levels(self) -> list[str]:
        """The names of the copies at a smaller edge length, of every tensor: listed once."""
        return self.store.children(layout.LEVELS)


Unreadable = Callable[[Reference, BaseException], None]


def references(
    store: Store, release: str | None = None, *, unreadable: Unreadable | None = None
) -> Iterator[Reference]:
    """Everything that one release refers to, or that any does, each thing once.

    Args:
        store: The storage.
        release: A release key; None for all releases, and for tables that know no release.
        unreadable: Called with a table that cannot be read, whose references are therefore not known. Without it the
            error is raised: nobody may take an incomplete answer for a whole one and delete what is left.
    """
    seen: dict[str, Kind] = {}
    for found in _all(store, release, unreadable or _raise):
        if found.path not in seen:
            seen[found.path] = found.kind
            yield found
    yield from _software(store, [path for path, kind in seen.items() if kind in OF_RUNS])


def _software(store: Store, paths: Iterable[str]) -> Iterator[Reference]:
    """Source and distributions that the records of runs name. Of a damaged record the check of its thing speaks."""
    makings, environments, sources = Makings(store), set[str](), set[str]()
    for path in paths:
        with suppress(StoredBytesDamagedError):
            if (making := makings.of(path)) is not None:
                environments.add(making.software.environment)
                sources |= {making.software.source} if making.software.source else set()
    for sha256 in sorted(environments):
        yield Reference(Kind.ENVIRONMENT, layout.environment_path(sha256), sha256[:12], Partition())
    for sha256 in sorted(sources):
        yield Reference(Kind.SOFTWARE, layout.software_path(sha256), sha256[:12], Partition())


def _all(store: Store, release: str | None, unreadable: Unreadable) -> Iterator[Reference]:
    yield from _records(store, release)
    there = store.all_partitions()
    published = [one for table in tables.ALL for one in _tables(store, table, there, release, unreadable)]
    yield from published
    yield from _documents(store, release)
    held = _Held(store, BlobStore(store.fs, store.root))
    for one in published:
        follow = _FOLLOW.get(one.name)
        if follow is None:
            continue
        try:
            store.digests.hold(one.path)
            rows = store.table(one.name, one.partition).collect()
            found = list(follow(rows, one.partition, held))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - polars' panics on damaged files derive from it
            unreadable(one, error)
            continue
        yield from found


def _raise(_: Reference, error: BaseException) -> None:
    raise error


def _records(store: Store, release: str | None) -> Iterator[Reference]:
    wanted = layout.release_path(release) if release else None
    for path in store.find(layout.RELEASES):
        if path.endswith(".json") and wanted in {None, path}:
            key = path.rsplit("/", 1)[-1].removesuffix(".json")
            yield Reference(Kind.RECORD, path, key, Partition(key))


def _tables(
    store: Store,
    table: Table,
    there: Mapping[str, Sequence[Partition]],
    release: str | None,
    unreadable: Unreadable,
) -> Iterator[Reference]:
    own = [partition for partition in there.get(table.name, ()) if release in {None, partition.release}]
    for partition in own:
        yield _table(table, partition)
    feed = feed_of(table.name)
    if release is None or feed is None:
        return
    for wanted in layout.partitions_of(table, Partition(release)):
        if wanted in own:
            continue
        try:
            shared = holder(store, feed, wanted)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a lock that cannot be read; see `_all`
            unreadable(_table(RELEASE_FILES, Partition(release)), error)
            return
        if shared is not None and store.has_table(table.name, Partition(shared, wanted.condition)):
            yield _table(table, Partition(shared, wanted.condition))


def _table(table: Table, partition: Partition) -> Reference:
    return Reference(Kind.TABLE, layout.table_path(table, partition), table.name, partition)


def _documents(store: Store, release: str | None) -> Iterator[Reference]:
    for path in store.find(layout.DOCUMENTS):
        named = layout.document_partition(path)
        if named is not None and release in {None, named[1].release}:
            yield Reference(Kind.DOCUMENT, path.rsplit("/", 1)[0], *named)


def _of_lock(rows: pl.DataFrame, partition: Partition, held: _Held) -> Iterator[Reference]:
    for file in locked_files(rows):
        if (blob := stored_blob(file, held.blobs)) is not None:
            yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), file.path, partition)


def _of_archive(rows: pl.DataFrame, partition: Partition, held: _Held) -> Iterator[Reference]:
    for label, sha256 in rows.select("label", "sha256").iter_rows():
        yield Reference(Kind.BLOB, held.blobs.path(sha256), label, partition)


def _of_deposits(rows: pl.DataFrame, partition: Partition, held: _Held) -> Iterator[Reference]:
    """What was pulled of the deposits, before the table was made or since: its rows name files, the index their bytes.

    The members of a folder stand in no table. Where one was pulled, all is meant that came without a published digest:
    one blob too many is kept, and none is lost.
    """
    files = [
        (row["path"], DepositFile(row["accession"], row["path"], row["size"])) for row in rows.iter_rows(named=True)
    ]
    noted = held.blobs.index.first_uses([file.identity for _, file in files])
    for path, file in files:
        if (blob := noted.get(file.identity)) is not None and held.blobs.has(blob.sha256):
            yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), path, partition)
    folders = [row for row in rows.filter(pl.col("sha256").is_not_null())["sha256"] if not held.blobs.has(row)]
    for sha256 in held.blobs.without_digest() if folders else ():
        yield Reference(Kind.BLOB, held.blobs.path(sha256), "of a deposit", partition)


def _of_article(rows: pl.DataFrame, partition: Partition, held: _Held) -> Iterator[Reference]:
    """What is stored of the article's files, before the table was made or since."""
    for row in rows.iter_rows(named=True):
        if (blob := article_blob(FigshareFile.from_row(row), held.blobs)) is not None:
            yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), row["label"], partition)


def _of_runs(rows: pl.DataFrame, partition: Partition, held: _Held) -> Iterator[Reference]:
    """What was pulled of the runs' files, before the table was made or since."""
    for row in rows.filter(pl.col("file_names").list.len() > 0).iter_rows(named=True):
        for file in run_files(row):
            if (blob := run_blob(file, held.blobs)) is not None:
                yield Reference(Kind.BLOB, held.blobs.path(blob.sha256), file.name, partition)


def _of_tensors(rows: pl.DataFrame, partition: Partition, held: _Held) -> Iterator[Reference]:
    """The tensor, its statistics, and the copies at a smaller edge length that a reader has stored."""
    for path in rows["path"]:
        name = path.rsplit("/", 1)[-1].removesuffix(".zarr")
        yield Reference(Kind.TENSOR, path, name, partition)
        yield Reference(Kind.STATISTICS, layout.statistics_path(name), name, partition)
        for level in held.levels:
            if level.startswith(f"{name}-"):
                yield Reference(Kind.LEVEL, f"{layout.LEVELS}/{level}", level.removesuffix(".zarr"), partition)


def _of_cells(rows: pl.DataFrame, partition: Partition, held: _Held) -> Iterator[Reference]:
    """The store of the nuclei. Where there is not one nucleus no row names it; then the tensor's row leads to it."""
    paths = rows["path"].unique().to_list()
    if not paths and held.store.has_table(IF_TENSORS.name, partition):
        tensors = held.store.table(IF_TENSORS.name, partition).collect()["path"]
        stores = [layout.nuclei_path(nuclei_of(path.rsplit("/", 1)[-1].removesuffix(".zarr"))) for path in tensors]
        paths = [path for path in stores if held.store.exists(path)]
    for path in paths:
        yield Reference(Kind.NUCLEI, path, path.rsplit("/", 1)[-1].removesuffix(".zarr"), partition)


def _of_profiles(rows: pl.DataFrame, partition: Partition, _: _Held) -> Iterator[Reference]:
    for path in rows["path"].unique():
        yield Reference(Kind.PROFILES, path, path.rsplit("/", 1)[-1].removesuffix(".zarr"), partition)


_FOLLOW: dict[str, Callable[[pl.DataFrame, Partition, _Held], Iterator[Reference]]] = {
    RELEASE_FILES.name: _of_lock,
    IF_ARCHIVE.name: _of_archive,
    MASSIVE_FILES.name: _of_deposits,
    FIGSHARE_FILES.name: _of_article,
    SRA_RUNS.name: _of_runs,
    IF_TENSORS.name: _of_tensors,
    IF_CELLS.name: _of_cells,
    PERTURB_TARGETS.name: _of_profiles,
}


def everything(store: Store, *, unreadable: Unreadable | None = None) -> Iterator[Reference]:
    """All that any release refers to, and the stored blobs that none does."""
    seen = set()
    for found in references(store, unreadable=unreadable):
        seen.add(found.path)
        yield found
    blobs = BlobStore(store.fs, store.root)
    for sha256 in blobs.all():
        if (path := blobs.path(sha256)) not in seen:
            yield Reference(Kind.BLOB, path, "not referred to", Partition())
