"""Reading crates: where a release keeps them, and the entities in a file, one by one.

Belongs here: files and ZIP members that are crates, and their repairs. Does not belong here: the graph and its root in
the JSON (`frame`), what an entity says (`decoding`), tables (`frames`).

Nothing here fails because of what a file holds: a file that is no JSON, or a member that cannot be read, becomes a
`Problem`. Every element of `@graph` becomes one entity, be it readable or not. A key that stands twice in one JSON
object counts once, the later one, as JSON parsers have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from cm4ai_assets.crates.decoding import Beside, Decoded, decode
from cm4ai_assets.crates.frame import OUTER, UNREADABLE, Frame, frame_of, is_crate_name
from cm4ai_assets.crates.mending import mend, read_json
from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MemberUnreadableError, read_directory, read_member


@dataclass(frozen=True, slots=True)
class CrateFile:
    """The bytes of one crate's metadata file, and where they come from."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read: in which file, at what place in it, and why."""

    source: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}{f' at {self.place}' if self.place else ''}: {self.message}"


@dataclass(frozen=True, slots=True)
class Crate:
    """One crate: the elements of its graph with their positions, and its root where it has one.

    `base` is what its ids are resolved against (`@base`), null where they stay relative. `root_position` is null where
    the root is named but not described here, which is one of the problems.
    """

    name: str
    elements: list[tuple[int, Raw]]
    base: str | None
    root_id: str | None
    root_position: int | None
    problems: tuple[Problem, ...]

    def entities(self) -> Iterator[Decoded]:
        """The entities in the order of `elements`, each decoded when asked for: a large crate is never held twice."""
        for position, raw in self.elements:
            entity, beside = decode(raw)
            if position == OUTER:
                beside = beside or Beside()
                beside.flaw("outside_graph")
            yield entity, beside

    def objects(self) -> Iterator[dict[str, Any]]:
        """The elements as plain JSON objects, in the order of `elements`; empty ones for what is no object."""
        for _, raw in self.elements:
            value, _ = read_json(bytes(raw))
            yield value if isinstance(value, dict) else {}


def crates_in_zip(source: ByteSource) -> tuple[list[CrateFile], list[Problem]]:
    """The crate files in a ZIP, named `archive.zip!folder/ro-crate-metadata.json`, and what could not be read."""
    try:
        directory = read_directory(source)
    except ArchiveDamagedError as error:
        return [], [Problem(source.name, "", str(error))]
    files, problems = [], []
    for member in directory.members:
        if member.is_directory or not is_crate_name(member.name):
            continue
        name = f"{source.name}!{member.name}"
        try:
            files.append(CrateFile(name, read_member(source, member)))
        except (MemberUnreadableError, ArchiveDamagedError) as error:
            problems.append(Problem(name, "", str(error)))
    return files, problems


def read_crates(files: Iterable[CrateFile]) -> Iterator[Crate]:
    """The crates of some files, each read when asked for, so that only one is held."""
    for file in files:
        yield read_crate(file)


def read_crate(file: CrateFile) -> Crate:
    """The crate in a file, whatever state it is in."""
    problems: list[Problem] = []
    frame = _frame(file, problems)
    problems += [Problem(file.name, "", message) for message in frame.problems]
    return Crate(file.name, frame.elements, frame.base, frame.root_id, frame.root_position, tuple(problems))


def _frame(file: CrateFile, problems: list[Problem]) -> Frame:
    """The frame of the file, mended where it has to be."""
    try:
        return frame_of(file.data)
    except UNREADABLE as first:
        mended, notes = mend(file.data)
        try:
            frame = frame_of(mended)
        except UNREADABLE:
            where = _place(file.data, first)
            problems.append(Problem(file.name, where, f"not JSON ({first}); nothing of it is read"))
            return Frame([])
        problems += [Problem(file.name, "", f"mended to be readable: {note}") for note in notes]
        return frame


def _place(data: bytes, error: Exception) -> str:
    """Line and column of a syntax error, from the byte that msgspec names."""
    _, _, tail = str(error).rpartition("(byte ")
    number = tail.rstrip(")")
    if not number.isdecimal():
        return f"byte {len(data)}, the end" if "truncated" in str(error) else ""
    before = data[: int(number)]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f"line {line}, column {column}"


def pages_in(source: ByteSource, ending: str) -> list[str]:
    """The pages in a ZIP whose name ends so, as text; one that cannot be read is passed over, as a second opinion."""
    found = []
    with suppress(ArchiveDamagedError):
        for member in read_directory(source).members:
            if not member.is_directory and member.name.lower().endswith(ending):
                with suppress(MemberUnreadableError):
                    found.append(read_member(source, member).decode("utf-8", "replace"))
    return found
