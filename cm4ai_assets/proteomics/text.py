"""Delimited text as it was published, made fit for a fast reader: encoding, line ends, ragged lines, duplicate columns.

Every defect found here is told with file, line and column, and line numbers of the file survive the removal of lines,
so that whatever is found later can name them too. Does not belong here: what a column means.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cm4ai_assets.proteomics.problems import (
    BOM,
    CRLF,
    NEGATIVE,
    NON_NUMERIC,
    NOT_UTF8,
    RAGGED,
    Defect,
    TableDamagedError,
)

# Missing values: empty and NaN as Spectronaut and R write them, "Filtered" where Spectronaut's q-value filter took the
# value out, NA of R.
MISSING = ("", "NaN", "nan", "NA", "N/A", "#N/A", "Filtered", "null", "NULL")
# Above this share of unreadable numbers the column is of another format (a decimal comma, say), not a slip.
_UNREADABLE_LIMIT = 0.01
_LINE_FEED, _QUOTE = 10, 34
_TELLABLE = 1000
BLOCK = 32 * 1024 * 1024


@dataclass(frozen=True)
class Text:
    """A table's text: UTF-8, LF, no byte order mark, and every line with as many fields as the header.

    `line_numbers` holds the file's line of every row; the header is line 1.
    """

    name: str
    data: bytes
    header: tuple[str, ...]
    separator: str
    is_quoted: bool
    line_numbers: NDArray[np.int64]
    defects: tuple[Defect, ...]

    @property
    def rows(self) -> int:
        """Number of rows below the header."""
        return len(self.line_numbers)


def header_of(data: bytes) -> tuple[str, ...]:
    """The column names of a table, from its first bytes; empty if they are no line of text."""
    line = data[: _line_end(data)].removeprefix(codecs.BOM_UTF8)
    return _fields(line, _separator(line))


def read_text(data: bytes, name: str) -> Text:
    """A table's bytes as clean text.

    A line with too many or too few fields is left out and told: which of its values stands where cannot be known.

    Raises:
        TableDamagedError: Empty, not text, or with two columns of one name.
    """
    return next(read_blocks(io.BytesIO(data), name, size=max(1, len(data))))


def read_blocks(stream: BinaryIO, name: str, *, size: int = BLOCK) -> Iterator[Text]:
    """A table too long for memory, as clean texts of about `size` bytes, each with the header.

    Raises:
        TableDamagedError: As `read_text`.
    """
    first = stream.readline(BLOCK)
    header_line, defects = _decoded(first, name)
    header_line = header_line.rstrip(b"\r\n")
    if not header_line.strip():
        raise TableDamagedError(name, "the first line is empty: there is no header" if first else "it is empty")
    separator = _separator(header_line)
    # Quotes are honoured where the header is quoted (R writes it so) and in CSV. In Spectronaut's TSV they are text.
    is_quoted = header_line.startswith(b'"') or separator == ","
    header = _checked_header(header_line, name, separator)
    block, done = stream.read(size), 1
    while block or done == 1:
        rest = stream.read(size)
        end = _last_break(block, is_quoted=is_quoted) if rest else len(block)
        text, found = _clean(block[:end], name, header, done)
        kept, lines, ragged = _even_lines(text, name, header, done, separator=separator, is_quoted=is_quoted)
        data = header_line + b"\n" + kept
        yield Text(name, data, header, separator, is_quoted, lines, (*defects, *found, *ragged))
        done += text.count(b"\n")
        block, defects = block[end:] + rest, []


def read_columns(text: Text, strings: list[str], numbers: list[str]) -> tuple[pl.DataFrame, list[Defect]]:
    """The named columns of a table: `strings` verbatim (missing as null), `numbers` as Float64 with missing as null.

    A number that does not parse, or is not finite, becomes missing and is told; so is one below zero, which stays.

    Raises:
        TableDamagedError: More numbers than a slip explains do not parse, or the text is not parsable at all.
    """
    try:
        frame = _parse(text, dict.fromkeys(numbers, pl.Float64())).select([*strings, *numbers])
        defects: list[Defect] = []
    except pl.exceptions.ComputeError:
        frame, defects = _parse_with_defects(text, strings, numbers)
    frame = frame.with_columns(pl.col(numbers).fill_nan(None))
    finite = frame.select(pl.col(numbers).is_infinite().any()) if numbers else pl.DataFrame()
    for column in [name for name in finite.columns if finite[name][0]]:
        defects += _cell_defects(
            text, frame, column, frame[column].is_infinite(), kind=NON_NUMERIC, what="is not finite; missing"
        )
        frame = frame.with_columns(pl.when(pl.col(column).is_finite()).then(pl.col(column)))
    lowest = frame.select(pl.col(numbers).min()) if numbers else pl.DataFrame()
    for column in [name for name in lowest.columns if (lowest[name][0] or 0.0) < 0]:
        defects += _cell_defects(text, frame, column, frame[column] < 0, kind=NEGATIVE, what="is negative; kept")
    return frame, defects


def flag_list(flags: dict[str, pl.Expr]) -> pl.Expr:
    """The names of those flags that hold, as the list column `defects`."""
    named = [pl.when(holds).then(pl.lit(name)) for name, holds in flags.items()]
    return pl.concat_list(named).list.drop_nulls().alias("defects")


def members(column: str) -> pl.Expr:
    """A list of ids: `|` between groups and `;` within one; an empty cell is an empty list."""
    parts = pl.col(column).str.replace_all("|", ";", literal=True).str.split(";")
    parts = parts.list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))
    return parts.fill_null(pl.lit([], pl.List(pl.String)))


def whole_number(column: str | pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Text as a whole number; null where it is none. `7.0` is one, `7.5` is not."""
    text = (pl.col(column) if isinstance(column, str) else column).str.strip_chars()
    return text.str.replace(r"\.0+$", "").cast(dtype, strict=False)


def _parse(text: Text, types: dict[str, pl.DataType]) -> pl.DataFrame:
    frame = pl.read_csv(
        text.data,
        separator=text.separator,
        quote_char='"' if text.is_quoted else None,
        infer_schema=False,
        schema_overrides=types,
        null_values=list(MISSING),
    )
    if frame.height != text.rows:
        raise TableDamagedError(text.name, f"{frame.height} rows were read where {text.rows} lines stand")
    return frame


def _parse_with_defects(text: Text, strings: list[str], numbers: list[str]) -> tuple[pl.DataFrame, list[Defect]]:
    """The slow way, for a table that holds something that is no number: as strings, each failure told."""
    try:
        raw = _parse(text, {}).select([*strings, *numbers])
    except pl.exceptions.ComputeError as error:
        raise TableDamagedError(text.name, f"it cannot be parsed ({str(error).splitlines()[0]})") from error
    cast = raw.with_columns(pl.col(numbers).str.strip_chars().cast(pl.Float64, strict=False))
    failed = raw.select(pl.col(column).is_not_null() & cast[column].is_null() for column in numbers)
    total = sum(int(failed[column].sum()) for column in failed.columns)
    present = sum(raw.height - raw[column].null_count() for column in numbers)
    defects = [
        defect
        for column in failed.columns
        if failed[column].any()
        for defect in _cell_defects(
            text, raw, column, failed[column], kind=NON_NUMERIC, what="is not a number; missing"
        )
    ]
    if total > max(1, _UNREADABLE_LIMIT * present):
        first = min(defects, key=lambda defect: defect.line)
        reason = f"{total} of {present} quantities are not numbers, the first: {first.detail}"
        raise TableDamagedError(text.name, reason, line=first.line, column=first.column)
    return cast, defects


def _cell_defects(
    text: Text, frame: pl.DataFrame, column: str, bad: pl.Series, *, kind: str, what: str
) -> list[Defect]:
    rows = bad.fill_null(value=False).arg_true().to_list()[:_TELLABLE]
    return [
        Defect(kind, text.name, int(text.line_numbers[row]), column, f"{frame[column][row]!r} {what}") for row in rows
    ]


def _clean(block: bytes, name: str, header: tuple[str, ...], done: int) -> tuple[bytes, list[Defect]]:
    """Lines of text in UTF-8 with LF, the last one closed; `done` lines stand before them."""
    text, defects = _decoded(block, name, header=header, done=done)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
        defects.append(Defect(CRLF, name, done + 1, "", "lines end in CR LF; read as LF"))
    if b"\0" in text:
        line = done + text.count(b"\n", 0, text.index(b"\0")) + 1
        raise TableDamagedError(name, "NUL bytes: not a text table", line=line)
    return (text if not text or text.endswith(b"\n") else text + b"\n"), defects


def _decoded(data: bytes, name: str, *, header: tuple[str, ...] = (), done: int = 0) -> tuple[bytes, list[Defect]]:
    """The bytes as UTF-8 without a byte order mark, and what had to be done for that."""
    defects = []
    if done == 0 and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TableDamagedError(name, "UTF-16 text, not UTF-8")
    if done == 0 and data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
        defects.append(Defect(BOM, name, 1, "", "begins with a byte order mark; left out"))
    if data.isascii():
        return data, defects
    try:
        data.decode()
    except UnicodeDecodeError as error:
        begin = data.rfind(b"\n", 0, error.start) + 1
        field = data.count(b"\t" if b"\t" in data else b",", begin, error.start)
        column = header[field] if field < len(header) else ""
        told = f"byte {data[error.start]:#04x} is not UTF-8; read as Latin-1"
        defects.append(Defect(NOT_UTF8, name, done + data.count(b"\n", 0, begin) + 1, column, told))
        return data.decode("latin-1").encode(), defects
    return data, defects


def _checked_header(line: bytes, name: str, separator: str) -> tuple[str, ...]:
    header = _fields(line, separator)
    repeated = [column for column, count in Counter(header).items() if count > 1]
    if repeated:
        places = [str(place) for place, column in enumerate(header, start=1) if column == repeated[0]]
        told = f"there are {len(places)} columns of this name, at {', '.join(places)}"
        raise TableDamagedError(name, told, column=repeated[0])
    return header


def _line_end(data: bytes) -> int:
    end = data.find(b"\n")
    return len(data) if end < 0 else end


def _last_break(block: bytes, *, is_quoted: bool) -> int:
    """Where the last whole line of a block ends; 0 if none does. A line break within quotes ends no line."""
    end = block.rfind(b"\n") + 1
    while is_quoted and end and block.count(b'"', 0, end) % 2:
        end = block.rfind(b"\n", 0, end - 1) + 1
    return end


def _separator(line: bytes) -> str:
    """Tab or comma: whichever the header holds more of."""
    return "," if line.count(b",") > line.count(b"\t") else "\t"


def _fields(line: bytes, separator: str) -> tuple[str, ...]:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not text.startswith('"') and separator == "\t":
        return tuple(text.split(separator))
    return tuple(next(csv.reader(io.StringIO(text), delimiter=separator), []))


def _even_lines(
    text: bytes, name: str, header: tuple[str, ...], done: int, *, separator: str, is_quoted: bool
) -> tuple[bytes, NDArray[np.int64], list[Defect]]:
    """The lines without blank and ragged ones, the line number of each that is left, and what was left out.

    polars fills a short line with nulls without a word, so fields are counted here, over the whole text at once.
    """
    array = np.frombuffer(text, np.uint8)
    ends, separators = array == _LINE_FEED, array == ord(separator)
    breaks = np.flatnonzero(ends)
    if is_quoted and b'"' in text:
        # Sums of 8 bits overflow; whether they are odd survives.
        outside = (np.cumsum(array == _QUOTE, dtype=np.uint8) & 1) == 0
        ends, separators = ends & outside, separators & outside
        if not (ends.any() and ends[-1]):
            raise TableDamagedError(name, "a quote is opened and never closed", line=done + len(breaks))
    stops = np.flatnonzero(ends)
    starts = np.concatenate(([0], stops[:-1] + 1)) if len(stops) else stops
    numbers = np.searchsorted(breaks, starts) + done + 1  # a quoted field may span lines
    fields = np.diff(np.searchsorted(np.flatnonzero(separators), stops), prepend=0) + 1
    blank = stops == starts
    ragged = (fields != len(header)) & ~blank
    if not (blank.any() or ragged.any()):
        return text, numbers, []
    defects = [
        Defect(
            RAGGED,
            name,
            int(numbers[i]),
            header[min(int(fields[i]), len(header)) - 1],  # in which the line ends, or passes the header's end
            f"{fields[i]} fields where the header has {len(header)}; the line is left out",
        )
        for i in np.flatnonzero(ragged)[:_TELLABLE]
    ]
    keep = np.flatnonzero(~(blank | ragged))
    return b"".join(text[starts[i] : stops[i] + 1] for i in keep), numbers[keep], defects
