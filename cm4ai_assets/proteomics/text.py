"""Delimited text as it was published, made fit for a fast reader: lines of even length, with their line numbers.

Every defect found here is noted with file, line and column, and line numbers of the file survive the removal of lines,
so that whatever is found later can name them too. Does not belong here: bytes to UTF-8 (`encoding`), text to values
(`columns`), and what a column means.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.proteomics.encoding import decoded, prepared
from cm4ai_assets.proteomics.lines import Lines, lines_of
from cm4ai_assets.proteomics.problems import (
    COMMENTS,
    CRLF,
    RAGGED,
    ROW_NAMES,
    TRAILING,
    Defect,
    Defects,
    TableDamagedError,
)

_COMMENT = b"#"
_COMMENT_LINES = 100
# A field that is one quoted text, of one line. What is left of quotes besides is text.
_QUOTED_FIELD = re.compile(rb'(?:^|(?<=\t))"(?:[^"\n]|"")*"(?=[\t\n]|\Z)', re.MULTILINE)
BLOCK = 32 * 1024 * 1024
_WHOLE_LIMIT = 1 << 30


@dataclass(frozen=True)
class Text:
    """A table's text: UTF-8, LF, no byte order mark, and every line with as many fields as the header.

    `line_numbers` holds the file's line of every row, `header_line` that of the header.
    """

    name: str
    data: bytes
    header: tuple[str, ...]
    separator: str
    is_quoted: bool
    line_numbers: npt.NDArray[np.int64]
    defects: Defects = field(default_factory=Defects)
    header_line: int = 1

    @property
    def rows(self) -> int:
        """Number of rows below the header."""
        return len(self.line_numbers)


@dataclass
class _Header:
    """The header as it applies to the lines that come: where rows have a field more, it gets a name for that."""

    line: bytes
    names: tuple[str, ...]
    number: int
    separator: str
    is_quoted: bool


def header_of(stream: BinaryIO, name: str) -> tuple[str, ...]:
    """The column names of a table; empty if it begins with no line of text.

    Raises:
        TableDamagedError: It cannot be decompressed or decoded.
    """
    plain, _ = prepared(stream, name)
    line, _ = _first_line(plain)
    text, _ = decoded(line, name)
    return _fields(text, _separator(text))


def first_line(stream: BinaryIO, name: str) -> str:
    """The line in which a header would stand, as text for people.

    Raises:
        TableDamagedError: It cannot be decompressed or decoded.
    """
    plain, _ = prepared(stream, name)
    return _first_line(plain)[0].decode("utf-8", "replace").strip()


def read_text(data: bytes, name: str) -> Text:
    """A table's bytes as clean text.

    A line with too many or too few fields is left out and noted: which of its values stands where cannot be known.

    Raises:
        TableDamagedError: Empty, not text, or with two columns of one name.
    """
    blocks = read_blocks(io.BytesIO(data), name, size=_WHOLE_LIMIT)
    text = next(blocks)
    if next(blocks, None) is not None:
        raise TableDamagedError(name, f"more than {_WHOLE_LIMIT:,} bytes of text, too large to be read as a whole")
    return text


def read_blocks(stream: BinaryIO, name: str, *, size: int = BLOCK) -> Iterator[Text]:
    """A table too long for memory, as clean texts of about `size` bytes, each with the header.

    Raises:
        TableDamagedError: As `read_text`.
    """
    stream, prepared_defects = prepared(stream, name)
    defects = Defects(*prepared_defects)
    header = _read_header(stream, name, defects)
    block, done = stream.read(size), header.number
    while block or done == header.number:
        rest = stream.read(size)
        end = _last_break(block, is_quoted=header.is_quoted) if rest else len(block)
        text = _clean(block[:end], name, header, done, defects)
        yield _even(text, name, header, done, defects)
        if text:
            done += text.count(b"\n")
        elif not rest:
            return
        block, defects = block[end:] + rest, Defects()


def _first_line(stream: BinaryIO) -> tuple[bytes, int]:
    """The first line that is no comment, and its number."""
    for number in range(1, _COMMENT_LINES + 1):
        line = stream.readline(BLOCK)
        if not line.removeprefix(codecs.BOM_UTF8).startswith(_COMMENT):
            return line, number
    return b"", _COMMENT_LINES


def _read_header(stream: BinaryIO, name: str, defects: Defects) -> _Header:
    first, number = _first_line(stream)
    line, found = decoded(first, name)
    for defect in found:
        defects.add(defect)
    if number > 1:
        defects.add(Defect(COMMENTS, name, 1, "", f"{number - 1} lines of comments stand before the header"))
    line = line.rstrip(b"\r\n")
    if not line.strip():
        raise TableDamagedError(name, "the first line is empty: there is no header" if first else "it is empty")
    separator = _separator(line)
    # Quotes are syntax where the header is quoted (R writes it so) and in CSV. In Spectronaut's TSV they mostly are
    # text; see `_are_syntax`.
    is_quoted = line.startswith(b'"') or separator != "\t"
    return _Header(line, _checked_header(line, name, separator, number), number, separator, is_quoted)


def _clean(block: bytes, name: str, header: _Header, done: int, defects: Defects) -> bytes:
    """Lines of text in UTF-8 with LF, the last one closed; `done` lines stand before them."""
    text, found = decoded(block, name, header=header.names, done=done)
    for defect in found:
        defects.add(defect)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
        defects.add(Defect(CRLF, name, done + 1, "", "lines end in CR LF; read as LF"))
    if b"\0" in text:
        line = done + text.count(b"\n", 0, text.index(b"\0")) + 1
        raise TableDamagedError(name, "NUL bytes: not a text table", line=line)
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _even(text: bytes, name: str, header: _Header, done: int, defects: Defects) -> Text:
    """The lines without blank and ragged ones, and the line number of each that is left."""
    lines = lines_of(text, name, header.separator, done, is_quoted=header.is_quoted)
    is_quoted = header.is_quoted
    if not is_quoted and b'"' in text and _are_syntax(text, name, header, done, lines):
        lines, is_quoted = lines_of(text, name, header.separator, done, is_quoted=True), True
    if done == header.number:
        _fit_header(text, name, header, lines, defects)
    uneven, blank = lines.uneven(len(header.names)), lines.blank
    defects.rows += int((~blank).sum())
    defects.lost += int(uneven.sum())
    _note_ragged(name, header, lines.numbers[uneven], lines.fields[uneven], defects)
    keep = np.flatnonzero(~(blank | uneven))
    if len(keep) != len(lines.starts):
        text = b"".join(text[lines.starts[i] : lines.stops[i] + 1] for i in keep)
    data = header.line + b"\n" + text
    return Text(name, data, header.names, header.separator, is_quoted, lines.numbers[keep], defects, header.number)


def _note_ragged(
    name: str, header: _Header, numbers: npt.NDArray[np.int64], fields: npt.NDArray[np.int64], defects: Defects
) -> None:
    """Note lines that were left out, at the column in which they end, or pass the header's end."""
    for count in np.unique(fields).tolist():
        column = header.names[min(count, len(header.names)) - 1]
        detail = f"{count} fields where the header has {len(header.names)}; the line is left out"
        defects.add_lines(RAGGED, name, numbers[fields == count], column, lambda _: detail)  # noqa: B023 - called at once


def _are_syntax(text: bytes, name: str, header: _Header, done: int, plain: Lines) -> bool:
    """Quotes of a TSV close fields: every one belongs to a field that is quoted as a whole, and lines are no less even.

    Otherwise they are text, as in `5"-x`.
    """
    if b'"' in _QUOTED_FIELD.sub(b"", text):
        return False
    width = len(header.names)
    quoted = lines_of(text, name, header.separator, done, is_quoted=True)
    return bool(quoted.uneven(width).sum() <= plain.uneven(width).sum())


def _fit_header(text: bytes, name: str, header: _Header, lines: Lines, defects: Defects) -> None:
    """Where every row has one field more than the header, that field has no name: R's row names, or an empty last one.

    Row names are what makes the first fields differ from row to row; numbers that rise are names even if the last
    fields are all empty.
    """
    full = np.flatnonzero(~lines.blank)
    if not len(full) or not (lines.fields[full] == len(header.names) + 1).all():
        return
    rows = [text[lines.starts[i] : lines.stops[i]] for i in full]
    separator = header.separator.encode()
    firsts = [row.split(separator, 1)[0].strip(b'"') for row in rows]
    is_empty = all(row.endswith((separator, separator + b'""')) for row in rows)
    if is_empty and not _rising(firsts):
        header.line, header.names = header.line + separator + b"_empty", (*header.names, "_empty")
        defects.add(Defect(TRAILING, name, header.number, "", "every row ends with a separator; read past"))
    elif len(set(firsts)) == len(firsts) and all(firsts):
        header.line, header.names = b"_row" + separator + header.line, ("_row", *header.names)
        defects.add(Defect(ROW_NAMES, name, header.number, "", "rows begin with a name of their own; read past"))


def _rising(firsts: list[bytes]) -> bool:
    if not all(first.isdigit() for first in firsts):
        return False
    numbers = [int(first) for first in firsts]
    return all(one < other for one, other in pairwise(numbers))


def _checked_header(line: bytes, name: str, separator: str, number: int) -> tuple[str, ...]:
    header = _fields(line, separator)
    if not header:
        raise TableDamagedError(name, "the first line cannot be split into names of columns", line=number)
    repeated = [column for column, count in Counter(header).items() if count > 1]
    if repeated:
        places = [str(place) for place, column in enumerate(header, start=1) if column == repeated[0]]
        reason = f"there are {len(places)} columns of this name, at {', '.join(places)}"
        raise TableDamagedError(name, reason, line=number, column=repeated[0])
    return header


def _last_break(block: bytes, *, is_quoted: bool) -> int:
    """Where the last whole line of a block ends; 0 if none does. A line break within quotes ends no line."""
    end = block.rfind(b"\n") + 1
    while is_quoted and end and block.count(b'"', 0, end) % 2:
        end = block.rfind(b"\n", 0, end - 1) + 1
    return end


def _separator(line: bytes) -> str:
    """Tab, comma or semicolon: whichever the header holds most of."""
    return max("\t,;", key=lambda separator: line.count(separator.encode()))


def _fields(line: bytes, separator: str) -> tuple[str, ...]:
    """The fields of a line; none if it is no line of a table."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not text.startswith('"') and separator == "\t":
        return tuple(text.split(separator))
    try:
        return tuple(next(csv.reader([text], delimiter=separator), []))
    except csv.Error:
        return ()
