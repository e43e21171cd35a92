"""SEC-MS of a release: the tables of one condition, from its archives and deposits, as the two published tables.

Does not belong here: finding tables in archives (`packages`), the shapes of the tables (`spectronaut`, `longtables`),
judging what was found (`findings`), where the bytes come from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics import longtables, spectronaut
from cm4ai_assets.proteomics.elution import Elution
from cm4ai_assets.proteomics.names import Sample
from cm4ai_assets.proteomics.packages import (
    Archive,
    FoundTable,
    LooseTable,
    Package,
    no_tables,
    require_usable,
    tables_of,
)
from cm4ai_assets.proteomics.packages import survey as survey_forms
from cm4ai_assets.proteomics.problems import Defect, Defects, TableDamagedError, Tally, merged, tallies
from cm4ai_assets.proteomics.rows import Replicate, profile_rows, protein_rows
from cm4ai_assets.proteomics.text import header_of

REPORT, SEC, MSSTATS = "spectronaut_report", "sec_csv", "msstats_features"


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
    defects: Defects
    tallies: tuple[Tally, ...]
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


def survey(archive: Archive) -> Package:
    """What a ZIP holds, by the headers of its tables.

    Raises:
        ArchiveDamagedError: It is no ZIP, or not safe.
    """
    return survey_forms(archive, form_of)


def read_condition(archives: Sequence[Archive], condition: Condition, *, loose: Sequence[LooseTable] = ()) -> Reading:
    """The SEC-MS tables of one condition, from all archives of a release.

    A table that cannot be used is left out and noted; the others are read.

    Raises:
        NoTablesError: The archives hold no table at all, or none of this condition.
        TableDamagedError: They hold some, and none can be used.
        ArchiveDamagedError: An archive is no ZIP, or not safe.
    """
    packages = tuple(survey(archive) for archive in archives)
    replicates: list[Replicate] = []
    unusable = [defect for package in packages for defect in package.unreadable]
    for table in chain(tables_of(archives, packages, lambda found: _may_be_of(found, condition)), loose):
        try:
            found = read_table(table)
        except TableDamagedError as error:
            unusable.append(error.defect)
            continue
        replicates += [replace(one, elution=replace(one.elution, source_file=table.source_file)) for one in found]
    unplaced = [f"{r.source_file}: {r.elution.replicate_id}" for r in replicates if r.elution.sample.condition is None]
    unplaced += [t.name for p in packages for t in p.tables if (s := _sample(t)) is not None and s.condition is None]
    mine = _distinct([r for r in replicates if r.elution.sample.condition == condition])
    if not mine:
        require_usable("SEC-MS", unusable, used=len(replicates))
        reasons = [str(defect) for defect in unusable] + [f"{name}: condition not known" for name in unplaced]
        raise no_tables("SEC-MS", packages, loose, condition, reasons)
    return Reading(
        condition=condition,
        proteins=pl.concat([protein_rows(replicate) for replicate in mine]),
        replicates=tuple(replicate.elution for replicate in mine),
        packages=packages,
        defects=merged(replicate.defects for replicate in mine),
        tallies=tallies((replicate.source_file, replicate.defects) for replicate in mine),
        unusable=tuple(unusable),
        unplaced=tuple(unplaced),
    )


def read_table(table: LooseTable) -> list[Replicate]:
    """The replicates of a table, whichever published shape it has.

    Raises:
        TableDamagedError: It has none, or cannot be used.
    """
    with table.open() as stream:
        header = header_of(stream, table.name)
    form = form_of(header)
    with table.open() as stream:
        if form == REPORT:
            return [spectronaut.read_report(stream.read(), table.name, context=table.context)]
        if form == SEC:
            return longtables.read_sec(stream, table.name, context=table.context)
        if form == MSSTATS:
            return longtables.read_msstats(stream, table.name, context=table.context)
    raise TableDamagedError(table.name, f"its columns are of no known table: {', '.join(header[:6])}")


def _sample(table: FoundTable) -> Sample | None:
    """What a report is of; None for long tables, which hold several."""
    return spectronaut.sample_of_report(table.header, table.name, table.archive) if table.form == REPORT else None


def _may_be_of(table: FoundTable, condition: Condition) -> bool:
    sample = _sample(table)
    return sample is None or sample.condition == condition


def _distinct(replicates: list[Replicate]) -> list[Replicate]:
    """Two tables may claim to be the same replicate, in one kind of quantity: all but one get a number behind their id.

    Which one does not depends on the names of the tables, not on the order in which they stand in the archive.
    """
    claims: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for at, one in enumerate(replicates):
        claims[one.elution.replicate_id, one.elution.quantity_kind].append(at)
    result = list(replicates)
    for (name, _), places in claims.items():
        for number, at in enumerate(sorted(places, key=lambda at: replicates[at].source_file), start=1):
            if number > 1:
                elution = replace(replicates[at].elution, replicate_id=f"{name}#{number}")
                result[at] = replace(replicates[at], elution=elution)
    return result
