"""YAML however broken: read as statements with their lines, with every repair and every line that could not be read.

Belongs here: repairs of the text, and the tree made from it. Does not belong here: what the fields mean (`datasheet`),
and whether they follow a schema (`d4d`).

The datasheet of June 2025 is a debugging dump of a tool: it begins with the tool's banner, and prose with a colon in it
stands unquoted in lists, which YAML reads as a mapping (`FDA Regulated: No.`) or refuses (`a: b; c: d`). A list item is
taken for prose if its key is no lower-case identifier. Values stay as they are written: that YAML 1.1 makes `no` false
and `2025-07-01` a date is noted beside them, not done to them. Nothing is ever constructed from a tag.
"""

from __future__ import annotations

import re
from collections import Counter

import yaml

from cm4ai_assets.crates.statements import DEEPEST, MOST, Note, Statement, child_path

LARGEST = 2_000_000  # bytes; the largest published datasheet has 17,000, one that lists every delivered file 600,000
MOST_REPAIRS = 200
MOST_WORK = 20_000_000  # bytes parsed in all, each repair parsing the text anew
MOST_SHOWN = 10_000
MOST_REPEATED = 1_000  # statements that stand nowhere in the text: aliases repeat them

_BANNER = re.compile(r"^=== .* ===\s*$")
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_LINE_END = re.compile(r"\r\n|\r|\n")
_SLOT = re.compile(r"[a-z_][a-z0-9_]*")
_SLOT_VALUE = re.compile(r"^(?P<head>\s*(?:- )*[A-Za-z_][\w-]*:\s+)(?P<value>[^'\"\[{|>&*!#\s].*)$")
_ITEM = re.compile(r"^(?P<head>\s*(?:- )+)(?P<value>[^'\"\[{|>&*!#\s].*)$")
_KINDS = {"bool": "boolean", "int": "number", "float": "number", "timestamp": "date", "null": "null"}


def read_yaml(data: bytes) -> tuple[Statement | None, list[Note]]:
    """The document as statements, None if there is nothing to read, and the deviations that belong to no statement."""
    if len(data) > LARGEST:
        return None, [Note("unparsed", f"{len(data)} bytes are more than a datasheet can have; nothing of it is read")]
    notes: list[Note] = []
    lines = _lines(data, notes)
    quoted: dict[int, str] = {}
    repairs = 0
    while True:
        text = "\n".join(lines) + "\n"
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            break
        except yaml.MarkedYAMLError as error:
            number = _line_of(error, lines)
            repairs += 1
            if number is None or repairs > min(MOST_REPAIRS, MOST_WORK // len(text)):
                return None, [*notes, *_unparsed(lines, str(error.problem))]
            _repair(lines, number, quoted, notes, str(error.problem))
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            return None, [*notes, *_unparsed(lines, f"{type(error).__name__}: {error}"[:200])]
    if node is None:
        return None, notes
    return _Builder(text, quoted).build(node, "", []), notes


def _lines(data: bytes, notes: list[Note]) -> list[str]:
    """The lines of the text, those of tools blanked, characters that are none replaced. Numbers of lines stay."""
    text = data.decode("utf-8-sig", errors="replace")
    if "\ufffd" in text and b"\xef\xbf\xbd" not in data:
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        notes.append(Note("not_utf8", "bytes that are not UTF-8, shown as U+FFFD", line))
    if (found := _UNPRINTABLE.search(text)) is not None:
        line = text.count("\n", 0, found.start()) + 1
        notes.append(Note("not_utf8", "characters YAML does not allow, shown as U+FFFD", line))
        text = _UNPRINTABLE.sub("\ufffd", text)
    lines = _LINE_END.split(text)
    for index, content in enumerate(lines):
        if _BANNER.match(content):
            notes.append(Note("banner", "a line of a tool's output", index + 1, content))
            lines[index] = ""
    return lines


def _line_of(error: yaml.MarkedYAMLError, lines: list[str]) -> int | None:
    """The line to blame: where a quote or a key began that never ended, else where the parser stopped; none empty."""
    marks = [error.problem_mark, error.context_mark]
    if error.context in ("while scanning a quoted scalar", "while scanning a simple key"):
        marks.reverse()
    for mark in marks:
        if mark is not None:
            for number in range(min(mark.line, len(lines) - 1), -1, -1):
                if lines[number].strip():
                    return number
    return next((number for number in range(len(lines) - 1, -1, -1) if lines[number].strip()), None)


def _repair(lines: list[str], number: int, quoted: dict[int, str], notes: list[Note], problem: str) -> None:
    """Quote the prose on a line; if there is none, or that did not help, drop the line and keep its text in a note."""
    line = lines[number]
    slot, item = _SLOT_VALUE.match(line), _ITEM.match(line)
    is_prose = item is not None and not _SLOT.fullmatch(item["value"].split(":", 1)[0])
    match = item if is_prose or slot is None else slot
    if match is None or number in quoted:
        original = quoted.pop(number, line)
        notes.append(Note("unparsed", f"left out, YAML says: {problem}", number + 1, original.strip()))
        lines[number] = ""
        return
    quoted[number] = line
    value = match["value"].rstrip().replace("'", "''")
    lines[number] = f"{match['head']}'{value}'"


def _unparsed(lines: list[str], problem: str) -> list[Note]:
    """Every line that holds something, as a note."""
    return [
        Note("unparsed", f"YAML says: {problem}", number, line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


class _Builder:
    """Statements from a graph of YAML nodes. Aliases are followed within bounds: few lines can stand for millions."""

    def __init__(self, text: str, quoted: dict[int, str]) -> None:
        self._text, self._quoted, self._made = text, quoted, 0
        self._known: set[int] = set()
        self._repeated = 0

    def build(self, node: yaml.Node, path: str, above: list[yaml.Node]) -> Statement:
        self._made += 1
        line = node.start_mark.line + 1
        if id(node) in self._known:
            self._repeated += 1
            if self._repeated > MOST_REPEATED and not isinstance(node, yaml.ScalarNode) and node not in above:
                statement = Statement(path, "string", self._source(node), line)
                statement.deviates("repeated", f"aliases repeat more than {MOST_REPEATED} statements; not followed")
                return statement
        self._known.add(id(node))
        if not isinstance(node, yaml.ScalarNode) and (node in above or len(above) > DEEPEST or self._made > MOST):
            statement = Statement(path, "string", self._source(node), line)
            statement.deviates("too_deep", f"nested deeper than {DEEPEST} levels, or an alias without end")
            return statement
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        if isinstance(node, yaml.SequenceNode):
            below = {
                f"[{index}]": self._item(item, child_path(path, index), [*above, node])
                for index, item in enumerate(node.value)
            }
            return Statement(path, "list", line=line, children=below)
        return self._mapping(node, path, line, above)

    def _mapping(self, node: yaml.Node, path: str, line: int, above: list[yaml.Node]) -> Statement:
        statement = Statement(path, "object", line=line)
        seen: Counter[str] = Counter()
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else self._source(key_node)
            seen[key] += 1
            name = key if seen[key] == 1 else f"{key}#{seen[key]}"
            child = self.build(value, child_path(path, name), [*above, node])
            child.line = key_node.start_mark.line + 1
            if seen[key] > 1:
                child.deviates("duplicate_key", f"{key} stands here {seen[key]} times; YAML would keep the last only")
            statement.children[name] = child
        return statement

    def _item(self, node: yaml.Node, path: str, above: list[yaml.Node]) -> Statement:
        """An item of a list: prose that YAML takes for a mapping is the prose it is."""
        if isinstance(node, yaml.MappingNode) and not node.flow_style and len(node.value) == 1:
            key, value = node.value[0]
            plain = isinstance(key, yaml.ScalarNode) and key.style is None and isinstance(value, yaml.ScalarNode)
            if plain and not _SLOT.fullmatch(key.value) and value.style is None:
                statement = Statement(path, "string", self._source(node), node.start_mark.line + 1)
                statement.deviates("quoted", f"prose; YAML would read a mapping with the key {key.value!r}")
                return statement
        return self.build(node, path, above)

    def _scalar(self, node: yaml.ScalarNode, path: str, line: int) -> Statement:
        kind = _KINDS.get(node.tag.rsplit(":", 1)[-1], "string")
        statement = Statement(path, kind, None if kind == "null" else node.value, line)
        if node.start_mark.line in self._quoted:
            statement.deviates("quoted", "prose with a colon, which YAML refuses unquoted")
        return statement

    def _source(self, node: yaml.Node) -> str:
        """What stands in the text for a node, on one line."""
        return " ".join(self._text[node.start_mark.index : node.end_mark.index].split())[:MOST_SHOWN]
