"""Walking from rows to what they were made of: what every rule of a table needs, read once for each trace.

Belongs here: tables with the numbers of their rows, where things stand with the runs that made them, and published
files as links. Does not belong here: which rows of which table are behind a row (`rules`), and whole tables, stores and
documents (`products`). No network and no Dagster instance: the storage alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.errors import Cm4aiError, DocumentError, StoredBytesDamagedError
from cm4ai_assets.lineage.delivered import folder_digest
from cm4ai_assets.lineage.published import PublishedFile, PublishedFiles
from cm4ai_assets.lineage.shown import numbers_in_words
from cm4ai_assets.lineage.steps import Member, RowsOf, State, Step, StepKind, Stored, Used
from cm4ai_assets.storage import documents, layout
from cm4ai_assets.storage.addresses import blob_of
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.file_digests import Files
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Making, Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.zips import ZipDirectory, read_directory
from cm4ai_assets.tables import Table
from cm4ai_assets.updates.inputs import published_as

NUMBER: Final = "#"
"""Column with the number of a row in the file of its partition, from 0."""

NO_RUN: Final = "It was made before runs were recorded: which run made it is not known."
OTHER_RUN: Final = "The record of its run is about other bytes: which run made these is not known."
NO_DIGEST: Final = "It was published before digests were recorded."
NOT_STORED: Final = "Its bytes are not stored here."
DAMAGED: Final = "What is stored of it is damaged: it has another size than it had."


@dataclass(frozen=True)
class Rows:
    """Some rows of one partition of a table, with their numbers in the column `NUMBER`."""

    table: Table
    partition: Partition
    frame: pl.DataFrame

    def values(self, column: str) -> list[Any]:
        """What a column of these rows has, each once, without nulls; what its lists have, if it is one of lists."""
        found = self.frame[column]
        found = found.explode() if isinstance(found.dtype, pl.List) else found
        return found.drop_nulls().unique().sort().to_list()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Their numbers, ascending."""
        return tuple(self.frame[NUMBER].sort().to_list())


@dataclass(frozen=True)
class Rule:
    """How rows of a table lead to what they were made of.

    Attributes:
        origins: Gives the links behind some rows.
        reads: The tables that the table is made of, those that there are.
    """

    origins: Callable[[Chain, Rows], Iterable[Step]]
    reads: tuple[str, ...] = ()


@dataclass
class Chain:
    """One storage, as it is walked for one trace.

    Attributes:
        store: The storage.
        rules: The rule of each table.
        release: The release that is asked about; what stands under another one with the same bytes holds for it too.
    """

    store: Store
    rules: Mapping[str, Rule]
    release: str | None = None
    _kept: dict[object, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.blobs = BlobStore(self.store.fs, self.store.root)
        self.makings = Makings(self.store)
        self.published = PublishedFiles(self.store)

    def once(self, key: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is made
        """What was made under a key before, or is made now."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    # Tables

    def place(self, name: str, wanted: Partition) -> Partition | None:
        """Where a partition of a table stands, its own place or that of a release with the same bytes."""
        found: Partition | None = self.once(("place", name, wanted), lambda: published_as(self.store, name, wanted))
        return found

    def table(self, name: str, place: Partition) -> pl.LazyFrame:
        """The rows of a published partition, with their numbers."""
        key = ("table", name, place)
        found: pl.LazyFrame = self.once(key, lambda: self.store.table(name, place).with_row_index(NUMBER))
        return found

    def matching(self, name: str, wanted: Partition, *where: pl.Expr) -> Iterator[Step]:
        """The rows of a partition that meet all conditions, as one link; a link that says so if it is not published.

        Where it is published and has no such row there is no link.
        """
        place = self.place(name, wanted)
        if place is None:
            yield Step(StepKind.TABLE, f"table {name} ({wanted})", notes=("It is not published here.",))
            return
        found = self.table(name, place).filter(*where).collect()
        if found.height:
            yield self.rows(Rows(tables.table(name), place, found))

    def rows(self, rows: Rows) -> Step:
        """Rows as a link, with all that is behind them."""
        key = ("rows", rows.table.name, rows.partition, rows.numbers)
        step: Step = self.once(key, lambda: self._rows(rows))
        return step

    def _rows(self, rows: Rows) -> Step:
        name, numbers = rows.table.name, rows.numbers
        rule = self.rules[name]
        stored, notes = self.stored(layout.table_path(rows.table, rows.partition))
        single = rows.frame.row(0, named=True) if len(numbers) == 1 else {}
        key = {column: single[column] for column in rows.table.key if column in single}
        which = f"row {numbers[0]}" if key else f"{len(numbers):,} rows"
        shown = ", ".join(f"{column}={value}" for column, value in key.items()) or numbers_in_words(numbers)
        origins = tuple(rule.origins(self, rows))
        if not origins:
            notes = (*notes, "What it was made of is not known.")
        return Step(
            StepKind.ROWS,
            f"{which} of {name} ({rows.partition}): {shown}",
            stored=stored,
            rows=RowsOf(name, rows.partition.release, rows.partition.condition, numbers, key),
            notes=notes,
            origins=origins,
        )

    # Where bytes stand, and which run made them

    def stored(self, path: str) -> tuple[Stored, tuple[str, ...]]:
        """Where a table's file, or the folder of a store or document, stands; and what is not known of it."""
        found: tuple[Stored, tuple[str, ...]] = self.once(("stored", path), lambda: self._stored(path))
        return found

    def _stored(self, path: str) -> tuple[Stored, tuple[str, ...]]:
        notes: list[str] = []
        digest, size = self._recorded(path, notes)
        making = self._making(path, digest, notes)
        inputs = tuple(self.used(one.path, one.digest) for one in making.inputs) if making else ()
        return Stored(path, digest, size, making, inputs), tuple(notes)

    def _recorded(self, path: str, notes: list[str]) -> tuple[str | None, int | None]:
        """The recorded digest and size of what stands under a path; None where no record decides."""
        if path.startswith(f"{layout.DOCUMENTS}/"):
            try:
                published = documents.read_current(self.store, path)
            except DocumentError as damaged:
                notes.append(str(damaged))
                return None, None
            return published.digest, sum(file.size for file in published.files.values())
        files = self.recorded_files(path, notes)
        return (None, None) if files is None else (folder_digest(files), sum(one.size for one in files.values()))

    def recorded_files(self, path: str, notes: list[str]) -> Files | None:
        """The files under a path as they were recorded; None, with a note why, where no record decides."""
        try:
            recorded = self.store.digests.read(path)
        except StoredBytesDamagedError as damaged:
            notes.append(str(damaged))
            return None
        if recorded is None:
            notes.append(NO_DIGEST)
        elif recorded.before is not None:
            notes.append("Its publication was interrupted: which of two contents stands here is not recorded.")
        else:
            return recorded.files
        return None

    def _making(self, path: str, digest: str | None, notes: list[str]) -> Making | None:
        try:
            making = self.makings.of(path)
        except StoredBytesDamagedError as damaged:
            notes.append(str(damaged))
            return None
        if making is None:
            notes.append(NO_RUN)
        elif making.digest != digest:
            notes.append(OTHER_RUN)
            return None
        return making

    def used(self, path: str, digest: str) -> Used:
        """How what stands under a path now compares with what a run was given."""
        now = self._digest_now(path)
        if now is None:
            return Used(path, digest, None, State.UNKNOWN if self.store.exists(path) else State.GONE)
        return Used(path, digest, now, State.SAME if now == digest else State.OTHER)

    def _digest_now(self, path: str) -> str | None:
        if (sha256 := blob_of(path)) is not None:
            return sha256 if self.blobs.has(sha256) else None
        try:
            return self._recorded(path, [])[0] if self.store.exists(path) else None
        except (FileNotFoundError, Cm4aiError):
            return None

    # Published files

    def files(self, name: str, place: Partition) -> tuple[PublishedFile, ...]:
        """The published files that a partition is made of, and those with the same bytes of the release asked about."""
        key = ("files", name, place)
        found: tuple[PublishedFile, ...] = self.once(key, lambda: tuple(dict.fromkeys(self._files(name, place))))
        return found

    def _files(self, name: str, place: Partition) -> Iterator[PublishedFile]:
        if not place.release:
            return
        yield from self.published.inputs(place.release, name, place.condition)
        if self.release and self.place(name, Partition(self.release, place.condition)) == place:
            yield from self.published.inputs(self.release, name, place.condition)

    def file(self, file: PublishedFile, *, lines: Sequence[int] = (), notes: Sequence[str] = ()) -> Step:
        """A published file as a link: the end of a chain."""
        key = ("file", file, tuple(lines), tuple(notes))
        step: Step = self.once(key, lambda: self._file(file, tuple(lines), tuple(notes)))
        return step

    def _file(self, file: PublishedFile, lines: tuple[int, ...], notes: tuple[str, ...]) -> Step:
        stored = None if file.sha256 is None else Stored(self.blobs.path(file.sha256), file.sha256, file.size)
        if stored is None and (blob := self._damaged(file)) is not None:
            stored, notes = Stored(self.blobs.path(blob.sha256), blob.sha256, blob.size), (*notes, DAMAGED)
        elif stored is None:
            notes = (*notes, NOT_STORED)
        name = f"published file {file.path}"
        return Step(StepKind.FILE, name, stored=stored, lines=lines, file=file, notes=notes)

    def _damaged(self, file: PublishedFile) -> Blob | None:
        """What was stored of a file, where something of another size stands there now; None where nothing does."""
        known = self.blobs.index.meant_by(file.digest_type, file.digest) if file.digest_type and file.digest else None
        return known if known is not None and self.blobs.has(known.sha256) else None

    def members(
        self, files: Sequence[PublishedFile], members: Sequence[Member], *, lines: Sequence[int] = (), note: str = ""
    ) -> Step:
        """Members of a ZIP as a link. `files` are the ZIP, as each release publishes it that is asked about."""
        one = f"member {members[0].name}" if len(members) == 1 else f"{len(members):,} members"
        of = files[0].path if files else "a ZIP that no release lists"
        return Step(
            StepKind.MEMBERS,
            f"{one} of {of}",
            members=tuple(members),
            lines=tuple(lines),
            notes=(note,) if note else (),
            origins=tuple(self.file(file) for file in files),
        )

    def directory(self, sha256: str | None) -> ZipDirectory | None:
        """The members of a stored ZIP; None where its bytes are not stored, or are no sound ZIP.

        What would have to be read as a whole for it, because its blocks were never recorded, is not opened.
        """
        found: ZipDirectory | None = self.once(("zip", sha256), lambda: self._directory(sha256))
        return found

    def _directory(self, sha256: str | None) -> ZipDirectory | None:
        blob = self.blobs.find("SHA-256", sha256) if sha256 else None
        if blob is None:
            return None
        try:
            if self.blobs.needs_record(blob.size) and self.blobs.recorded_blocks(blob.sha256) is None:
                return None
            with self.blobs.open(blob.sha256) as source:
                return read_directory(source)
        except (Cm4aiError, OSError):
            return None

    def member(self, sha256: str | None, name: str) -> Member:
        """A member of a stored ZIP by its name; without CRC and size where the ZIP cannot be looked into."""
        directory = self.directory(sha256)
        found = [one for one in directory.members if one.name == name] if directory else []
        if len(found) != 1:
            return Member(name)
        (one,) = found
        return Member(one.name, one.crc32, one.size, one.compressed_size, one.header_offset)


def with_notes(step: Step, *notes: str) -> Step:
    """The same link, with more to be known of it."""
    return replace(step, notes=(*step.notes, *notes)) if notes else step
