"""Whether a datasheet is what D4D (Datasheets for Datasets, Bridge2AI) says it should be, with each fault at its place.

Belongs here: slots, types, patterns and vocabularies of D4D 2.0.0, held against statements. Does not belong here:
reading the datasheet (`loose_yaml`). `d4d.json` holds nothing but the names and types of the schema's classes; it is
made by `cm4ai_assets_tests/crates/d4d_compact.py`, and a test holds it against the schema itself. Deviations are noted,
never refused: of the published datasheets none is free of them.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import msgspec

from cm4ai_assets.crates.statements import Statement, child_path
from cm4ai_assets.identifiers import DOI, ORCID

_FORMS = {"doi": DOI, "orcid": ORCID}
# What a scalar may be in the document. YAML dates are text in JSON, where D4D is defined.
_SCALARS = {
    "string": {"string", "date"},
    "boolean": {"boolean"},
    "integer": {"number"},
    "number": {"number"},
    "date": {"string", "date"},
    "date-time": {"string", "date"},
    "doi": {"string"},
    "orcid": {"string"},
}


class Description(msgspec.Struct):
    """The classes of D4D, slot to kind: `[X]` is a list of X, `X!` must be there; X is a class, vocabulary or type."""

    source: str
    version: str
    classes: dict[str, dict[str, str]]
    enums: dict[str, list[str]]


@cache
def description() -> Description:
    """The D4D version that datasheets are held against."""
    data = (resources.files("cm4ai_assets.crates") / "d4d.json").read_bytes()
    return msgspec.json.decode(data, type=Description)


def note_deviations(datasheet: Statement) -> None:
    """Note at each statement of a datasheet how it deviates; a slot that is missing gets a statement of its own."""
    waiting = [(datasheet, "Dataset")]
    while waiting:
        statement, kind = waiting.pop()
        waiting += _check(statement, kind)


def _check(statement: Statement, kind: str) -> list[tuple[Statement, str]]:
    """Hold one statement against a kind; what stands below it comes back with the kinds it should have."""
    known, required, kind = description(), kind.endswith("!"), kind.rstrip("!")
    if statement.kind == "null" and not required and kind not in known.enums:
        return []
    if kind.startswith("["):
        if statement.kind == "list":
            return [(item, f"{kind[1:-1]}!") for item in statement.children.values()]
        _wrong_type(statement, "a list")
    elif kind in known.classes:
        if statement.kind == "object":
            return _check_slots(statement, kind, known.classes[kind])
        _wrong_type(statement, f"an object ({kind})")
    elif kind in known.enums:
        _check_word(statement, kind, known.enums[kind])
    else:
        _check_scalar(statement, kind)
    return []


def _check_word(statement: Statement, kind: str, words: list[str]) -> None:
    if statement.kind not in _SCALARS["string"]:
        _wrong_type(statement, f"a word of {kind}")
    elif statement.text not in words:
        statement.deviates("not_in_enum", f"{kind} has no {statement.text!r}")


def _check_scalar(statement: Statement, kind: str) -> None:
    whole = kind != "integer" or re.fullmatch(r"[-+]?\d+", statement.text or "") is not None
    if statement.kind not in _SCALARS[kind] or not whole:
        _wrong_type(statement, f"of type {kind}")
    elif kind in _FORMS and not _FORMS[kind].fits(statement.text or ""):
        statement.deviates("wrong_pattern", f"not a {_FORMS[kind].kind} as D4D writes it: {_FORMS[kind].example}")


def _check_slots(statement: Statement, kind: str, slots: dict[str, str]) -> list[tuple[Statement, str]]:
    for key, child in statement.children.items():
        if key not in slots:
            child.deviates("unknown_slot", f"{kind} has no slot {key}")
    for slot, of_kind in slots.items():
        if of_kind.endswith("!") and slot not in statement.children:
            absent = Statement(child_path(statement.path, slot), "absent", line=statement.line)
            absent.deviates("missing_slot", f"{kind} needs {slot}")
            statement.children[slot] = absent
    return [(child, slots[key]) for key, child in statement.children.items() if key in slots and child.kind != "absent"]


def _wrong_type(statement: Statement, expected: str) -> None:
    statement.deviates("wrong_type", f"should be {expected}, is {statement.kind}")
