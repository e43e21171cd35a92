"""Graphs as small pictures, for pages that show no Mermaid: a product at the left, what it was made with to its right.

Belongs here: drawing a bounded part of a graph. Does not belong here: what is drawn (`provenance`, `lineage`), the same
as text (`mermaid`), or what all pictures share (`drawing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from cm4ai_assets.crates.iris import normalize_id
from cm4ai_assets.crates.provenance import ProvenanceGraph
from cm4ai_assets.drawing import FAINT, INK, PAPER, font, png
from cm4ai_assets.heavy import Image, ImageDraw

_COLUMNS: Final = 6
_ROWS: Final = 6
_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN = 168, 66, 48, 12, 14
_RADIUS: Final = 6
_LINE, _PLAIN = "#8a8a8a", "#eeeeee"
# Fill by the kind of thing: data, activities, software, living matter, instruments.
_FILLS: Final = {
    "Dataset": "#dbe7fb", "DatasetGroup": "#dbe7fb", "ROCrate": "#dbe7fb", "Schema": "#dbe7fb",
    "Computation": "#fde8cf", "Experiment": "#fde8cf",
    "Software": "#dff2df", "MLModel": "#dff2df",
    "Sample": "#f3dff1", "BioChemEntity": "#f3dff1", "CellLine": "#f3dff1", "Antibody": "#f3dff1",
    "Instrument": "#e6e6e6",
}  # fmt: skip

_SPELLED: Final = str.maketrans({"\N{RIGHTWARDS ARROW}": "->", "\N{HORIZONTAL ELLIPSIS}": "..."})  # not in the font

Link = tuple[str, str, str]


@dataclass(frozen=True)
class Thing:
    """A node: what it is called, and its type where that is known."""

    name: str
    kind: str | None


@dataclass(frozen=True)
class _Box:
    """A node as it is drawn: column, row, and the relation by which it is reached."""

    column: int
    row: int
    thing: Thing
    relation: str


def of_graph(graph: ProvenanceGraph) -> bytes:
    """The graph of a published page."""
    things = {node.id: Thing(node.name or node.id, node.type) for node in graph.nodes.values()}
    links = [(link.source, link.relation, link.target) for link in graph.links]
    return picture(things, links, first=graph.owner)


def of_provenance(provenance: pl.DataFrame, entities: pl.DataFrame, entity_id: str) -> bytes:
    """What `lineage.provenance_of` found, with the entity it was found for."""
    start = normalize_id(entity_id)
    own = entities.filter(pl.col("entity_id") == start).select("name", "entity_type").head(1).rows()
    name, kind = own[0] if own else (None, None)
    things = {start: Thing(name or start, kind)}
    for node, of_kind, called in provenance.select("entity_id", "entity_type", "name").iter_rows():
        things.setdefault(node, Thing(called or node, of_kind))
    return picture(things, list(provenance.select("via", "relation", "entity_id").iter_rows()), first=start)


def picture(things: Mapping[str, Thing], links: Iterable[Link], *, first: str | None) -> bytes:
    """A graph of at most six columns of six boxes, each column one step further from the first node.

    Args:
        things: The nodes by id.
        links: Source, relation and target of each link.
        first: The node to begin with; None begins with one that no link leads to.
    """
    forward = ((t, "generated_by", s) if relation == "generated" else (s, relation, t) for s, relation, t in links)
    wanted = [link for link in dict.fromkeys(forward) if link[0] in things and link[2] in things]
    if first not in things:
        reached = {target for _, _, target in wanted}
        first = next((node for node in things if node not in reached), next(iter(things), None))
    if first is None:
        return png(_canvas(1, 1, more=False))
    boxes, hidden = _placed(things, wanted, first)
    columns = 1 + max(box.column for box in boxes.values())
    canvas = _canvas(columns, 1 + max(box.row for box in boxes.values()), more=any(hidden))
    draw = ImageDraw.Draw(canvas)
    for source, _, target in wanted:
        if source in boxes and target in boxes:
            _link(draw, boxes[source], boxes[target])
    for box in boxes.values():
        _draw_box(draw, box)
    for column, left in enumerate(hidden):
        if left:
            x, y = _corner(column, _ROWS)
            draw.text((x + 4, y), f"and {left:,} more", fill=FAINT, font=font(12))
    return png(canvas)


def _placed(things: Mapping[str, Thing], links: list[Link], first: str) -> tuple[dict[str, _Box], list[int]]:
    """The boxes that are shown, nearest first, and how many of each column are not."""
    boxes = {first: _Box(0, 0, things[first], things[first].kind or "")}
    leads: dict[str, list[tuple[str, str]]] = {}
    for source, relation, target in links:
        leads.setdefault(source, []).append((target, relation))
    hidden, reached, front = [0], {first}, [first]
    while front and len(hidden) < _COLUMNS:
        found: dict[str, str] = {}
        for node in front:
            for target, relation in leads.get(node, ()):
                if target not in reached:
                    found.setdefault(target, relation)
        column, front = len(hidden), _spread(found, things)
        boxes |= {node: _Box(column, row, things[node], found[node]) for row, node in enumerate(front)}
        if found:
            hidden.append(len(found) - len(front))
        reached |= found.keys()
    return boxes, hidden


def _spread(found: Mapping[str, str], things: Mapping[str, Thing]) -> list[str]:
    """As many nodes as a column holds, some of each relation before more of one."""
    turns: dict[tuple[str, str | None], int] = {}
    rank = {}
    for node, relation in found.items():
        kind = (relation, things[node].kind)
        rank[node] = turns[kind] = turns.get(kind, -1) + 1
    chosen = sorted(found, key=lambda node: rank[node])[:_ROWS]
    return [node for node in found if node in chosen]


def _corner(column: int, row: int) -> tuple[int, int]:
    return _MARGIN + column * (_WIDTH + _ACROSS), _MARGIN + row * (_HEIGHT + _DOWN)


def _canvas(columns: int, rows: int, *, more: bool) -> Image.Image:
    width, height = _corner(columns, rows)
    return Image.new("RGB", (width - _ACROSS + _MARGIN, height + (_MARGIN if more else 0)), PAPER)


def _link(draw: ImageDraw.ImageDraw, source: _Box, target: _Box) -> None:
    """A line from the right edge of a box to the left edge of one further right. What leads back is not drawn."""
    if source.column >= target.column:
        return
    x, y = _corner(source.column, source.row)
    to_x, to_y = _corner(target.column, target.row)
    begin, end = (x + _WIDTH, y + _HEIGHT // 2), (to_x, to_y + _HEIGHT // 2)
    turn = begin[0] + 10 + 5 * source.row  # lines of different boxes do not run into each other
    draw.line([begin, (turn, begin[1]), (turn, end[1]), end], fill=_LINE, width=1)
    draw.polygon([end, (end[0] - 6, end[1] - 3), (end[0] - 6, end[1] + 3)], fill=_LINE)


def _draw_box(draw: ImageDraw.ImageDraw, box: _Box) -> None:
    x, y = _corner(box.column, box.row)
    fill = _FILLS.get(box.thing.kind or "", _PLAIN)
    draw.rounded_rectangle([x, y, x + _WIDTH, y + _HEIGHT], _RADIUS, fill=fill, outline=_LINE)
    draw.text((x + 8, y + 5), _lines(box.relation.replace("_", " "), 10, 1)[0], fill=FAINT, font=font(10))
    for number, line in enumerate(_lines(box.thing.name, 12, 3)):
        draw.text((x + 8, y + 18 + number * 14), line, fill=INK, font=font(12))


def _lines(text: str, size: int, limit: int) -> list[str]:
    """A text in no more lines than that, broken at spaces where it can be; cut, it says so."""
    left = "".join(char if char.isprintable() else " " for char in text.translate(_SPELLED)).strip() or "?"
    lines: list[str] = []
    while left and len(lines) < limit:
        end = len(left)
        while end > 1 and font(size).getlength(left[:end]) > _WIDTH - 16:
            end -= 1
        if end < len(left) and (space := max(left.rfind(mark, 1, end) for mark in " _-/")) > end // 2:
            end = space + 1
        lines.append(left[:end].rstrip())
        left = left[end:].lstrip()
    if left:
        lines[-1] = f"{lines[-1][:-1]}..."
    return lines
