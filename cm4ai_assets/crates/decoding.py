"""One entity of a crate: from its JSON to typed values, whatever form they take, and nothing lost on the way.

Belongs here: the typed decoder and the tolerant one behind it. Does not belong here: finding the entities in a file
(`reader`), tables (`frames`).

The typed decoder takes an entity in one pass if it has nothing but known keys in known forms; that is what makes 57,000
of them cheap. Any other goes key by key: what has a known form is read as before, the rest stays as JSON in `extra`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any, cast

import msgspec
from msgspec import Raw

from cm4ai_assets.crates.mending import mend
from cm4ai_assets.crates.vocabulary import CARRIED, RELATIONS


class Ref(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A reference to an entity and nothing else: `{"@id": …}`."""

    id: str = msgspec.field(name="@id")


Refs = str | Ref | list[str | Ref] | None
Texts = str | list[str] | None
Scalar = str | int | float | None


_ABSENT = cast("Raw", None)  # msgspec knows no `Raw | None`


class Described(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What an entity says about itself. Relations follow in `Entity`, one field for each key of `RELATIONS`.

    Lists that thousands of entities share (authors, keywords, types) stay JSON here, None where they are absent:
    `texts_of` and `ids_of` decode each distinct one once.
    """

    id: str | None = msgspec.field(name="@id", default=None)
    types: Raw = msgspec.field(name="@type", default=_ABSENT)
    metadata_type: Raw = msgspec.field(name="metadataType", default=_ABSENT)
    additional_type: Raw = msgspec.field(name="additionalType", default=_ABSENT)
    name: Texts = None
    description: Texts = None
    version: Scalar = None
    license: Refs = None
    keywords: Raw = _ABSENT
    author: Raw = _ABSENT
    run_by: Refs = msgspec.field(name="runBy", default=None)
    command: Texts = None
    content_url: Texts = msgspec.field(name="contentUrl", default=None)
    url: Texts = None
    content_size: Scalar = msgspec.field(name="contentSize", default=None)
    format: Texts = None
    encoding_format: Texts = msgspec.field(name="encodingFormat", default=None)
    md5: str | None = None
    md5_upper: str | None = msgspec.field(name="MD5", default=None)
    sha256: str | None = None
    sha_256: str | None = msgspec.field(name="sha-256", default=None)
    hash: str | None = None
    date_published: Scalar = msgspec.field(name="datePublished", default=None)
    date_created: Scalar = msgspec.field(name="dateCreated", default=None)
    date_performed: Scalar = msgspec.field(name="datePerformed", default=None)
    date_modified: Scalar = msgspec.field(name="dateModified", default=None)
    identifier: Texts = None
    metadata_file: str | None = msgspec.field(name="ro-crate-metadata", default=None)


Entity = cast(
    "type[Described]",
    msgspec.defstruct(
        "Entity",
        [
            *((f"relation_{i}", Refs, msgspec.field(name=key, default=None)) for i, key in enumerate(RELATIONS)),
            *((f"carried_{i}", Raw, msgspec.field(name=key, default=None)) for i, key in enumerate(CARRIED)),
        ],
        bases=(Described,),
        forbid_unknown_fields=True,
        gc=False,
    ),
)
_RELATIONS = [(key, attrgetter(f"relation_{i}")) for i, key in enumerate(RELATIONS)]
_CARRIED = [(key, attrgetter(f"carried_{i}")) for i, key in enumerate(CARRIED)]

_ENTITY = msgspec.json.Decoder(Entity)
_TEXTS = msgspec.json.Decoder(Texts)
_REFS = msgspec.json.Decoder(Refs)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ANYTHING = msgspec.json.Decoder(Any)
# Key to field name, decoder, and whether it refers to entities; keys that are only carried along are left out.
_KEYS: dict[str, tuple[str, msgspec.json.Decoder[Any], bool]] = {
    info.encode_name: (info.name, msgspec.json.Decoder(info.type), info.type == Refs)
    for info in msgspec.structs.fields(Entity)
    if info.encode_name not in CARRIED
}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(slots=True)
class Beside:
    """What there is to an entity beside the fields that it fills.

    `extra` has the keys without a field, or with more in them than their field holds, the JSON verbatim; `defects` are
    among `tables.crates.ENTITY_DEFECTS`; `identifiers` are pairs of a name (None where it has none) and a value.
    """

    extra: dict[str, Raw] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)
    identifiers: list[tuple[str | None, str]] = field(default_factory=list)

    def flaw(self, defect: str) -> None:
        """Note a defect, once."""
        if defect not in self.defects:
            self.defects.append(defect)


Decoded = tuple[Described, Beside | None]


def decode(raw: Raw) -> Decoded:
    """The entity in a piece of JSON. Never fails: what cannot be read at all comes back as an entity that says so."""
    try:
        return _ENTITY.decode(raw), None
    except _UNREADABLE:
        return _key_by_key(raw)


@dataclass(slots=True)
class References:
    """The references of some entities, key by key: each has a key, an entity's index, and so many of the `targets`."""

    keys: list[str] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)


def references_of(entities: Sequence[Described]) -> References:
    """What some entities refer to. Key by key, since most keys no entity has."""
    found = References()
    sources, counts, targets = found.sources, found.counts, found.targets
    for key, get in _RELATIONS:
        values = list(map(get, entities))
        if not any(values):
            continue
        before = len(sources)
        for index, value in enumerate(values):
            if value:
                ids = ids_in(value)
                sources.append(index)
                counts.append(len(ids))
                targets += ids
        found.keys += repeat(key, len(sources) - before)
    return found


def carried_by(entities: Sequence[Described]) -> list[dict[str, Raw]]:
    """The keys of each of some entities that are carried along."""
    found: list[dict[str, Raw]] = [{} for _ in entities]
    for key, get in _CARRIED:
        values = list(map(get, entities))
        if any(values):
            for carried, value in zip(found, values, strict=True):
                if value is not None:
                    carried[key] = value
    return found


def ids_in(value: Refs) -> list[str]:
    """The ids that a value refers to, in their order; empty strings refer to nothing."""
    if not value:
        return []
    if isinstance(value, list) and len(value) > 1:
        return [target for item in value if (target := item.id if isinstance(item, Ref) else item)]
    one = value[0] if isinstance(value, list) else value
    target = one.id if isinstance(one, Ref) else one
    return [target] if target else []


def texts_in(value: Texts) -> list[str]:
    """One text or several, as several; empty ones say nothing."""
    if isinstance(value, list):
        return [text for text in value if text] if "" in value else value
    return [value] if value else []


@lru_cache(maxsize=1 << 14)
def texts_of(raw: bytes) -> tuple[str, ...] | None:
    """The texts in a piece of JSON, None if it has another form."""
    try:
        return tuple(texts_in(_TEXTS.decode(raw)))
    except _UNREADABLE:
        return None


@lru_cache(maxsize=1 << 14)
def ids_of(raw: bytes) -> tuple[str, ...] | None:
    """The ids or names in a piece of JSON, None if it has another form."""
    try:
        return tuple(ids_in(_REFS.decode(raw)))
    except _UNREADABLE:
        return None


def _key_by_key(raw: Raw) -> Decoded:
    """An entity that the typed decoder does not take."""
    beside = Beside()
    if not _is_sound(raw):
        mended, notes = mend(bytes(raw))
        if notes:
            raw = Raw(mended)
            beside.flaw("json_mended")
    try:
        pairs = _OBJECT.decode(raw)
    except _UNREADABLE:
        return Entity(), _no_entity(raw)
    known: dict[str, Any] = {}
    for key, value in pairs.items():
        if key not in _KEYS:
            beside.extra[key] = value
            continue
        name, decoder, refers = _KEYS[key]
        try:
            known[name] = decoder.decode(value)
        except _UNREADABLE:
            # Kept whole in `extra`, whatever can be read of it besides.
            beside.extra[key] = value
            if key == "identifier":
                beside.identifiers = _property_values(value)
                understood = bool(beside.identifiers)
            else:
                ids, understood = loose_ids(value) if refers else ([], bytes(value) == b"{}")
                known.update({name: ids} if ids else {})
            if not understood:
                beside.flaw("unexpected_form")
    return Entity(**known), beside


def _no_entity(raw: Raw) -> Beside:
    """An element of the graph that is no object, or no JSON."""
    if _is_sound(raw):
        return Beside({"": raw}, ["not_an_object"])
    text = Raw(msgspec.json.encode(bytes(raw).decode(errors="replace")))
    return Beside({"": text}, ["unreadable"])


def _is_sound(raw: Raw) -> bool:
    """The JSON is JSON to its depths. Decoding to `Raw` looks no deeper than where a value ends."""
    try:
        _ANYTHING.decode(raw)
    except _UNREADABLE:
        return False
    return True


def loose_ids(raw: Raw) -> tuple[list[str], bool]:
    """The ids in a value that mixes references with other things, and whether that is all that the value says.

    Inline objects (`{"@id": …, "name": …}`), nested lists, `@list`, `@set` and `@value` give their ids; what is there
    and has no id is a reference lost.
    """
    try:
        value = _ANYTHING.decode(raw)
    except _UNREADABLE:
        return [], False
    found = list(_ids(value))
    return [one for one in found if one is not None], None not in found


def _ids(value: object) -> Iterator[str | None]:
    """Each id in a value in its order; null for what is something and has none."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, dict) and item:
            inside = next((item[key] for key in ("@id", "@list", "@set", "@value") if item.get(key)), None)
            if inside is None:
                yield None
            waiting.append(inside)
        elif item or item in (0, False):  # null and empty texts and objects say nothing
            yield item if isinstance(item, str) else None


def _property_values(raw: Raw) -> list[tuple[str | None, str]]:
    """Identifiers given as inline `PropertyValue`; one crate of 2025 writes `@value` where schema.org says `value`."""
    found: list[tuple[str | None, str]] = []
    for item in _items(raw):
        if isinstance(item, str):
            found.append((None, item))
        elif isinstance(item, dict):
            value = item.get("value", item.get("@value", item.get("@id")))
            name = item.get("name", item.get("propertyID"))
            if isinstance(value, str | int | float):
                found.append((name if isinstance(name, str) else None, str(value)))
    return found


def _items(raw: Raw) -> list[object]:
    try:
        value = _ANYTHING.decode(raw)
    except _UNREADABLE:
        return []
    return value if isinstance(value, list) else [value]
