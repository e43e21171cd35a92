"""What an export consists of: its parts, and what makes it this export and no other.

Belongs here: those words. Does not belong here: writing them (`making`), or what is in them (the formats).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Tick = Callable[[], None]
"""Called after each field or block of rows: counts it, and ends the part if the export was interrupted."""

Write = Callable[[Path, Tick], None]
"""Writes one part to a temporary path, as a file or a folder."""


@dataclass(frozen=True)
class Part:
    """One file or folder of an export, which appears under its name whole or not at all.

    Attributes:
        name: Its path in the export, with `/`.
        write: Writes it.
        ticks: How often `write` calls its `Tick`.
        size: Its bytes, where they are known before: a file of another size is made again.
        files: Of a folder, what it has to hold, with `/`: one that lacks a file, or has an empty one, is made again.
    """

    name: str
    write: Write
    ticks: int = 0
    size: int | None = None
    files: Sequence[str] = ()


ALL = "all"
"""Stands for the conditions of data that know none, and of what is absent as a whole."""


@dataclass(frozen=True)
class Covered:
    """What an export has of one kind of data (`coverage`).

    Attributes:
        kind: What it is called: images, SEC-MS, Perturb-seq.
        conditions: The conditions that are in the export, or `ALL`.
        absent: Why the others are not, by condition, or `ALL`.
    """

    kind: str
    conditions: tuple[str, ...]
    absent: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """Everything that an export will be, before anything is written.

    Attributes:
        identity: What the export depends on: two with the same identity have the same content.
        parts: Its parts, in any order.
        closing: Parts that make the others readable as one; they are written last, in the folder where those stand.
        unit: What a tick counts.
        sources: The published files, tables and stores that it is made from, each as a JSON object.
        credits: Dataset, version and licence behind each partition that is exported (`updates.credit`).
        counts: What is in it, and what was left out.
        coverage: The kinds of data in it, and of which conditions; images of those that `sources` name if it is empty.
        how_to_read: Markdown: what stands where, and an example in the words of the tool.
        notes: What a reader has to know of the values, in sentences.
        front_matter: What has to stand before the text of README.md, from the name of the licence.
        room: Bytes that it takes, where that is known.
        named_by: The word of the command that names the folder.
    """

    identity: Mapping[str, Any]
    parts: Sequence[Part]
    sources: Sequence[Mapping[str, Any]]
    credits: Sequence[Mapping[str, str]]
    how_to_read: str
    closing: Sequence[Part] = ()
    unit: str = "fields"
    counts: Mapping[str, Any] = field(default_factory=dict)
    coverage: Sequence[Covered] = ()
    notes: Sequence[str] = ()
    front_matter: Callable[[str], str] = lambda _license: ""
    room: int = 0
    named_by: str = "--output"


def of_bytes(name: str, data: bytes) -> Part:
    """A part that is known already."""
    return Part(name, lambda path, _: _write(path, data), size=len(data))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def as_json(content: Mapping[str, Any]) -> bytes:
    """A JSON document, for people as well."""
    return (json.dumps(content, indent=1) + "\n").encode()


def sentences(text: str) -> tuple[str, ...]:
    """Notes from a text in which each begins on a line of its own, after one that ends with a full stop."""
    notes: list[str] = []
    for line in text.strip().splitlines():
        if notes and not notes[-1].endswith("."):
            notes[-1] = f"{notes[-1]} {line}"
        else:
            notes.append(line)
    return tuple(notes)
