"""SEC-MS of a release: which tables its archives hold, and those of one condition as the two published tables.

Tables are recognised by their columns, never by their names: the same ZIP names carried tables in October 2025 and only
metadata in June 2026. Does not belong here: the shapes of the tables (`spectronaut`, `longtables`), judging what was
found (`findings`), where the bytes come from.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import BinaryIO

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.identifiers import MASSIVE
from cm4ai_assets.proteomics import longtables, spectronaut
from cm4ai_assets.proteomics.elution import Elution
from cm4ai_assets.proteomics.names import Sample
from cm4ai_assets.proteomics.problems import Defect, NoTablesError, TableDamagedError
from cm4ai_assets.proteomics.rows import Replicate, profile_rows, protein_rows
from cm4ai_assets.proteomics.text import header_of
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MemberUnreadableError, read_directory, read_member, require_safe

_TABLE_SUFFIXES = (".tsv", ".csv", ".txt")
_METADATA_SUFFIXES = (".json", ".html", ".htm", ".xml", ".txt")
_METADATA_LIMIT = 32 * 1024 * 1024
_JUNK = ("__MACOSX/",)
# More than a table's header can take: 90 quantity columns have some 6 KB.
_HEADER_LIMIT = 64 * 1024

REPORT, SEC, MSSTATS = "spectronaut_report", "sec_csv", "msstats_features"


@dataclass(frozen=True)
class LooseTable:
    """A table that stands outside of a ZIP, such as one pulled from MassIVE. `context` is its deposit or folder."""

    name: str
    open: Callable[[], BinaryIO]
    context: str = ""


@dataclass(frozen=True)
class FoundTable:
    """A table that was recognised. `sample` is what a report is of; None for long tables, which hold several."""

    archive: str
    name: str
    form: str
    sample: Sample | None


@dataclass(frozen=True)
class Package:
    """What an archive holds: tables, other members, the accessions its metadata name, members that cannot be read."""

    archive: str
    tables: tuple[FoundTable, ...]
    others: tuple[str, ...]
    accessions: tuple[str, ...]
    unreadable: tuple[Defect, ...]


@dataclass(frozen=True)
class Reading:
    """The tables of one condition, without partition columns, and all that was noticed on the way.

    `unusable` are tables that had to be left out as a whole; `unplaced` those whose condition is not known, which
    therefore belong to no partition.
    """

    condition: Condition
    proteins: pl.DataFrame
    replicates: tuple[Elution, ...]
    packages: tuple[Package, ...]
    defects: tuple[Defect, ...]
    unusable: tuple[Defect, ...]
    unplaced: tuple[str, ...]

    @cached_property
    def profiles(self) -> pl.DataFrame:
        """The rows of `secms_profiles`: made when asked for, as they take a gigabyte where the rest takes a tenth."""
        return pl.concat([profile_rows(elution) for elution in self.replicates])


def form_of(header: tuple[str, ...]) -> str | None:
    """Which of the published shapes a header is of; None if of none."""
    if spectronaut.is_report(header):
        return REPORT
    if longtables.is_sec(header):
        return SEC
    return MSSTATS if longtables.is_msstats(header) else None


def survey(source: ByteSource) -> Package:
    """What a ZIP holds, by the headers of its tables.

    Raises:
        ArchiveDamagedError: It is no ZIP, or not safe.
    """
    tables, others, unreadable = [], [], []
    accessions: set[str] = set()
    for name, data in _members(source):
        if isinstance(data, Defect):
            unreadable.append(data)
            continue
        header = header_of(data[:_HEADER_LIMIT]) if name.lower().endswith(_TABLE_SUFFIXES) else ()
        form = form_of(header)
        if form is None:
            others.append(name)
            accessions |= set(MASSIVE.found_in(data)) if _is_metadata(name, data) else set()
            continue
        sample = spectronaut.sample_of_report(header, name, source.name) if form == REPORT else None
        tables.append(FoundTable(source.name, name, form, sample))
    return Package(source.name, tuple(tables), tuple(others), tuple(sorted(accessions)), tuple(unreadable))


def read_condition(
    archives: Sequence[ByteSource], condition: Condition, *, loose: Sequence[LooseTable] = ()
) -> Reading:
    """The SEC-MS tables of one condition, from all archives of a release.

    A table that cannot be used is left out and told; the others are read.

    Raises:
        NoTablesError: The archives hold no table at all, or none of this condition.
        ArchiveDamagedError: An archive is no ZIP, or not safe.
    """
    packages = tuple(survey(source) for source in archives)
    replicates: list[Replicate] = []
    unusable = [defect for package in packages for defect in package.unreadable]
    for table in chain(_members_of(archives, packages, condition), loose):
        try:
            with table.open() as stream:
                replicates += read_table(stream, table.name, context=table.context)
        except TableDamagedError as error:
            unusable.append(error.defect)
    unplaced = [f"{r.source_file}: {r.elution.replicate_id}" for r in replicates if r.elution.sample.condition is None]
    unplaced += [t.name for p in packages for t in p.tables if t.sample is not None and t.sample.condition is None]
    mine = _told_apart([r for r in replicates if r.elution.sample.condition == condition])
    if not mine:
        raise _no_tables(packages, loose, condition, unusable, unplaced)
    return Reading(
        condition=condition,
        proteins=pl.concat([protein_rows(replicate) for replicate in mine]),
        replicates=tuple(replicate.elution for replicate in mine),
        packages=packages,
        defects=tuple(dict.fromkeys(defect for replicate in mine for defect in replicate.defects)),
        unusable=tuple(unusable),
        unplaced=tuple(unplaced),
    )


def read_table(stream: BinaryIO, name: str, *, context: str = "") -> list[Replicate]:
    """The replicates of a table, whichever published shape it has.

    Raises:
        TableDamagedError: It has none, or cannot be used.
    """
    header = header_of(stream.read(_HEADER_LIMIT))
    stream.seek(0)
    form = form_of(header)
    if form == REPORT:
        return [spectronaut.read_report(stream.read(), name, context=context)]
    if form == SEC:
        return longtables.read_sec(stream, name, context=context)
    if form == MSSTATS:
        return longtables.read_msstats(stream, name, context=context)
    raise TableDamagedError(name, f"its columns are of no known table: {', '.join(header[:6])}")


def _members_of(
    archives: Sequence[ByteSource], packages: Sequence[Package], condition: Condition
) -> Iterator[LooseTable]:
    """The tables of the archives that are of this condition, or may be, one after another."""
    for source, package in zip(archives, packages, strict=True):
        wanted = {t.name for t in package.tables if t.sample is None or t.sample.condition == condition}
        for name, data in _members(source, only=wanted):
            if isinstance(data, bytes):
                yield LooseTable(name, partial(io.BytesIO, data), source.name)


def _members(source: ByteSource, *, only: set[str] | None = None) -> Iterator[tuple[str, bytes | Defect]]:
    for member in require_safe(read_directory(source)).members:
        if member.is_directory or member.name.startswith(_JUNK) or (only is not None and member.name not in only):
            continue
        try:
            yield member.name, read_member(source, member)
        except MemberUnreadableError as error:
            yield member.name, Defect("member_unreadable", f"{source.name}!{member.name}", 0, "", error.reason)


def _is_metadata(name: str, data: bytes) -> bool:
    return name.lower().endswith(_METADATA_SUFFIXES) and len(data) <= _METADATA_LIMIT


def _told_apart(replicates: list[Replicate]) -> list[Replicate]:
    """Two tables may claim to be the same replicate: the second gets a number behind its id, and is a finding."""
    seen: dict[str, int] = {}
    result = []
    for one in replicates:
        name = one.elution.replicate_id
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            one = replace(one, elution=replace(one.elution, replicate_id=f"{name}#{seen[name]}"))  # noqa: PLW2901
        result.append(one)
    return result


def _no_tables(
    packages: Sequence[Package],
    loose: Sequence[LooseTable],
    condition: Condition,
    unusable: Sequence[Defect],
    unplaced: Sequence[str],
) -> NoTablesError:
    names = ", ".join(package.archive for package in packages) or "no archive"
    found = [table.name for package in packages for table in package.tables] + [table.name for table in loose]
    if not found:
        held = sum(len(package.others) for package in packages)
        accessions = sorted({accession for package in packages for accession in package.accessions})
        elsewhere = f" Its metadata name {', '.join(accessions)} of MassIVE." if accessions else ""
        return NoTablesError(
            f"This release has no SEC-MS tables: of the {held} files in {names} none is a table.{elsewhere}",
            remedy="The October 2025 release carries the tables; massive_files lists what MassIVE holds.",
        )
    reasons = [str(defect) for defect in unusable] + [f"{name}: condition not known" for name in unplaced]
    return NoTablesError(
        f"None of the {len(found)} SEC-MS tables in {names} is one of {condition}.",
        remedy=" ".join(f"{reason}." for reason in reasons[:5]),
    )
