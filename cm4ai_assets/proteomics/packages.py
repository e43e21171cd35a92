"""What the ZIPs and loose files of a release hold: which of their members are tables, and of which form.

Belongs here: one way to look through an archive for every modality of mass spectrometry, with one policy for junk,
compression and damage. Tables are recognised by their columns, never by their names: the same ZIP names carried tables
in October 2025 and only metadata in June 2026. Does not belong here: the forms (`secms`, `apms`) and their readers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from cm4ai_assets.identifiers import MASSIVE
from cm4ai_assets.proteomics.problems import DAMAGED, UNRECOGNISED, Defect, NoTablesError, TableDamagedError
from cm4ai_assets.proteomics.text import first_line, header_of
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MemberUnreadableError, read_directory, read_member, require_safe

_TABLES = (".tsv", ".csv", ".tab")
_MAYBE_TABLES = (".txt",)  # MaxQuant names its tables so, and people their notes
_PACKED = ".gz"
_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".arrow")
_METADATA = (".json", ".html", ".htm", ".xml", ".txt")
_METADATA_LIMIT = 32 * 1024 * 1024
_JUNK = ("__MACOSX/", "._", ".DS_Store", "Thumbs.db")
_SHOWN = 160
_TABS_OF_A_TABLE = 2
# Tables of other programs, by columns that only they have: named for whoever has to export them anew.
_OTHER_PROGRAMS = {
    "DIA-NN": {"Protein.Group", "Precursor.Id"},
    "DIA-NN (matrix)": {"Protein.Group", "Genes"},
    "MaxQuant": {"Majority protein IDs"},
}

# Where tables of a kind are, if a release has only metadata of it (data reference, sections 2 and 4).
_REMEDIES = {
    "SEC-MS": "The October 2025 release carries the tables; massive_files lists what MassIVE holds.",
    "AP-MS": "The May 2024 release has those of untreated cells; apms_runs lists runs of which only raw data is out.",
}

FormOf = Callable[[tuple[str, ...]], str | None]


@dataclass(frozen=True)
class SourceFile:
    """The published file that a table comes from: its name, its id in the archive (None elsewhere), its SHA-256."""

    name: str = ""
    file_id: int | None = None
    sha256: str | None = None


NOWHERE = SourceFile()


@dataclass(frozen=True)
class Archive:
    """A ZIP whose members are looked through."""

    source: ByteSource
    source_file: SourceFile


@dataclass(frozen=True)
class LooseTable:
    """A table by itself: a member of a ZIP, or a file pulled from MassIVE. `context` is its archive or deposit."""

    name: str
    open: Callable[[], BinaryIO]
    context: str = ""
    source_file: SourceFile = NOWHERE


@dataclass(frozen=True)
class FoundTable:
    """A table that was recognised, with its columns."""

    archive: str
    name: str
    form: str
    header: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """What an archive holds: tables, tables of no known form, members that cannot be read, all others.

    `accessions` are those that the metadata name.
    """

    archive: str
    tables: tuple[FoundTable, ...]
    unrecognised: tuple[Defect, ...]
    unreadable: tuple[Defect, ...]
    others: tuple[str, ...]
    accessions: tuple[str, ...]


def archive_of(source: ByteSource, *, file_id: int | None = None, sha256: str | None = None) -> Archive:
    """A ZIP with what is known of its publication."""
    return Archive(source, SourceFile(source.name, file_id, sha256))


def survey(archive: Archive, form_of: FormOf) -> Package:
    """What a ZIP holds, by the first lines of its members.

    Raises:
        ArchiveDamagedError: It is no ZIP, or not safe.
    """
    tables: list[FoundTable] = []
    unrecognised: list[Defect] = []
    unreadable: list[Defect] = []
    others: list[str] = []
    accessions: set[str] = set()
    for name, data in _members(archive.source):
        place = f"{archive.source_file.name}!{name}"
        if isinstance(data, Defect):
            unreadable.append(data)
            continue
        try:
            header = header_of(io.BytesIO(data), place) if _may_be_table(name) else ()
        except TableDamagedError as error:
            unreadable.append(error.defect)
            continue
        if (form := form_of(header)) is not None:
            tables.append(FoundTable(archive.source_file.name, name, form, header))
        elif (why := _looks_tabular(name, data, header)) is not None:
            unrecognised.append(Defect(UNRECOGNISED, place, 1, "", why))
        else:
            others.append(name)
            accessions |= set(MASSIVE.found_in(data)) if _is_metadata(name, data) else set()
    return Package(
        archive.source_file.name, tuple(tables), tuple(unrecognised), tuple(unreadable), tuple(others),
        tuple(sorted(accessions)),
    )  # fmt: skip


def tables_of(
    archives: Sequence[Archive], packages: Sequence[Package], wanted: Callable[[FoundTable], bool]
) -> Iterator[LooseTable]:
    """The recognised tables of archives that are wanted, one after another; their bytes are held one at a time."""
    for archive, package in zip(archives, packages, strict=True):
        names = {table.name for table in package.tables if wanted(table)}
        for name, data in _members(archive.source, only=names):
            if isinstance(data, bytes):
                yield LooseTable(name, partial(io.BytesIO, data), archive.source_file.name, archive.source_file)


def no_tables(
    what: str, packages: Sequence[Package], loose: Sequence[LooseTable], of: str, reasons: Sequence[str]
) -> NoTablesError:
    """That a release has no tables of a kind, or none of a condition, with what stands there in their place."""
    names = ", ".join(package.archive for package in packages) or "no archive"
    found = sum(len(package.tables) for package in packages) + len(loose)
    unread = [defect for package in packages for defect in (*package.unrecognised, *package.unreadable)]
    reasons = [*reasons, *map(str, unread)]
    if found or unread:
        which = f"is one of {of}" if found else "is of a form that is known"
        return NoTablesError(
            f"None of the {found or len(unread)} {what} tables in {names} {which}."
            + "".join(f" {reason}." for reason in reasons[:5]),
        )
    held = sum(len(package.others) for package in packages)
    accessions = sorted({accession for package in packages for accession in package.accessions})
    elsewhere = f" Its metadata name {', '.join(accessions)} of MassIVE." if accessions else ""
    return NoTablesError(
        f"This release has no {what} tables: of the {held} files in {names} none is a table.{elsewhere}",
        remedy=_REMEDIES.get(what, ""),
    )


def require_usable(what: str, unusable: Sequence[Defect], *, used: int) -> None:
    """See that not every table of a condition is damaged.

    Raises:
        TableDamagedError: Every one is; the message is that of the first.
    """
    damaged = [defect for defect in unusable if defect.kind == DAMAGED]
    if damaged and not used:
        first = damaged[0]
        reason = f"{first.detail}; none of the {len(damaged)} {what} tables can be used"
        raise TableDamagedError(first.file, reason, line=first.line, column=first.column)


def _members(source: ByteSource, *, only: set[str] | None = None) -> Iterator[tuple[str, bytes | Defect]]:
    for member in require_safe(read_directory(source)).members:
        base = member.name.rsplit("/", 1)[-1]
        if member.is_directory or member.name.startswith(_JUNK) or base.startswith(_JUNK):
            continue
        if only is not None and member.name not in only:
            continue
        try:
            yield member.name, read_member(source, member)
        except MemberUnreadableError as error:
            yield member.name, Defect("member_unreadable", f"{source.name}!{member.name}", 0, "", error.reason)


def _may_be_table(name: str) -> bool:
    return name.lower().removesuffix(_PACKED).endswith((*_TABLES, *_MAYBE_TABLES))


def _looks_tabular(name: str, data: bytes, header: tuple[str, ...]) -> str | None:
    """Why a member of no known form ought to be looked at; None if it is no table."""
    lower = name.lower()
    if lower.endswith(_SPREADSHEETS):
        return f"a {lower.rsplit('.', 1)[-1]} file, which is not read; tables are read as text"
    if not lower.removesuffix(_PACKED).endswith(_TABLES) and len(header) <= _TABS_OF_A_TABLE:
        return None
    if not _may_be_table(name) or not data:
        return None
    program = next((name for name, columns in _OTHER_PROGRAMS.items() if columns <= set(header)), None)
    begins = first_line(io.BytesIO(data), name)
    line = begins if len(begins) <= _SHOWN else f"{begins[:_SHOWN]}…"
    return f"a table of no known form{f', of {program}' if program else ''}; it begins with {line!r}"


def _is_metadata(name: str, data: bytes) -> bool:
    return name.lower().endswith(_METADATA) and len(data) <= _METADATA_LIMIT
