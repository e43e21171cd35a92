"""What can be wrong with a published table: a defect of one place in it, or damage that makes it unusable as a whole.

Belongs here: how a defect is described, and the errors of this package. Does not belong here: finding them (`text`, the
readers), judging them (`findings`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.heavy import np, npt

# Text-level defects, found before a value is looked at.
BOM = "byte_order_mark"
CRLF = "carriage_returns"
UTF16 = "utf16"
PACKED = "compressed"
COMMENTS = "comment_lines"
ROW_NAMES = "row_names"
TRAILING = "trailing_separator"
DECIMAL_COMMA = "decimal_comma"
NOT_UTF8 = "not_utf8"
RAGGED = "ragged_line"
# Value-level defects.
NON_NUMERIC = "non_numeric_quantity"
NEGATIVE = "negative_quantity"
NO_GROUP = "no_protein_group"
NO_FRACTION = "no_fraction"
FRACTIONS_DISAGREE = "fractions_disagree"
SEVERAL_RUNS = "several_runs"
BAD_MARK = "unreadable_mark"
BAD_VALUE = "unreadable_value"
NO_PAIR = "no_bait_or_prey"
DAMAGED = "damaged"
UNRECOGNISED = "unrecognised_table"
OTHER_QUANTITY = "other_quantity"
OUT_OF_ORDER = "columns_out_of_order"

# What does no harm: the text was read as it was meant.
HARMLESS = frozenset(
    {BOM, CRLF, UTF16, PACKED, COMMENTS, ROW_NAMES, TRAILING, DECIMAL_COMMA, OTHER_QUANTITY, OUT_OF_ORDER}
)
# Kinds that flag the row they stand in.
FLAGGING = frozenset({NON_NUMERIC, NEGATIVE, BAD_MARK})
# Examples that are kept of each kind. All are counted, and all lines of a kind that flags rows are kept.
EXAMPLES = 100


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


class Defects:
    """What is wrong with a file, or with several: every kind counted in full, and its first few as examples.

    `rows` are the lines below the headers that are not blank, `lost` those of them that were left out.
    """

    def __init__(self, *defects: Defect) -> None:
        self.counts: Counter[str] = Counter()
        self.rows = 0
        self.lost = 0
        self._examples: list[Defect] = []
        self._lines: defaultdict[str, list[npt.NDArray[np.int64]]] = defaultdict(list)
        for defect in defects:
            self.add(defect)

    def __iter__(self) -> Iterator[Defect]:
        return iter(self._examples)

    def __getitem__(self, index: int) -> Defect:
        return self._examples[index]

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, defect: Defect) -> None:
        """Note one."""
        self.add_lines(defect.kind, defect.file, np.array([defect.line]), defect.column, lambda _: defect.detail)

    def add_lines(
        self, kind: str, file: str, lines: npt.NDArray[np.int64], column: str, detail: Callable[[int], str]
    ) -> None:
        """Note one of a kind for each of several lines of a file; `detail` says what of the n-th."""
        room = max(0, EXAMPLES - self.counts[kind])
        self._examples += [
            Defect(kind, file, line, column, detail(at)) for at, line in enumerate(lines[:room].tolist())
        ]
        if len(lines):
            self.counts[kind] += len(lines)
        if kind in FLAGGING:
            self._lines[kind].append(np.asarray(lines, np.int64))

    def update(self, other: Defects) -> None:
        """Note all of another."""
        for defect in other:
            if sum(one.kind == defect.kind for one in self._examples) < EXAMPLES:
                self._examples.append(defect)
        self.counts += other.counts
        self.rows += other.rows
        self.lost += other.lost
        for kind, lines in other._lines.items():
            self._lines[kind] += lines

    def lines(self, kind: str) -> npt.NDArray[np.int64]:
        """Every line with a defect of a kind that flags rows. Of one file: lines of several are not distinguished."""
        return np.concatenate(self._lines[kind]) if self._lines.get(kind) else np.empty(0, np.int64)

    @property
    def harmful(self) -> dict[str, int]:
        """Kinds that do harm, and how many of each."""
        return {kind: count for kind, count in self.counts.items() if kind not in HARMLESS}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many lines of a table were read, and how many of them were left out."""

    file: str
    rows: int
    lost: int


def merged(parts: Iterable[Defects]) -> Defects:
    """The defects of several files together; those of one file count once, however many replicates it has."""
    result = Defects()
    for part in {id(part): part for part in parts}.values():
        result.update(part)
    return result


def tallies(parts: Iterable[tuple[str, Defects]]) -> tuple[Tally, ...]:
    """The tally of each file, once."""
    distinct = {id(defects): Tally(file, defects.rows, defects.lost) for file, defects in parts}
    return tuple(distinct.values())


class TableDamagedError(Cm4aiError):
    """A table that cannot be used as a whole; the message names file, line and column."""

    runbook = "unreadable-file"

    def __init__(self, file: str, reason: str, *, line: int = 1, column: str = "") -> None:
        defect = Defect(DAMAGED, file, line, column, reason)
        super().__init__(
            f"{defect}.",
            remedy="Nothing of this table is used. If its bytes are as published, report it to the archive.",
        )
        self.defect = defect
        self.args = (file, reason)  # what pickle calls the class with, between processes


class NoTablesError(Cm4aiError):
    """A release that carries metadata about proteomics tables but not the tables: not an empty success."""

    runbook = "not-made"
