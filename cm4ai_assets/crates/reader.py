"""Reading crates: where a release keeps them, and the entities in a file, one by one.

Belongs here: files and ZIP members that are crates, the frame of JSON-LD around the entities, which entity is the root.
Does not belong here: what an entity says (`decoding`), tables (`frames`).

Nothing here fails because of what a file holds: a file that is no JSON, or a member that cannot be had, becomes a
`Problem`. Every element of `@graph` becomes one entity, be it readable or not. A key that stands twice in one JSON
object counts once, the later one, as JSON parsers have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from cm4ai_assets.crates.decoding import Beside, Decoded, decode
from cm4ai_assets.crates.identifiers import normalize_id, normalize_type
from cm4ai_assets.crates.mending import mend
from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MemberUnreadableError, read_directory, read_member

CRATE_SUFFIX = "ro-crate-metadata.json"
OUTER = -1  # position of a root that is the outer object, as in the crates of 2024


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

    `root_position` is null where the root is named but not described here.
    """

    name: str
    elements: list[tuple[int, Raw]]
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


class _Outline(msgspec.Struct, gc=False):
    """As much of an entity as tells whether it is the root."""

    id: Any = msgspec.field(name="@id", default=None)
    types: Any = msgspec.field(name="@type", default=None)
    about: Any = None


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """A crate's file as nearly all are: a context and a graph, read in one pass."""

    graph: list[Raw] = msgspec.field(name="@graph")
    context: Raw = msgspec.field(name="@context", default=Raw())


_PLAIN = msgspec.json.Decoder(_Plain)
_DOCUMENT = msgspec.json.Decoder(dict[str, Raw])
_OUTLINE = msgspec.json.Decoder(_Outline)
_GRAPH = msgspec.json.Decoder(list[Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def is_crate_name(name: str) -> bool:
    """The name of a crate's metadata file: `x/ro-crate-metadata.json`, or flattened `x-ro-crate-metadata.json`."""
    return name.lower().endswith(CRATE_SUFFIX)


def crates_in_zip(source: ByteSource) -> tuple[list[CrateFile], list[Problem]]:
    """The crate files in a ZIP, named `archive.zip!folder/ro-crate-metadata.json`, and what could not be had."""
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
    graph, outer = _parts(file, problems)
    elements = list(enumerate(graph))
    if outer is not None:
        elements.append((OUTER, outer))
    root_id, root_position = _root(elements)
    if elements and root_id is None:
        problems.append(Problem(file.name, "", "no root: no descriptor names one, and no entity is typed ROCrate"))
    return Crate(file.name, elements, root_id, root_position, tuple(problems))


def _parts(file: CrateFile, problems: list[Problem]) -> tuple[list[Raw], Raw | None]:
    """The elements of the graph, and the object around it if that says more than the graph and its context."""
    data = file.data
    try:
        return _split(data)
    except _UNREADABLE as first:
        mended, notes = mend(data)
        try:
            parts = _split(mended)
        except _UNREADABLE:
            problems.append(Problem(file.name, _place(data, first), f"not JSON ({first}); nothing of it is read"))
            return [], None
        problems += [Problem(file.name, "", f"mended to be readable: {note}") for note in notes]
        return parts


def _split(data: bytes) -> tuple[list[Raw], Raw | None]:
    with suppress(msgspec.ValidationError):
        return _PLAIN.decode(data).graph, None
    if data.lstrip()[:1] == b"[":  # expanded JSON-LD: the entities themselves
        return _GRAPH.decode(data), None
    around = _DOCUMENT.decode(data)
    graph = around.pop("@graph", None)
    elements: list[Raw] = []
    if graph is not None:
        # One entity instead of a list, or something else: one element all the same.
        elements = _GRAPH.decode(graph) if bytes(graph).lstrip()[:1] == b"[" else [graph]
    around.pop("@context", None)
    if not around:
        return elements, None
    return elements, Raw(msgspec.json.encode(around))


def _place(data: bytes, error: Exception) -> str:
    """Line and column of a syntax error, from the byte that msgspec names."""
    _, _, tail = str(error).rpartition("(byte ")
    number = tail.rstrip(")")
    if not number.isdecimal():
        return f"byte {len(data)}, the end" if "truncated" in str(error) else ""
    before = data[: int(number)]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f"line {line}, column {column}"


def _root(elements: list[tuple[int, Raw]]) -> tuple[str | None, int | None]:
    """Id and position of the root: what the descriptor is about, else the outer object, else the first ROCrate."""
    # As a rule the descriptor is the first element and the root the second: no more than those are looked at.
    named = next((target for _, raw in elements if (target := _described_by(_outline(raw)))), None)
    if named is not None:
        wanted = normalize_id(named)
        for position, raw in elements:
            stated = _outline(raw).id
            if isinstance(stated, str) and normalize_id(stated) == wanted:
                return named, position
        return named, None
    for position, raw in sorted(elements, key=lambda element: element[0] != OUTER):
        outline = _outline(raw)
        if isinstance(outline.id, str) and (position == OUTER or _is_crate(outline)):
            return outline.id, position
    return None, None


def _outline(raw: Raw) -> _Outline:
    try:
        return _OUTLINE.decode(raw)
    except _UNREADABLE:
        return _Outline()


def _described_by(outline: _Outline) -> str | None:
    """The root that a descriptor names, if this is a descriptor."""
    if not isinstance(outline.id, str) or not is_crate_name(outline.id):
        return None
    target = outline.about.get("@id") if isinstance(outline.about, dict) else outline.about
    return target if isinstance(target, str) and target else None


def _is_crate(outline: _Outline) -> bool:
    types = outline.types if isinstance(outline.types, list) else [outline.types]
    return any(isinstance(text, str) and normalize_type(text) == "ROCrate" for text in types)
