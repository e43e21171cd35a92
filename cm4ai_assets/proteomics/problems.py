"""What can be wrong with a published table: a defect of one place in it, or damage that makes it unusable as a whole.

Belongs here: how a defect is described, and the errors of this package. Does not belong here: finding them (`text`, the
readers), judging them (`findings`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cm4ai_assets.errors import Cm4aiError

# Text-level defects, found before a value is looked at.
BOM = "byte_order_mark"
CRLF = "carriage_returns"
NOT_UTF8 = "not_utf8"
RAGGED = "ragged_line"
# Value-level defects.
NON_NUMERIC = "non_numeric_quantity"
NEGATIVE = "negative_quantity"
NO_GROUP = "no_protein_group"
NO_FRACTION = "no_fraction"
NO_PAIR = "no_bait_or_prey"
OTHER_QUANTITY = "other_quantity"
OUT_OF_ORDER = "columns_out_of_order"

# What does no harm: the text was read as it was meant.
HARMLESS = frozenset({BOM, CRLF, OTHER_QUANTITY, OUT_OF_ORDER})


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing that is wrong with a file: where it stands, and what was done about it.

    `line` counts from 1, the header's line; `column` is the column's name, "" where the defect is not of one column.
    """

    kind: str
    file: str
    line: int
    column: str
    detail: str

    def __str__(self) -> str:
        place = f", column {self.column!r}" if self.column else ""
        return f"{self.file}, line {self.line}{place}: {self.detail}"

    def as_row(self) -> dict[str, object]:
        """The defect as a row for a person."""
        return {
            "kind": self.kind,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "detail": self.detail,
        }


class TableDamagedError(Cm4aiError):
    """A table that cannot be used as a whole; the message names file, line and column."""

    def __init__(self, file: str, reason: str, *, line: int = 1, column: str = "") -> None:
        defect = Defect("damaged", file, line, column, reason)
        super().__init__(
            f"{defect}.",
            remedy="Nothing of this table is used. If its bytes are as published, report it to the archive.",
        )
        self.defect = defect
        self.args = (file, reason)  # what pickle calls the class with, between processes


class NoTablesError(Cm4aiError):
    """A release that carries metadata about proteomics tables but not the tables: not an empty success."""
