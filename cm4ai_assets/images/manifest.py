"""The ZIP's manifest.csv: one row per field of view, read with every deviation named.

Belongs here: the file's encoding, header and rows, and whether a row agrees with itself. Does not belong here: what the
ids of a row mean (`images.antibodies`), and whether the images agree with it (`images.fields`). A row that cannot be
read is reported with its line and the reason; none is dropped in silence, and none sinks the others.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cm4ai_assets.conditions import Condition, condition_or_none
from cm4ai_assets.images.listing import MANIFEST, metadata_member
from cm4ai_assets.images.names import FieldName, number_in, parse_field_name, plate_name, well_name
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MemberUnreadableError, ZipDirectory, read_member
from cm4ai_assets.vocabulary import MISSING

# The published header (data reference, section 1.6) and, where a table of the consortium names a column otherwise, that
# name too: the input of cellmaps_utils' iftool says "Antibody ID" and has columns for region and slice.
_COLUMNS = {
    "plate": ("plate",),
    "well": ("well",),
    "treatment": ("treatment",),
    "antibody_id": ("hpa antibody id", "antibody id"),
    "ensembl": ("ensembl id",),
    "uniprot": ("uniprot",),
    "genes": ("gene name hpa",),
    "chromosomes": ("chromosome",),
    "region": ("region",),
    "z": ("slice", "z slice"),
    "baselink": ("baselink",),
}
_BY_HEADING = {heading: column for column, headings in _COLUMNS.items() for heading in headings}
_TEXT_SHOWN = 120


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row. `line` counts from 1, the header's line; texts are as in the file, without surrounding blanks.

    `field` is what the end of `Baselink` says, the only place where region and focal plane stand; null where there is
    none. `conflicts` tells in words where the row's own columns contradict it.
    """

    line: int
    plate: str | None
    well: str | None
    treatment_label: str
    antibody_id: str
    ensembl: str
    uniprot: str
    genes: str
    chromosomes: str
    baselink: str
    field: FieldName | None
    conflicts: tuple[str, ...]

    @property
    def condition(self) -> Condition | None:
        """The condition that the row's treatment means; where there is no such column, that of its field."""
        if not self.treatment_label and self.field is not None:
            return self.field.condition
        return condition_or_none(self.treatment_label)

    @property
    def plate_well(self) -> str | None:
        """Plate and well, from the columns or else from the field: `B2AI_3_C2`."""
        if self.plate and self.well:
            return f"{self.plate}_{self.well}"
        return None if self.field is None else self.field.plate_well


@dataclass(frozen=True, slots=True)
class ManifestProblem:
    """Something that deviates: its line (0 for the file as a whole), what it is, and how the line begins."""

    line: int
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The rows that could be read and everything that deviates, by line.

    Some copies lack `Baselink`, or have it empty: `has_baselink` is then false. A row without one names plate and well
    only, not the field.
    """

    rows: tuple[ManifestRow, ...]
    problems: tuple[ManifestProblem, ...]
    has_baselink: bool


def read_manifest(source: ByteSource, directory: ZipDirectory) -> Manifest:
    """The manifest in a ZIP. Where there is none, or its bytes are damaged, it is empty and says so."""
    member = metadata_member(directory, MANIFEST)
    if member is None:
        return _unread(f"the ZIP has no {MANIFEST}")
    try:
        return parse_manifest(read_member(source, member))
    except MemberUnreadableError as error:
        return _unread(f"{error.member} cannot be read: {error.reason}")


def parse_manifest(data: bytes) -> Manifest:
    """Read the bytes of a manifest.csv."""
    problems: list[ManifestProblem] = []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = data.decode("latin-1")
        problems.append(ManifestProblem(0, f"not UTF-8 (byte {error.start}); read as Latin-1"))
    # No cell of a manifest has a line break. Each line is read by itself, so that a quote left open costs one row.
    lines = re.split(r"\r\n|\n|\r", text)
    try:
        columns = _columns(_cells(lines[0]))
    except csv.Error as error:
        return _unread(f"the header cannot be read: {error}")
    missing = {"antibody_id", "well", "plate"} - columns.keys()
    if missing and not ("antibody_id" in columns and "baselink" in columns):
        return _unread(f"the header lacks {', '.join(sorted(missing))}: {lines[0][:_TEXT_SHOWN]!r}")
    rows: list[ManifestRow] = []
    width = len(_cells(lines[0]))
    for line, content in enumerate(lines[1:], start=2):
        if not content.strip():
            continue
        try:
            rows.append(_row(line, _fitted(_cells(content), width), columns))
        except (csv.Error, ValueError) as error:
            problems.append(ManifestProblem(line, str(error), content[:_TEXT_SHOWN]))
    linked = any(row.baselink for row in rows)
    if rows and not linked:
        what = "no Baselink in any row" if "baselink" in columns else "no Baselink column"
        problems.append(ManifestProblem(1, f"{what}: rows name plate and well, not the field", lines[0][:_TEXT_SHOWN]))
    for row in rows:
        text = lines[row.line - 1][:_TEXT_SHOWN]
        problems.extend(
            ManifestProblem(row.line, reason, text) for reason in _shortcomings(row, columns, linked=linked)
        )
    problems.extend(_repetitions(rows))
    return Manifest(tuple(rows), tuple(sorted(problems, key=lambda problem: problem.line)), linked)


def _unread(reason: str) -> Manifest:
    return Manifest((), (ManifestProblem(0, reason),), has_baselink=False)


def _cells(line: str) -> list[str]:
    return next(csv.reader([line], strict=True), [])


def _columns(header: list[str]) -> dict[str, int]:
    """Which column stands where. Headings count in any case, with blanks or underscores; of two alike the first."""
    found: dict[str, int] = {}
    for position, cell in enumerate(header):
        heading = re.sub(r"[\s_]+", " ", cell).strip().lower()
        if heading in _BY_HEADING:
            found.setdefault(_BY_HEADING[heading], position)
    return found


def _fitted(cells: list[str], width: int) -> list[str]:
    """The cells, if there are as many as in the header; stray empty ones at the end do not count."""
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        raise ValueError(f"{len(cells)} cells where the header has {width}")
    if not any(cell.strip() for cell in cells):
        raise ValueError("all cells are empty")
    return cells


def _row(line: int, cells: list[str], columns: Mapping[str, int]) -> ManifestRow:
    def cell(column: str) -> str:
        text = cells[columns[column]].strip() if column in columns else ""
        return "" if text in MISSING else text  # what pandas makes of an empty cell in some copies

    link = cell("baselink")
    field = parse_field_name(link.rstrip("/").rsplit("/", 1)[-1].removesuffix("_"))
    return ManifestRow(
        line=line,
        plate=plate_name(cell("plate")),
        well=well_name(cell("well")),
        treatment_label=cell("treatment"),
        antibody_id=cell("antibody_id"),
        ensembl=cell("ensembl"),
        uniprot=cell("uniprot"),
        genes=cell("genes"),
        chromosomes=cell("chromosomes"),
        baselink=link,
        field=field,
        conflicts=() if field is None else tuple(_conflicts(field, cell)),
    )


def _conflicts(field: FieldName, cell: Callable[[str], str]) -> Iterator[str]:
    """Where a cell and the end of Baselink name different things. An empty cell names nothing.

    Values are compared, not texts: a detour through a spreadsheet makes `C02` of C2 and `1.0` of 1.
    """
    treatment = condition_or_none(cell("treatment"))
    agrees = {
        "plate": plate_name(cell("plate")) == field.plate,
        "well": well_name(cell("well")) == field.well,
        "treatment": treatment is not None and treatment == field.condition,
        "region": number_in("R?", cell("region")) == field.region,
        "z": field.z is not None and number_in("z?", cell("z")) == field.z,
    }
    for column, is_same in agrees.items():
        if cell(column) and not is_same:
            yield f"{column} is {cell(column)!r}, Baselink names another"


def _shortcomings(row: ManifestRow, columns: Mapping[str, int], *, linked: bool) -> Iterator[str]:
    """What is wrong with a row that could be read; `linked` says that some row of the file has a Baselink."""
    if linked and row.field is None:
        yield f"Baselink {row.baselink!r} does not end in the name of a field"
    cells = {"plate": row.plate, "well": row.well, "treatment": row.treatment_label, "antibody_id": row.antibody_id}
    yield from (f"{column} cannot be read" for column, value in cells.items() if column in columns and not value)
    yield from row.conflicts


def _repetitions(rows: list[ManifestRow]) -> Iterator[ManifestProblem]:
    """Rows about a field that an earlier row is about."""
    first: dict[str, ManifestRow] = {}
    for row in rows:
        field_id = None if row.field is None else row.field.field_id
        if field_id is not None and (earlier := first.setdefault(field_id, row)) is not row:
            same = "the same antibody" if row.antibody_id == earlier.antibody_id else "another antibody"
            yield ManifestProblem(row.line, f"the same field as line {earlier.line}, {same}", row.baselink)
