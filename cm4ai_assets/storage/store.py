"""The store: the one object through which published tables, documents and tensors are opened and published.

Belongs here: what exists, opening it, staging and publishing it. Does not belong here: paths (`layout`), how a staged
file becomes final (`staging`), published bytes of the archive (`storage.blobs`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import fsspec
import polars as pl

from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage import documents, layout, parquet
from cm4ai_assets.storage.documents import PublishedDocument, StagedDocument
from cm4ai_assets.storage.file_digests import FileDigests, Files, Publication
from cm4ai_assets.storage.filesystems import open_filesystem
from cm4ai_assets.storage.identity import require_known_layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.placing import clock_of, file_size, files_at, is_local, keep_only, listed_at, modified_at
from cm4ai_assets.storage.shared import SharedFolder
from cm4ai_assets.storage.staging import Staging
from cm4ai_assets.tables import Document, Table, Violation, table

STRETCH = 131_072
"""Rows of a stretch in which a long table is read."""


def in_stretches(rows: pl.LazyFrame, size: int = STRETCH) -> Iterator[pl.DataFrame]:
    """The rows of a table that would not fit into memory, so many at a time; one frame without rows if it has none."""
    height = rows.select(pl.len()).collect().item()
    for begin in range(0, max(1, height), size):
        yield rows.slice(begin, size).collect()


class Put(Protocol):
    """Puts a folder in the making under its final path, and records its digests; see `Store.publish_tree`."""

    def __call__(self, path: str, *, replace: bool) -> None:
        """`replace` what stands there."""


@dataclass(frozen=True)
class Listed:
    """A file of the store: its bytes, and when it was written (UTC); None where the filesystem does not say."""

    size: int
    written: datetime | None


@dataclass(frozen=True)
class StagedTable:
    """A table's file, written and not yet published. What is audited here is the very file that will be published."""

    table: Table
    partition: Partition
    path: Path

    def frame(self) -> pl.DataFrame:
        """The rows as a reader of the file will see them."""
        return pl.read_parquet(self.path, hive_partitioning=False)

    def height(self) -> int:
        """The number of rows."""
        return int(pl.scan_parquet(self.path, hive_partitioning=False).select(pl.len()).collect().item())

    def violations(self) -> list[Violation]:
        """Every way in which the file is not what its table says."""
        if self.table.is_long:
            return self.table.violations_in(in_stretches(pl.scan_parquet(self.path, hive_partitioning=False)))
        return self.table.violations(self.frame())

    def digest(self) -> str:
        """SHA-256 of the file: equal digests, equal tables."""
        with self.path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()


class Store:
    """Published tables, documents and tensors below one root, on any fsspec filesystem.

    Args:
        url: Where: a path or fsspec URL.
        scratch: Local folder for files in the making, where the storage is not local.
        holds: Tables are held against their recorded digest before they are read. So it is in every step: what is made
            of altered bytes looks as good as anything else.
    """

    def __init__(self, url: str, *, scratch: Path, holds: bool = False) -> None:
        fs, root = open_filesystem(url)
        self.url = url
        self.fs: fsspec.AbstractFileSystem = fs
        self.root: str = root
        self.is_local = is_local(fs)
        self.staging = Staging(fs, self.root, scratch)
        self.digests = FileDigests(fs, self.root)
        self._holds = holds

    @classmethod
    def from_settings(cls, settings: Settings, *, holds: bool = False) -> Store:
        """The store that the settings name.

        Raises:
            ConfigurationError: It cannot be opened, or this version of the software does not know its layout.
        """
        return cls.opened(settings.storage, scratch=settings.scratch, holds=holds)

    @classmethod
    def opened(cls, url: str, *, scratch: Path, holds: bool = False) -> Store:
        """See `from_settings`."""
        store = cls(url, scratch=scratch, holds=holds)
        require_known_layout(store)
        return store

    def location(self, path: str) -> str:
        """The full address of a path of this store, for people."""
        return f"{self.root}/{path}" if self.is_local else str(self.fs.unstrip_protocol(f"{self.root}/{path}"))

    def address(self, path: str) -> str:
        """A path of this store as its filesystem names it, for libraries that read through `fs`."""
        return f"{self.root}/{path}"

    def exists(self, path: str) -> bool:
        """Something stands under this path of the store."""
        return bool(self.fs.exists(self.address(path)))

    def has_file(self, path: str) -> bool:
        """A file stands under this path of the store: by one request, where `exists` also asks for folders."""
        return file_size(self.fs, self.address(path)) is not None

    def sizes(self, path: str) -> dict[str, int]:
        """The file under a path of the store, or all below it, as paths of the store, sorted, with their bytes."""
        return {found[len(self.root) + 1 :]: size for found, size in files_at(self.fs, self.address(path)).items()}

    def size(self, path: str) -> int:
        """Bytes of the file under this path of the store, or of all files below it; 0 if there are none."""
        return sum(self.sizes(path).values())

    def read(self, path: str) -> bytes:
        """The bytes of a file of the store.

        Raises:
            FileNotFoundError: There is none.
        """
        return bytes(self.fs.cat_file(self.address(path)))

    def find(self, path: str) -> list[str]:
        """Every file below a path of the store, as paths of the store, sorted; none if nothing stands there."""
        return list(self.sizes(path))

    def stamps(self, path: str) -> dict[str, str]:
        """Every file below a path of the store with its stamp: while it is the same, so is the file.

        By one listing. Empty where the filesystem's listing tells contents of one size not apart.
        """
        found = listed_at(self.fs, self.address(path))
        return {name[len(self.root) + 1 :]: _stamp(info) for name, info in found.items()}

    def listing(self, path: str = "") -> dict[str, Listed]:
        """Every file below a path of the store, by default all of it, as paths of the store, sorted. By one listing."""
        found = listed_at(self.fs, self.address(path))
        return {
            name[len(self.root) + 1 :]: Listed(int(info["size"] or 0), modified_at(info))
            for name, info in found.items()
        }

    def now(self) -> datetime:
        """The time by the clock by which the files of this store are dated."""
        return clock_of(self.fs, self.root)

    def children(self, path: str) -> list[str]:
        """The names of what stands directly below a path of the store, sorted."""
        return sorted({name[len(path) + 1 :].split("/", 1)[0] for name in self.find(path)})

    def remove(self, path: str, *, first: str | None = None) -> None:
        """Take away what stands under a path of this store, if anything does, then the records of it.

        Args:
            path: Its file or folder.
            first: The file of a folder without which no reader takes it for complete; it goes before the others.
        """
        if first is not None:
            self._remove_file(f"{path}/{first}")
        if self.is_local:
            if self.exists(path):
                self.fs.rm(self.address(path), recursive=True)
        elif found := list(files_at(self.fs, self.address(path))):
            self.fs.rm(found)
        self.digests.forget(path)
        for record in (layout.making_path(path), layout.verified_path(path)):
            self._remove_file(record)

    def _remove_file(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(self.address(path))

    def has_table(self, name: str, partition: Partition) -> bool:
        """This partition of a table is published."""
        return self.has_file(layout.table_path(table(name), partition))

    def table(self, name: str, partition: Partition) -> pl.LazyFrame:
        """One published partition of a table.

        Raises:
            NotMaterializedError: It is not published.
            StoredBytesDamagedError: Its file is not what was published; only where this store looks (`holds`).
        """
        path = layout.table_path(table(name), partition)
        if self.is_local:
            if not self.exists(path):
                raise _not_materialized(name, partition)
            if self._holds:
                self.digests.hold(path)
            return pl.scan_parquet(self.address(path), hive_partitioning=False)
        try:
            data = self.read(path)
        except FileNotFoundError:
            raise _not_materialized(name, partition) from None
        if self._holds:
            self.digests.hold(path, data)
        return pl.read_parquet(io.BytesIO(data), hive_partitioning=False).lazy()

    def partitions(self, name: str) -> list[Partition]:
        """The published partitions of a table, sorted."""
        found = (layout.table_partition(path) for path in self.find(f"{layout.TABLES}/{table(name).name}"))
        return sorted((hit[1] for hit in found if hit is not None), key=str)

    def release_table(self, name: str, release: str) -> pl.LazyFrame:
        """A table of one release, all its published conditions together; the whole table if it knows no releases.

        Raises:
            NotMaterializedError: None is published.
        """
        if table(name).partitioning is Partitioning.NONE:
            return self.table(name, Partition())
        if table(name).partitioning is Partitioning.RELEASE:
            return self.table(name, Partition(release))
        parts = [part for part in self.partitions(name) if part.release == release]
        if not parts:
            raise NotMaterializedError(
                f"{name} is not materialized for {release}.",
                remedy=f"Run `cm4ai materialize --release {release}`; `cm4ai releases` shows what there is.",
            )
        return pl.concat([self.table(name, part) for part in parts])

    @contextmanager
    def stage_table(
        self, name: str, partition: Partition, frame: pl.DataFrame, *, credit: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[StagedTable]:
        """Write a partition's file under a temporary name. It is gone at the end unless it was published.

        `credit` goes into the file's own metadata: dataset, version, licence.
        """
        described = table(name)
        with self.staging.folder() as folder:
            path = folder / "data.parquet"
            metadata = {"table": name, **credit, "description": described.description}
            parquet.write(frame, path, metadata=metadata)
            yield StagedTable(described, partition, path)

    @contextmanager
    def stage_stretches(
        self,
        name: str,
        partition: Partition,
        stretches: Iterable[pl.DataFrame],
        *,
        credit: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[StagedTable]:
        """See `stage_table`, for a long table, whose rows come a stretch at a time and are never all in memory."""
        described = table(name)
        with self.staging.folder() as folder:
            path = folder / "data.parquet"
            metadata = {"table": name, **credit, "description": described.description}
            parquet.write_stretches(stretches, path, like=described.empty(), metadata=metadata)
            yield StagedTable(described, partition, path)

    def publish_table(self, staged: StagedTable) -> str:
        """Switch a partition to its staged file, atomically; the path it now has."""
        path = layout.table_path(staged.table, staged.partition)
        self.publish_file(staged.path, path)
        return path

    def publish_file(self, staged: Path, path: str) -> None:
        """Make a staged file appear under a path of this store, replacing what stood there, and record its digest."""
        with self.digests.publishing(path, staged):
            self.staging.publish_file(staged, path)

    def create(self, data: bytes, path: str) -> None:
        """Make a small file appear under a path of this store, if nothing stands there, and record its digest.

        Raises:
            FileExistsError: Something stands there.
        """
        self.staging.create(data, path)
        self.digests.note(path, data)

    def publish_tree(self, staged: Path, path: str, *, last: str, replace: bool = False) -> None:
        """Make a staged folder appear under a path of this store, and record its files' digests.

        Args:
            staged: The folder.
            path: Where it is to stand. A folder that is complete there, with the file `last`, is kept, and its record.
            last: The file without which no reader takes the folder for complete.
            replace: What stands there is of no use, and is replaced.
        """
        with self._publishing_folder(path, staged, last=last, replace=replace) as publication:
            if publication is not None:
                publication.placed = self.staging.publish_tree(staged, path, last=last)

    @contextmanager
    def _publishing_folder(
        self, path: str, staged: Path | Files, *, last: str, replace: bool
    ) -> Iterator[Publication | None]:
        """The record of a folder's digests around its publication; None where one stands that is kept."""
        if not replace and self.has_file(f"{path}/{last}"):
            yield None
            return
        if replace and self.is_local:  # elsewhere file by file: another writer may be at it
            self.remove(path)
        with self.digests.publishing(path, staged) as publication:
            yield publication

    @contextmanager
    def shared_folder(self) -> Iterator[SharedFolder]:
        """A folder in the making that processes of other machines write into, too. It is gone at the end."""
        with self.staging.shared_folder() as (path, local):
            yield SharedFolder(self.fs, self.root, path, local)

    def publish_shared(
        self, staged: SharedFolder, path: str, *, files: Files, last: str, replace: bool = False
    ) -> None:
        """Make a shared folder appear under a path of this store, and record its files' digests.

        As with `publish_tree` a folder that stands there is kept, and so is its record.

        Args:
            staged: The folder, complete (`SharedFolder.complete`).
            path: Its final path.
            files: What is in it.
            last: The file without which no reader takes the folder for complete.
            replace: See `publish_tree`.
        """
        with self._publishing_folder(path, files, last=last, replace=replace) as publication:
            if publication is None:
                return
            if self.is_local:
                publication.placed = self.staging.publish_tree(staged.local, path, last=last)
                if publication.placed:  # a worker that was taken for lost may have begun a file meanwhile
                    keep_only(self.fs, self.address(path), [self.address(f"{path}/{name}") for name in files])
            else:
                staged.move(path, files, last=last)

    def all_partitions(self) -> dict[str, list[Partition]]:
        """The published partitions of every table, by its name, sorted: see `partitions`. By one listing."""
        found = [hit for path in self.find(layout.TABLES) if (hit := layout.table_partition(path)) is not None]
        by_name: dict[str, list[Partition]] = {}
        for name, partition in sorted(found, key=str):
            by_name.setdefault(name, []).append(partition)
        return by_name

    def statistics(self, path: str) -> pl.DataFrame:
        """The statistics of a pass over pixels (`layout.statistics_path`), held against their digest.

        Raises:
            StoredBytesDamagedError: They are not what was published.
        """
        data = self.read(path)
        self.digests.hold(path, data)
        return pl.read_parquet(io.BytesIO(data))

    @contextmanager
    def stage_document(
        self, document: Document, partition: Partition, files: Mapping[str, bytes]
    ) -> Iterator[StagedDocument]:
        """Write a document's files under a temporary name. They are gone at the end unless they were published.

        Raises:
            DocumentError: A name that is not a plain relative path.
        """
        with self.staging.folder() as folder:
            yield documents.stage(document, partition, files, folder / "document")

    def publish_document(self, staged: StagedDocument) -> PublishedDocument:
        """Switch a document to its staged version, in one step.

        Raises:
            DocumentError: Another run published the same document at the same time.
        """
        return documents.publish(self, staged)

    def has_document(self, document: Document, partition: Partition) -> bool:
        """This partition of a document is published."""
        return self.has_file(f"{layout.document_folder(document, partition)}/{layout.CURRENT}")

    def document(self, document: Document, partition: Partition) -> PublishedDocument:
        """The published version of a document.

        Raises:
            NotMaterializedError: None is published.
            DocumentError: Its record is damaged.
        """
        try:
            return documents.read_current(self, layout.document_folder(document, partition))
        except FileNotFoundError:
            raise _not_materialized(document.name, partition) from None

    def published_documents(self) -> list[tuple[str, Partition]]:
        """Every published document: its name and partition, sorted."""
        found = (layout.document_partition(path) for path in self.find(layout.DOCUMENTS))
        return sorted((hit for hit in found if hit is not None), key=str)


_STAMPS = ("mtime", "created", "ino", "ETag", "etag", "md5Hash", "generation", "LastModified")


def _stamp(info: Mapping[str, object]) -> str:
    said = [f"{name}={info[name]}" for name in _STAMPS if info.get(name)]
    return " ".join([f"size={info.get('size')}", *said]) if said else ""


def _not_materialized(name: str, partition: Partition) -> NotMaterializedError:
    release = partition.release or "latest"
    return NotMaterializedError(
        f"{name} is not materialized for {partition}.",
        remedy=f"Run `cm4ai materialize --release {release}`, or materialize it in the UI.",
    )
