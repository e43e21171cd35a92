"""What pages are made of: blocks and pieces of text as plain data, with no word of HTML.

Belongs here: the forms, and a frame as a table. Does not belong here: how they become HTML (`html`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import polars as pl

from cm4ai_assets.plain import size_in_words

_CELL_WIDTH: Final = 300
ABSENT: Final = "not stated"
"""What stands where a value is not known, if a table says nothing else."""


@dataclass(frozen=True)
class Link:
    """A link: to an address (http, https, mailto), a file beside the page, or `#` and the id of a section.

    An address of another kind is not followed: only the text is shown.
    """

    text: str
    to: str


@dataclass(frozen=True)
class Strong:
    """Important text."""

    text: str


@dataclass(frozen=True)
class Mono:
    """A name, a path or a digest, in letters of one width."""

    text: str


@dataclass(frozen=True)
class Badge:
    """A state in a word or two. The colour says nothing that the word does not."""

    text: str
    kind: Literal["good", "warning", "bad", "neutral"] = "neutral"


Value = str | int | float | bool | date | None
Inline = Value | Link | Strong | Mono | Badge
Content = Inline | Sequence[Inline]
"""What stands in a line or a cell: one piece, or pieces that follow each other without a space."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    content: Content


@dataclass(frozen=True)
class Note:
    """A paragraph that is set apart: what a reader should not miss."""

    content: Content


@dataclass(frozen=True)
class Bullets:
    """A list; ordered where the order matters."""

    items: Sequence[Content]
    ordered: bool = False


@dataclass(frozen=True)
class Definitions:
    """Names and what belongs to each: one content, or several."""

    pairs: Sequence[tuple[str, Content]]


@dataclass(frozen=True)
class Facts:
    """Numbers at a glance: each a value and what it counts."""

    pairs: Sequence[tuple[str, Content]]


@dataclass(frozen=True)
class Table:
    """Rows under a caption. The first column names the row; numbers stand to the right, short values in one line.

    Attributes:
        caption: What the table shows.
        columns: Heads of the columns.
        rows: As many contents as columns, each.
        absent: What stands where a value is None.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Content]]
    absent: str = ABSENT


@dataclass(frozen=True)
class Figure:
    """A picture with its caption. `alt` says what is seen to who cannot see it."""

    data: bytes
    mime: str
    alt: str
    caption: Content


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    text: str
    label: str


@dataclass(frozen=True)
class Section:
    """A part of a page under its own heading; sections within it are one level below."""

    title: str
    blocks: Sequence[Block]


Block = Text | Note | Bullets | Definitions | Facts | Table | Figure | Code | Section


@dataclass(frozen=True)
class Page:
    """A page: title, a sentence below it, sections with a table of contents, and a last line."""

    title: str
    sections: Sequence[Section]
    summary: str = ""
    footer: Content = ""


def table_of(frame: pl.DataFrame, caption: str, *, shown: int = 20, absent: str = ABSENT) -> Table:
    """Rows of a frame. Where there are more than are shown, the caption says how many there are.

    Sizes (`size`, `previous_size`) are in words; a text of more than 300 characters is cut.
    """
    more = f" ({shown:,} of {frame.height:,} rows)" if frame.height > shown else ""
    heads = [name.replace("_", " ") for name in frame.columns]
    sizes = [name.removeprefix("previous_") == "size" for name in frame.columns]
    rows = [
        [size_in_words(one) if is_size and isinstance(one, int) else _plain(one)
         for one, is_size in zip(row, sizes, strict=True)]
        for row in frame.head(shown).rows()
    ]  # fmt: skip
    return Table(caption + more, heads, rows, absent)


def _plain(value: object) -> Inline:
    if value is None or isinstance(value, int | float | date):
        return value
    text = ", ".join(map(str, value)) if isinstance(value, list | pl.Series) else str(value)
    return text if len(text) <= _CELL_WIDTH else f"{text[: _CELL_WIDTH - 1]}…"
