"""The provenance graphs that a release publishes as HTML pages: the graph itself, and whether the crates say the same.

Belongs here: the JSON inside the pages of all three generations, and its comparison with the crates. Does not belong
here: lineage for use (`lineage`), drawing (`mermaid`). A page covers one output only, has neither digests nor
addresses, and shows whole groups of datasets as one node: it is a second opinion on the crates, nothing more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from cm4ai_assets.crates.claims import Row, finding
from cm4ai_assets.crates.identifiers import normalize_type
from cm4ai_assets.crates.iris import normalize_id
from cm4ai_assets.crates.lineage import made_with, provenance_of
from cm4ai_assets.crates.reader import Problem
from cm4ai_assets.crates.vocabulary import RELATIONS
from cm4ai_assets.findings import Finding

GRAPH_SUFFIXES = ("provenance-graph.html", "prov-graph.html", "evidence-graph.html")
_DATA = re.compile(r"\b(?P<name>evidenceGraphData|__EVIDENCE_GRAPH_DATA__)\s*=\s*(?=\{)")
_ABOUT_ITSELF = {"@id", "@type", "@context", "name", "description", "format"}
_GROUP, _GROUP_MEMBERS = "DatasetGroup", "evi:memberIds"


@dataclass(frozen=True, slots=True)
class Node:
    """A thing in a graph; `members` are what a group stands for, and empty for anything else."""

    id: str
    type: str | None
    name: str | None
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A relation that a graph states, in the words of `tables.crates.RELATION_NAMES`."""

    source: str
    relation: str
    target: str


@dataclass(slots=True)
class ProvenanceGraph:
    """The graph of one page, ids normalized.

    `generation` is how the page holds it: 1 a nested tree (2025), 2 an object keyed by id (2026), 3 the same in a
    global variable (fairscape-cli 1.2.11 and later), 0 not at all. `stated_entities` is the number before datasets were
    put into groups.
    """

    source: str
    generation: int
    owner: str | None
    stated_entities: int | None
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def is_graph_name(name: str) -> bool:
    """The name of a provenance graph's page."""
    return name.lower().endswith(GRAPH_SUFFIXES)


def read_graph(page: bytes, *, source: str) -> ProvenanceGraph:
    """The graph in a page. Never fails: a page without one gives an empty graph and a problem that says why."""
    text = page.decode(errors="replace")
    for match in _DATA.finditer(text):
        try:
            data, _ = json.JSONDecoder().raw_decode(text, match.end())
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, match.start()) + 1
            return _failed(source, f"line {line}", f"the graph's JSON cannot be read: {error}")
        return _graph(data, source, in_global=match["name"] != "evidenceGraphData")
    return _failed(source, "", "no evidence graph in the page")


def _failed(source: str, place: str, message: str) -> ProvenanceGraph:
    return ProvenanceGraph(source, 0, None, None, problems=[Problem(source, place, message)])


def _graph(data: dict[str, Any], source: str, *, in_global: bool) -> ProvenanceGraph:
    content = data.get("@graph")
    is_tree = isinstance(content, dict) and isinstance(content.get("@id"), str)
    owner, statistics = data.get("owner"), data.get("condensation_stats")
    count = statistics.get("originalEntityCount") if isinstance(statistics, dict) else None
    graph = ProvenanceGraph(
        source,
        1 if is_tree else 3 if in_global else 2,
        normalize_id(owner) if isinstance(owner, str) else None,
        count if isinstance(count, int) else None,
    )
    if is_tree:
        waiting = [content]
    elif isinstance(content, dict | list):
        waiting = list(content.values()) if isinstance(content, dict) else list(content)
    else:
        graph.problems.append(Problem(source, "@graph", "is neither a tree nor a collection of nodes"))
        waiting = []
    # Not recursive: the tree of a long chain of computations is as deep as the chain.
    while waiting:
        waiting += _add(graph, waiting.pop())
    graph.links = list(dict.fromkeys(graph.links))
    return graph


def _add(graph: ProvenanceGraph, stated: object) -> list[object]:
    """Put a node with its links into the graph; returns the nodes that stand inside of it."""
    if not isinstance(stated, dict) or not isinstance(stated.get("@id"), str):
        graph.problems.append(Problem(graph.source, "@graph", f"a node without an id: {json.dumps(stated)[:80]}"))
        return []
    node_id = normalize_id(stated["@id"])
    types = stated.get("@type")
    last = types[-1] if isinstance(types, list) and types else types
    members = stated.get(_GROUP_MEMBERS)
    known = graph.nodes.get(node_id)
    if known is None or known.type is None:
        graph.nodes[node_id] = Node(
            node_id,
            normalize_type(last) if isinstance(last, str) else None,
            stated["name"] if isinstance(stated.get("name"), str) else None,
            tuple(normalize_id(one) for one in members if isinstance(one, str)) if isinstance(members, list) else (),
        )
    inside: list[object] = []
    for key, value in stated.items():
        if key in _ABOUT_ITSELF or key.startswith("evi:"):
            continue
        targets = [item for item in (value if isinstance(value, list) else [value]) if _refers(item)]
        if not targets:
            continue
        if key not in RELATIONS:
            graph.problems.append(Problem(graph.source, node_id, f"{key} is no known relation"))
            continue
        for target in targets:
            target_id = normalize_id(target if isinstance(target, str) else target["@id"])
            graph.links.append(Link(node_id, RELATIONS[key], target_id))
            if isinstance(target, dict) and len(target) > 1:
                inside.append(target)
            else:
                graph.nodes.setdefault(target_id, Node(target_id, None, None))
    return inside


def _refers(item: object) -> bool:
    if isinstance(item, dict):
        return isinstance(item.get("@id"), str)
    return isinstance(item, str) and item.startswith(("ark:", "http"))


def disagreements(graphs: Iterable[ProvenanceGraph], entities: pl.DataFrame, edges: pl.DataFrame) -> Finding:
    """The provenance graphs say what the crates say. Protects from lineage that only one of the two knows."""
    names: dict[str, set[str | None]] = {}
    for entity_id, name in entities.select("entity_id", "name").drop_nulls("entity_id").iter_rows():
        names.setdefault(entity_id, set()).add(name)
    lineage = set(made_with(edges).select("via", "relation", "entity_id").collect().iter_rows())
    rows: list[Row] = []
    for graph in graphs:
        rows += [(graph.source, one.place, "graph", "unreadable", one.message) for one in graph.problems]
        rows += _unlike_nodes(graph, names)
        rows += _unlike_links(graph, names, lineage)
        if graph.owner is not None and graph.owner in names:
            rows += _undrawn(graph, provenance_of(entities, edges, graph.owner).collect())
    return finding("provenance_agrees", rows, f"{len(rows)} statements of graphs and crates disagree")


def _unlike_nodes(graph: ProvenanceGraph, names: Mapping[str, set[str | None]]) -> Iterator[Row]:
    for node in graph.nodes.values():
        if node.type == _GROUP or node.members:
            unknown = [member for member in node.members if member not in names]
            if unknown:
                yield graph.source, node.id, "members", f"{len(unknown)}, e.g. {unknown[0]}", "unknown to the crates"
        elif node.id not in names:
            yield graph.source, node.id, "node", node.name or node.id, "unknown to the crates"
        elif node.name is not None and node.name not in names[node.id]:
            names_there = ", ".join(sorted(filter(None, names[node.id])))
            yield graph.source, node.id, "name", node.name, f"in the crates: {names_there}"


def _unlike_links(
    graph: ProvenanceGraph, names: Mapping[str, set[str | None]], lineage: set[tuple[str, str, str]]
) -> Iterator[Row]:
    for link in graph.links:
        for source, relation, target in _spread(link, graph):
            if source in names and target in names and (source, relation, target) not in lineage:
                yield graph.source, source, relation, target, "unknown to the crates"


def _undrawn(graph: ProvenanceGraph, behind: pl.DataFrame) -> Iterator[Row]:
    """What the crates know of the graph's output, and the graph does not show. Cell lines no page ever shows."""
    drawn = {member for node in graph.nodes.values() for member in (node.id, *node.members)}
    for via, relation, entity_id in behind.select("via", "relation", "entity_id").iter_rows():
        if entity_id not in drawn and relation != "cell_line":
            yield graph.source, via, relation, "not in the graph", entity_id


def _spread(link: Link, graph: ProvenanceGraph) -> Iterator[tuple[str, str, str]]:
    """A link in the direction of production, and to the members where it leads to a group."""
    source, relation, target = link.source, link.relation, link.target
    if relation == "generated":
        source, relation, target = target, "generated_by", source
    group = graph.nodes.get(target)
    for one in group.members if group is not None and group.members else (target,):
        yield source, relation, one
