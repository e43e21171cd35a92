"""Graphs as text for Mermaid, small enough to be looked at and safe whatever the names are.

Belongs here: drawing. Does not belong here: what is drawn (`provenance`, `lineage`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from cm4ai_assets.crates.iris import normalize_id
from cm4ai_assets.crates.provenance import ProvenanceGraph

NODES_SHOWN = 40
_LABEL_WIDTH = 60
# Everything but these becomes a character entity, in Mermaid's own spelling: names come from the archive and must not
# end a label, start a directive or become markup.
_PLAIN = frozenset(" .,:;+-_/()=@'%")

Link = tuple[str, str, str]


def of_graph(graph: ProvenanceGraph, *, limit: int = NODES_SHOWN) -> str:
    """The graph of a published page."""
    labels = {node.id: _label(node.name or node.id, node.type) for node in graph.nodes.values()}
    links = [(link.source, link.relation, link.target) for link in graph.links]
    return flowchart(labels, links, first=graph.owner, limit=limit)


def of_provenance(provenance: pl.DataFrame, entity_id: str, *, limit: int = NODES_SHOWN) -> str:
    """What `lineage.provenance_of` found, with the entity it was found for."""
    start = normalize_id(entity_id)
    labels = {start: _label(start, None)}
    for node, kind, name in provenance.select("entity_id", "entity_type", "name").iter_rows():
        labels.setdefault(node, _label(name or node, kind))
    return flowchart(
        labels, list(provenance.select("via", "relation", "entity_id").iter_rows()), first=start, limit=limit
    )


def flowchart(labels: Mapping[str, str], links: Iterable[Link], *, first: str | None, limit: int = NODES_SHOWN) -> str:
    """A Mermaid flowchart of no more than `limit` nodes, those next to the first one before others.

    Args:
        labels: Node to its label, already escaped.
        links: Source, relation and target of each link.
        first: The node to begin with; None begins with the first label.
        limit: Number of nodes; what is left out is counted in a node of its own.
    """
    wanted = [link for link in dict.fromkeys(links) if link[0] in labels and link[2] in labels]
    order = _nearest_first(labels, wanted, first)
    shown = {node: f"n{index}" for index, node in enumerate(order[:limit])}
    lines = ["flowchart LR", *(f'    {short}["{labels[node]}"]' for node, short in shown.items())]
    lines += [
        f"    {shown[source]} -->|{_escaped(relation.replace('_', ' '))}| {shown[target]}"
        for source, relation, target in wanted
        if source in shown and target in shown
    ]
    if len(order) > limit:
        lines.append(f'    more["and {len(order) - limit:,} more"]')
    return "\n".join(lines) + "\n"


def _nearest_first(labels: Mapping[str, str], links: Iterable[Link], first: str | None) -> list[str]:
    neighbours: dict[str, list[str]] = {}
    for source, _, target in links:
        neighbours.setdefault(source, []).append(target)
    order = dict.fromkeys([first] if first in labels and first is not None else list(labels)[:1])
    queue = list(order)
    for node in queue:
        fresh = [target for target in neighbours.get(node, ()) if target not in order]
        order.update(dict.fromkeys(fresh))
        queue += fresh
    return [*order, *(node for node in labels if node not in order)]


def _label(name: str, kind: str | None) -> str:
    short = name if len(name) <= _LABEL_WIDTH else f"{name[: _LABEL_WIDTH - 1]}…"
    return _escaped(f"{short} ({kind})" if kind else short)


def _escaped(text: str) -> str:
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" for char in text)
