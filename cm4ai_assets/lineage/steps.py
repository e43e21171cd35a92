"""The links of a chain of origins: rows, tables, stores, members, published files, each with what it was made of.

Belongs here: what a link is. Does not belong here: finding links (`chain`, `rules`), and a chain as an answer
(`traces`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.storage.makings import Making


class StepKind(StrEnum):
    """What a link is."""

    ROWS = "rows"
    PLANES = "planes"  # of fields, in a tensor
    TABLE = "table"
    STORE = "store"
    DOCUMENT = "document"
    BLOB = "blob"
    MEMBERS = "members"  # of a ZIP
    FILE = "published file"
    RECORD = "record"
    EXPORT = "export"
    OUTSIDE = "outside"  # neither published as a file nor stored here


class State(StrEnum):
    """How an input stands to what it was when something was made of it."""

    SAME = "same bytes"
    OTHER = "other bytes now"
    GONE = "no longer stored"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Used:
    """One input of a run: its digest then, its digest now (None where none is known), and how the two stand."""

    path: str
    digest: str
    now: str | None
    state: State


@dataclass(frozen=True)
class Stored:
    """Where the bytes of a link stand.

    Attributes:
        path: File or folder, relative to the storage root.
        digest: SHA-256 of the file, or of the folder (`digests.listing_digest`), as recorded; None without a record.
        size: Bytes; None where not known.
        making: The run that made these bytes; None where none is recorded.
        inputs: What that run was given, and how it stands now.
        part: The file within a folder that the link is about, if it is about one.
    """

    path: str
    digest: str | None
    size: int | None
    making: Making | None = None
    inputs: tuple[Used, ...] = ()
    part: str | None = None


@dataclass(frozen=True)
class RowsOf:
    """Rows of one partition of a table: their numbers in its file, from 0, and the key where it is one row."""

    table: str
    release: str
    condition: str | None
    numbers: tuple[int, ...]
    key: Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """A member of a ZIP as the central directory states it; what is None is not known here.

    Attributes:
        name: Verbatim.
        crc32: CRC-32.
        size: Bytes of the file.
        compressed_size: Bytes in the ZIP.
        header_offset: Where its local header begins in the ZIP.
    """

    name: str
    crc32: int | None = None
    size: int | None = None
    compressed_size: int | None = None
    header_offset: int | None = None


@dataclass(frozen=True)
class Step:
    """A link: what it is, and the links that it was made of.

    Attributes:
        kind: What it is.
        name: In words.
        stored: Where its bytes stand, if they are stored; those of rows are their table's.
        rows: Which rows.
        members: Which members of the ZIP that is the next link.
        lines: Lines of the file or member, from 1, where they are known.
        file: The file as an archive publishes it.
        notes: What else is to be known of it, and what is not known, in sentences.
        origins: What it was made of.
    """

    kind: StepKind
    name: str
    stored: Stored | None = None
    rows: RowsOf | None = None
    members: tuple[Member, ...] = ()
    lines: tuple[int, ...] = ()
    file: PublishedFile | None = None
    notes: tuple[str, ...] = ()
    origins: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Held:
    """One stored thing of a chain that was read again: its path, how it went, and what is wrong with it."""

    path: str
    detail: str
    problems: tuple[str, ...] = ()


def every(*roots: Step) -> tuple[Step, ...]:
    """Some links and all that are behind them, each once."""
    seen: dict[int, Step] = {}
    for root in roots:
        _gather(root, seen)
    return tuple(seen.values())


def _gather(step: Step, seen: dict[int, Step]) -> None:
    if id(step) in seen:
        return
    seen[id(step)] = step
    for origin in step.origins:
        _gather(origin, seen)
