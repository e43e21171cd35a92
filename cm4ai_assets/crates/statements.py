"""A document as a tree of statements, each with its place: what YAML, JSON-LD and crate roots have in common.

Belongs here: the tree, and reading JSON into it. Does not belong here: YAML with its repairs (`loose_yaml`), what the
fields mean (`datasheet`, `d4d`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_IDENTIFIER = re.compile(r"[\w@][\w@:-]*")
# Documents are hostile or broken before they are larger than this: the largest real datasheet has some 300 statements.
DEEPEST = 40
MOST = 100_000


@dataclass(slots=True)
class Statement:
    """One field of a document: a value, or what stands below it.

    `kind` is one of the values of `release_datasheet.value_type`; `text` the value as written, None for containers and
    null; `line` counts from 1, None where the document has no lines worth naming; `deviations` are pairs of a code and
    its story.
    """

    path: str
    kind: str
    text: str | None = None
    line: int | None = None
    children: dict[str, Statement] = field(default_factory=dict)
    deviations: list[tuple[str, str]] = field(default_factory=list)

    def deviates(self, code: str, story: str) -> None:
        """Note a deviation, once."""
        if (code, story) not in self.deviations:
            self.deviations.append((code, story))

    def walk(self) -> Iterator[Statement]:
        """This statement and all below it, in the document's order."""
        waiting = [self]
        while waiting:
            statement = waiting.pop()
            yield statement
            waiting += reversed(statement.children.values())


@dataclass(frozen=True, slots=True)
class Note:
    """A deviation that belongs to no statement: a line that was dropped, bytes that are no text."""

    code: str
    story: str
    line: int | None = None
    text: str | None = None


def child_path(path: str, key: str | int) -> str:
    """The path of a field or an item below another: `creators[0].name`; odd keys stand in brackets and quotes."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _IDENTIFIER.fullmatch(key) is None:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def from_json(value: object, path: str = "") -> Statement:
    """A parsed JSON value as statements. What lies too deep is kept as text, and said so."""
    made = 0

    def build(value: object, path: str, depth: int) -> Statement:
        nonlocal made
        made += 1
        if isinstance(value, Mapping | list) and (depth > DEEPEST or made > MOST):
            statement = Statement(path, "string", str(value)[:10_000])
            statement.deviates("too_deep", f"nested deeper than {DEEPEST} levels or longer than {MOST} statements")
            return statement
        if isinstance(value, Mapping):
            below = {str(key): build(item, child_path(path, str(key)), depth + 1) for key, item in value.items()}
            return Statement(path, "object", children=below)
        if isinstance(value, list):
            below = {f"[{i}]": build(item, child_path(path, i), depth + 1) for i, item in enumerate(value)}
            return Statement(path, "list", children=below)
        return Statement(path, kind_of(value), None if value is None else _text(value))

    return build(value, path, 0)


def kind_of(value: object) -> str:
    """The kind of a JSON scalar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
