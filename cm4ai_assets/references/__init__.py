"""Everything that a release refers to: the one answer for verification, garbage collection and backup.

Belongs here: following what is published to what it needs. A table names blobs and tensors (`following`), a lock names
files whose bytes may be stored. Does not belong here: reading what is referred to (`verification`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property

from cm4ai_assets import tables
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.references.following import FOLLOW, Held
from cm4ai_assets.references.kinds import OF_RUNS, Kind, Reference
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.holders import Holders
from cm4ai_assets.updates.inputs import feed_of

__all__ = ["OF_RUNS", "Kind", "Reference", "References", "Unreadable", "everything", "references"]

NO_RELEASE = ""
"""In place of a release key: tables and documents that know no release."""

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
    return References(store, unreadable=unreadable).of(release)


class References:
    """What releases refer to, as it stands now: the storage is listed once, and each table read once, for all of them.

    Args:
        store: The storage.
        unreadable: See `references`.
    """

    def __init__(self, store: Store, *, unreadable: Unreadable | None = None) -> None:
        self._store = store
        self._unreadable = unreadable or _raise
        self._held = Held(store, BlobStore(store.fs, store.root))
        self._holders = Holders(store, unreadable=self._unreadable_lock)
        self._followed: dict[str, list[Reference] | BaseException] = {}
        self._made_by: dict[str, tuple[str, str | None] | None] = {}

    def of(self, release: str | None = None) -> Iterator[Reference]:
        """See `references`; `NO_RELEASE` for the tables and documents that know no release alone."""
        seen: dict[str, Kind] = {}
        for found in self._all(release):
            if found.path not in seen:
                seen[found.path] = found.kind
                yield found
        yield from self.software_of(path for path, kind in seen.items() if kind in OF_RUNS)

    @cached_property
    def published(self) -> dict[str, list[Partition]]:
        """The published partitions of every table, by its name."""
        return self._store.all_partitions()

    @cached_property
    def documents(self) -> list[Reference]:
        """Every published document."""
        named = ((path, layout.document_partition(path)) for path in self._store.find(layout.DOCUMENTS))
        return [Reference(Kind.DOCUMENT, path.rsplit("/", 1)[0], *found) for path, found in named if found is not None]

    @cached_property
    def records(self) -> list[Reference]:
        """Every file among the release records, readable or not."""
        paths = [path for path in self._store.find(layout.RELEASES) if path.endswith(".json")]
        keys = [path.rsplit("/", 1)[-1].removesuffix(".json") for path in paths]
        return [Reference(Kind.RECORD, path, key, Partition(key)) for path, key in zip(paths, keys, strict=True)]

    def _all(self, release: str | None) -> Iterator[Reference]:
        yield from (one for one in self.records if release in {None, one.name})
        published = [one for table in tables.ALL for one in self._tables(table, release)]
        yield from published
        yield from (one for one in self.documents if release in {None, one.partition.release})
        for one in published:
            yield from self._of_rows(one)

    def _of_rows(self, table: Reference) -> Iterator[Reference]:
        """What the rows of a table name."""
        follow = FOLLOW.get(table.name)
        if follow is None:
            return
        if table.path not in self._followed:
            try:
                self._store.digests.hold(table.path)
                rows = self._store.table(table.name, table.partition).collect()
                self._followed[table.path] = list(follow(rows, table.partition, self._held))
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 - polars' panics on damaged files derive from it
                self._followed[table.path] = error
        found = self._followed[table.path]
        if isinstance(found, BaseException):
            self._unreadable(table, found)
        else:
            yield from found

    def _tables(self, table: Table, release: str | None) -> Iterator[Reference]:
        """A release's own tables, and those of another one that hold for it too."""
        own = [one for one in self.published.get(table.name, ()) if release in {None, one.release}]
        for partition in own:
            yield _table(table, partition)
        feed = feed_of(table.name)
        if not release or feed is None:
            return
        for wanted in layout.partitions_of(table, Partition(release)):
            if wanted in own:
                continue
            shared = self._holders.holder(feed, wanted)
            if shared is None:
                continue
            place = Partition(shared, wanted.condition)
            if place in self.published.get(table.name, ()):
                yield _table(table, place)

    def _unreadable_lock(self, release: str, error: BaseException) -> None:
        self._unreadable(_table(RELEASE_FILES, Partition(release)), error)

    def software_of(self, paths: Iterable[str]) -> Iterator[Reference]:
        """Source and distributions that the records of the runs name that made what stands under these paths."""
        named = [made for path in paths if (made := self._making(path)) is not None]
        for sha256 in sorted({environment for environment, _ in named}):
            yield Reference(Kind.ENVIRONMENT, layout.environment_path(sha256), sha256[:12], Partition())
        for sha256 in sorted({source for _, source in named if source}):
            yield Reference(Kind.SOFTWARE, layout.software_path(sha256), sha256[:12], Partition())

    def _making(self, path: str) -> tuple[str, str | None] | None:
        """Environment and source of what made a thing. Of a damaged record the check of its thing speaks."""
        if path not in self._made_by:
            self._made_by[path] = None
            with suppress(StoredBytesDamagedError):
                if (making := Makings(self._store).of(path)) is not None:
                    self._made_by[path] = (making.software.environment, making.software.source)
        return self._made_by[path]


def _raise(_: Reference, error: BaseException) -> None:
    raise error


def _table(table: Table, partition: Partition) -> Reference:
    return Reference(Kind.TABLE, layout.table_path(table, partition), table.name, partition)


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
