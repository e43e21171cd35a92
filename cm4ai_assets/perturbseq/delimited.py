"""Small published tables of text, whole: header, rows with their lines, and the lines that do not fit.

Belongs here: text to fields. Does not belong here: what a field means. Tables of proteomics have a reader of their own
for reports of gigabytes and their defects; these have some ten thousand lines.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cm4ai_assets.errors import Cm4aiError

if TYPE_CHECKING:
    import _csv

LIMIT = 256 << 20


class PublishedTableError(Cm4aiError):
    """A published table of which no row can be read."""

    runbook = "unreadable-file"


@dataclass(frozen=True)
class Delimited:
    """A table of text.

    Attributes:
        name: Name of the file.
        header: Names of the columns, without blanks around them.
        rows: The fields of each row, as many as the header has.
        lines: The line of the file in which each row ends.
        left_out: Lines with another number of fields: which value stands where is not known.
    """

    name: str
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    left_out: list[int]

    def columns(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        """The values of some columns, in the order of the rows."""
        places = {name: self.header.index(name) for name in names}
        return {name: [row[place] for row in self.rows] for name, place in places.items()}


def read_delimited(data: bytes, name: str) -> Delimited:
    """A table's bytes as text; comma or tab, whichever the header has more of. Blank lines are no rows.

    Raises:
        PublishedTableError: It is empty, too large, no text, or has two columns of one name.
    """
    if len(data) > LIMIT:
        raise PublishedTableError(f"{name} has {len(data):,} bytes; a table of this kind has far fewer.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PublishedTableError(f"{name} is no UTF-8 text (byte {error.start:,}).") from None
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if first.count("\t") > first.count(",") else ",")
    try:
        return _table(name, reader)
    except csv.Error as error:
        raise PublishedTableError(f"{name}, line {reader.line_num}: {error}.") from None


def _table(name: str, reader: _csv.Reader) -> Delimited:
    header = tuple(field.strip() for field in next(reader, []))
    if not any(header):
        raise PublishedTableError(f"{name} has no header in its first line.")
    twice = sorted({field for field in header if header.count(field) > 1})
    if twice:
        raise PublishedTableError(f"{name} has more than one column {twice[0]!r}.")
    rows, lines, left_out = [], [], []
    for row in reader:
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(header):
            left_out.append(reader.line_num)
            continue
        rows.append(row)
        lines.append(reader.line_num)
    return Delimited(name, header, rows, lines, left_out)
