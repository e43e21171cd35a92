"""The frame of JSON-LD around the entities of a crate: the graph, the base of its ids, and which entity is the root.

Belongs here: the one place that finds `@graph`, `@base` and the root. Does not belong here: files and their repairs
(`reader`), what an entity says (`decoding`), the form of ids (`iris`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from cm4ai_assets.crates.identifiers import normalize_type
from cm4ai_assets.crates.iris import ROOT, last_segment, normalize_id, without_query

OUTER = -1  # position of a root that is the outer object, as in the crates of 2024
# `.jsonld` is RO-Crate 1.0.
CRATE_SUFFIXES = ("ro-crate-metadata.json", "ro-crate-metadata.jsonld")
_PROFILE = "https://w3id.org/ro/crate/"

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Elements = Sequence[tuple[int, Raw]]


@dataclass(frozen=True, slots=True)
class Frame:
    """The elements of a graph with their positions, the base of their ids, and the root's id and position.

    `root_position` is null where the root is named but not described here; `problems` say what was in doubt.
    """

    elements: list[tuple[int, Raw]]
    base: str | None = None
    root_id: str | None = None
    root_position: int | None = None
    problems: tuple[str, ...] = ()


class Outline(msgspec.Struct, gc=False):
    """As much of an entity as shows whether it is the descriptor, the root or a crate."""

    id: Any = msgspec.field(name="@id", default=None)
    types: Any = msgspec.field(name="@type", default=None)
    about: Any = None
    conforms_to: Any = msgspec.field(name="conformsTo", default=None)

    @property
    def is_crate(self) -> bool:
        """Typed ROCrate: a crate itself, or the stub of one."""
        types = self.types if isinstance(self.types, list) else [self.types]
        return any(isinstance(text, str) and normalize_type(text) == "ROCrate" for text in types)


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """A crate's file as nearly all are: a context and a graph, read in one pass."""

    graph: list[Raw] = msgspec.field(name="@graph")
    context: Raw = msgspec.field(name="@context", default=Raw())


_PLAIN = msgspec.json.Decoder(_Plain)
_DOCUMENT = msgspec.json.Decoder(dict[str, Raw])
_OUTLINE = msgspec.json.Decoder(Outline)
_GRAPH = msgspec.json.Decoder(list[Raw])


def is_crate_name(name: str) -> bool:
    """The name of a crate's metadata file: `x/ro-crate-metadata.json`, or flattened `x-ro-crate-metadata.json`."""
    return name.lower().endswith(CRATE_SUFFIXES)


def frame_of(data: bytes) -> Frame:
    """The frame of a crate's JSON.

    Raises:
        msgspec.DecodeError: It is no JSON.
        UnicodeDecodeError: The same.
        RecursionError: The same, for all that can be read here.
    """
    graph, outer, context = _split(data)
    elements = list(enumerate(graph))
    if outer is not None:
        elements.append((OUTER, outer))
    base, problem = _base(context)
    root = _Root(elements, base)
    root.find()
    problems = [problem, *root.problems] if problem else root.problems
    return Frame(elements, base, root.id, root.position, tuple(problems))


def outline(raw: Raw) -> Outline:
    """The outline of an element; an empty one if it is no entity."""
    try:
        return _OUTLINE.decode(raw)
    except UNREADABLE:
        return Outline()


def _split(data: bytes) -> tuple[list[Raw], Raw | None, Raw | None]:
    """The elements of the graph, the object around it if that says more than graph and context, and the context."""
    with suppress(msgspec.ValidationError):
        plain = _PLAIN.decode(data)
        return plain.graph, None, plain.context
    if data.lstrip()[:1] == b"[":  # expanded JSON-LD: the entities themselves
        return _GRAPH.decode(data), None, None
    around = _DOCUMENT.decode(data)
    graph = around.pop("@graph", None)
    elements: list[Raw] = []
    if graph is not None:
        # One entity instead of a list, or something else: one element all the same.
        elements = _GRAPH.decode(graph) if bytes(graph).lstrip()[:1] == b"[" else [graph]
    context = around.pop("@context", None)
    return elements, Raw(msgspec.json.encode(around)) if around else None, context


def _base(context: Raw | None) -> tuple[str | None, str]:
    """The last `@base` of a context, and what is wrong with it."""
    if context is None or b"@base" not in bytes(context):
        return None, ""
    try:
        value = msgspec.json.decode(context)
    except UNREADABLE:
        return None, "the context cannot be read; ids are not resolved"
    stated = [one["@base"] for one in (value if isinstance(value, list) else [value]) if "@base" in _object(one)]
    base = stated[-1] if stated else None
    if base is None:  # null resets it
        return None, ""
    if isinstance(base, str) and _is_absolute(base):
        return base, ""
    return None, f"@base is no address ({base!r:.80}); ids are not resolved"


def _is_absolute(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("http", "https", "ftp", "file")
    except ValueError:
        return False


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


class _Root:
    """The search for the root.

    It is what the descriptor is about, else the outer object, else the crate at `./`, else the first ROCrate.
    """

    def __init__(self, elements: Elements, base: str | None) -> None:
        self._elements, self._base = elements, base
        self.id: str | None = None
        self.position: int | None = None
        self.problems: list[str] = []

    def find(self) -> None:
        """Fill id, position and problems."""
        # As a rule the descriptor is the first element and the root the second: no more than those are looked at.
        descriptor = self._descriptor()
        named = [] if descriptor is None else _ids(descriptor.about)
        if named:
            self._take_named(named)
        elif self._elements:
            self._take_unnamed()
            if descriptor is not None and self.id is not None:
                self.problems.append(f"the descriptor names no root; {self.id} is taken for it")
            if self.id is None:
                self.problems.append("no root: no descriptor names one, and no entity is typed ROCrate")

    def _descriptor(self) -> Outline | None:
        """The crate's own descriptor, before those of crates inside of it, and those that names do not show."""
        own_name = (lambda path: "/" not in path) if self._base is None else self._is_at_base
        others: list[tuple[int, Outline]] = []
        for _, raw in self._elements:
            one = outline(raw)
            if not isinstance(one.id, str):
                continue
            path = without_query(normalize_id(one.id, self._base))
            if is_crate_name(last_segment(path)):
                rank = (0 if one.about else 2) + (0 if own_name(path) else 1)
                if rank == 0:
                    return one
                others.append((rank, one))
            elif one.about and any(text.startswith(_PROFILE) for text in _ids(one.conforms_to)):
                others.append((1, one))
        return min(others, key=lambda other: other[0], default=(0, None))[1]

    def _is_at_base(self, path: str) -> bool:
        return path.rsplit("/", 1)[0] == normalize_id(ROOT, self._base)

    def _take_named(self, named: list[str]) -> None:
        self.id = named[0]
        whole = {normalize_id(one, self._base): one for one in reversed(named)}
        if self._take(whole.get):
            return
        bare = {without_query(iri): one for iri, one in whole.items()}
        if self._take(lambda iri: bare.get(without_query(iri))):
            self.problems.append(f"the descriptor names {self.id}, which differs from the root in query or fragment")
        else:
            self.problems.append(f"no root: the descriptor names {self.id}, which is not described here")

    def _take(self, named: Callable[[str], str | None]) -> bool:
        """Take the first element whose IRI is one of those named."""
        for position, raw in self._elements:
            stated = outline(raw).id
            if isinstance(stated, str) and (name := named(normalize_id(stated, self._base))) is not None:
                self.id, self.position = name, position
                return True
        return False

    def _take_unnamed(self) -> None:
        own = normalize_id(ROOT, self._base)
        candidates = [(self._rank(position, one, own), position, one.id) for position, one in self._identified()]
        rank, position, stated = min(candidates, default=(3, 0, ""))
        if rank < 3:  # noqa: PLR2004 - see `_rank`
            self.id, self.position = stated, position

    def _identified(self) -> Iterator[tuple[int, Outline]]:
        outlines = ((position, outline(raw)) for position, raw in self._elements)
        return ((position, one) for position, one in outlines if isinstance(one.id, str))

    def _rank(self, position: int, one: Outline, own: str) -> int:
        if position == OUTER:
            return 0
        if normalize_id(one.id, self._base) == own:
            return 1
        return 2 if one.is_crate else 3


def _ids(value: object) -> list[str]:
    """The ids in a reference, or in several."""
    items = value if isinstance(value, list) else [value]
    found = (_object(item).get("@id", item) for item in items)
    return [one for one in found if isinstance(one, str) and one.strip()]
