"""The store: the one object through which published tables and tensors are opened and published.

Belongs here: what exists, opening it, staging and publishing it. Does not belong here: paths (`layout`), how a staged
file becomes final (`staging`), published bytes of the archive (`storage.blobs`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec
import polars as pl

from cm4ai_assets.errors import ConfigurationError, NotMaterializedError
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.staging import Staging, is_local
from cm4ai_assets.tables import Partitioning, Table, Violation, table

DATA_LICENSE = "CC BY-NC-SA 4.0"


@dataclass(frozen=True)
class StagedTable:
    """A table's file, written and not yet published. What is audited here is the very file that will be published."""

    table: Table
    partition: Partition
    path: Path

    def frame(self) -> pl.DataFrame:
        """The rows as a reader of the file will see them."""
        return pl.read_parquet(self.path, hive_partitioning=False)

    def violations(self) -> list[Violation]:
        """Every way in which the file is not what its table says."""
        return self.table.violations(self.frame())

    def digest(self) -> str:
        """SHA-256 of the file: equal digests, equal tables."""
        with self.path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()


class Store:
    """Published tables and tensors below one root, on any fsspec filesystem."""

    def __init__(self, url: str, *, scratch: Path) -> None:
        try:
            fs, root = fsspec.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(f"CM4AI_STORAGE={url!r} cannot be opened: {error}.") from error
        self.url = url
        self.fs: fsspec.AbstractFileSystem = fs
        self.root: str = root.rstrip("/")
        self.is_local = is_local(fs)
        self.staging = Staging(fs, self.root, scratch)

    @classmethod
    def from_settings(cls, settings: Settings) -> Store:
        """The store that the settings name."""
        return cls(settings.storage, scratch=settings.scratch)

    def location(self, path: str) -> str:
        """The full address of a path of this store, for people."""
        return f"{self.root}/{path}" if self.is_local else str(self.fs.unstrip_protocol(f"{self.root}/{path}"))

    def exists(self, path: str) -> bool:
        """Something stands under this path of the store."""
        return bool(self.fs.exists(f"{self.root}/{path}"))

    def remove(self, path: str) -> None:
        """Take away what stands under a path of this store, if anything does."""
        if self.exists(path):
            self.fs.rm(f"{self.root}/{path}", recursive=True)

    def has_table(self, name: str, partition: Partition) -> bool:
        """This partition of a table is published."""
        return self.exists(layout.table_path(table(name), partition))

    def table(self, name: str, partition: Partition) -> pl.LazyFrame:
        """One published partition of a table.

        Raises:
            NotMaterializedError: It is not published.
        """
        path = layout.table_path(table(name), partition)
        if not self.exists(path):
            release = partition.release or "latest"
            raise NotMaterializedError(
                f"{name} is not materialized for {partition}.",
                remedy=f"Run `cm4ai materialize --release {release}`, or materialize it in the UI.",
            )
        if self.is_local:
            return pl.scan_parquet(f"{self.root}/{path}", hive_partitioning=False)
        return pl.read_parquet(io.BytesIO(self.fs.cat_file(f"{self.root}/{path}")), hive_partitioning=False).lazy()

    def partitions(self, name: str) -> list[Partition]:
        """The published partitions of a table, sorted."""
        base = f"{self.root}/tables/{table(name).name}"
        if not self.fs.exists(base):
            return []
        found = (layout.table_partition(path) for path in self.fs.find(base))
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
    def stage_table(self, name: str, partition: Partition, frame: pl.DataFrame) -> Iterator[StagedTable]:
        """Write a partition's file under a temporary name. It is gone at the end unless it was published."""
        from cm4ai_assets.storage import parquet  # noqa: PLC0415 - readers need no pyarrow

        described = table(name)
        with self.staging.folder() as folder:
            path = folder / "data.parquet"
            told = {"table": name, "license": DATA_LICENSE, "description": described.description}
            parquet.write(frame, path, metadata=told)
            yield StagedTable(described, partition, path)

    def publish_table(self, staged: StagedTable) -> str:
        """Switch a partition to its staged file, atomically; the path it now has."""
        path = layout.table_path(staged.table, staged.partition)
        self.staging.publish_file(staged.path, path)
        return path
