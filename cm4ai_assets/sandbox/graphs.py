"""Provenance graph pages of the sandbox, in two of the shapes that were published.

Belongs here: the JSON inside the pages. Does not belong here: the crates that say the same (`subsets`, `crates`).
"""

from __future__ import annotations

import html
import json
from typing import Any

from cm4ai_assets.sandbox.crates import ARK, ARK_2025, CONTEXT, Entity
from cm4ai_assets.sandbox.subsets import SUBSETS

_KEPT = ("@id", "@type", "name", "description")  # a page has neither addresses nor digests


def graph_page(subset: str, *, keyed: bool) -> bytes:
    """The graph of one output of a subset: a nested tree as in 2025, or an object keyed by id as in 2026."""
    nodes = _nodes(subset, ARK if keyed else ARK_2025)
    owner = next(iter(nodes))
    graph: dict[str, Any] = {
        "@context": CONTEXT,
        "@id": f"{owner}-evidence-graph",
        "@type": "evi:EvidenceGraph",
        "owner": owner,
        "@graph": nodes if keyed else _tree(nodes, owner),
    }
    if keyed:
        graph |= {"outputs": [{"@id": owner}], "condensation_stats": {"originalEntityCount": len(nodes)}}
    data = json.dumps(graph).replace("</", "<\\/")
    title = html.escape(SUBSETS[subset].name)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8"><title>{title}</title></head>\n'
        f'<body><h1>{title}</h1>\n<div id="root"></div>\n<script>\nconst evidenceGraphData = {data};\n</script>\n'
        "</body>\n</html>\n"
    ).encode()


def _nodes(subset: str, ark: str) -> dict[str, Entity]:
    """The first report and what it was made with; of images the manifest alone, as published."""
    if subset.startswith("Images-"):
        condition = subset.removeprefix("Images-")
        manifest = f"{ARK}/dataset-{condition}-manifest"  # as in the crates of the images, whatever the year
        return {manifest: {"@id": manifest, "@type": "EVI:Dataset", "name": f"{condition} imaging manifest"}}
    report, run = f"{ark}/dataset-{subset}-1-report", f"{ark}/computation-{subset}-1"
    raw, software, sample = f"{ark}/dataset-{subset}-1-raw", f"{ark}/software-{subset}", f"{ark}/sample-{subset}"
    described: list[Entity] = [
        {"@id": report, "@type": "EVI:Dataset", "name": f"{subset} 1 report", "generatedBy": {"@id": run}},
        {
            "@id": run,
            "@type": "EVI:Computation",
            "name": f"{subset} 1 analysis",
            "usedDataset": [{"@id": raw}],
            "usedSoftware": [{"@id": software}],
        },
        {"@id": raw, "@type": "EVI:Dataset", "name": f"{subset} 1 raw", "derivedFrom": [{"@id": sample}]},
        {"@id": software, "@type": "EVI:Software", "name": "Spectronaut"},
        {"@id": sample, "@type": "EVI:Sample", "name": f"{subset} sample"},
    ]
    return {one["@id"]: one for one in described}


def _tree(nodes: dict[str, Entity], node: str) -> Entity:
    """A node with those it refers to inside of it."""

    def inside(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, list):
            return [inside(one) for one in value]
        return _tree(nodes, value["@id"])

    return {key: value if key in _KEPT else inside(value) for key, value in nodes[node].items()}
