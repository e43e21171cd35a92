"""What the pages of the metadata assets show: counts, defects, provenance graphs, and what has to be carried over.

Belongs here: metadata of materializations. Does not belong here: drawing (`crates.pictures`, `crates.mermaid`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from cm4ai_assets.crates import mermaid, pictures
from cm4ai_assets.crates.datasheet import carried_over
from cm4ai_assets.crates.lineage import outputs, provenance_of
from cm4ai_assets.crates.provenance import ProvenanceGraph
from cm4ai_assets.crates.reader import Problem
from cm4ai_assets.defs import pages as md
from cm4ai_assets.defs.crates.inputs import Found
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG

GRAPHS_SHOWN = 3
_VALUES_SHOWN = 20


def of_entities(entities: pl.DataFrame, found: Found, problems: Sequence[Problem]) -> Metadata:
    """What was read and what was not, entities by crate and type, and what is wrong with them."""
    by_crate = entities.group_by("crate_file", maintain_order=True).agg(
        pl.len().alias("entities"),
        *(
            (pl.col("entity_type") == kind).sum().alias(kind)
            for kind in entities["entity_type"].drop_nulls().value_counts(sort=True)["entity_type"].head(8)
        ),
    )
    defects = entities.explode("defects").drop_nulls("defects").group_by("defects").len("entities").sort("defects")
    return {
        **_reading(found),
        "crates": md.rows(by_crate),
        "problems": md.rows(_problems(problems)),
        "defects": md.rows(defects),
        "embargoed_entities": int(entities["is_embargoed"].sum()),
        "with_digest": entities.filter(pl.col("md5").is_not_null() | pl.col("sha256").is_not_null()).height,
        "keys_kept_as_json": int(entities["extra_keys"].sum()),
    }


def _reading(found: Found) -> Metadata:
    return {
        "files_read": md.rows(pl.DataFrame({"file": found.files}, schema={"file": pl.String})),
        "left_out": md.rows(pl.DataFrame({"why": found.left_out}, schema={"why": pl.String})),
    }


def _problems(problems: Sequence[Problem]) -> pl.DataFrame:
    rows = [(one.source, one.place, one.message) for one in problems]
    return pl.DataFrame(rows, schema=dict.fromkeys(("source", "place", "problem"), pl.String), orient="row")


def of_edges(entities: pl.DataFrame, edges: pl.DataFrame, graphs: Sequence[ProvenanceGraph]) -> Metadata:
    """Relations with their numbers, and graphs: those that are published, then what the crates know of an output."""
    relations = edges.group_by("relation").agg(
        pl.len().alias("edges"), pl.col("target_known").sum().alias("target_described")
    )
    published = pl.DataFrame(
        [(graph.source, len(graph.nodes), len(graph.links), graph.stated_entities) for graph in graphs],
        schema={"page": pl.String, "nodes": pl.Int64, "links": pl.Int64, "stands_for": pl.Int64},
        orient="row",
    )
    return {
        "relations": md.rows(relations.sort("edges", descending=True)),
        "published_graphs": md.rows(published),
        **_drawn(entities, edges, graphs),
    }


def _drawn(entities: pl.DataFrame, edges: pl.DataFrame, graphs: Sequence[ProvenanceGraph]) -> Metadata:
    """Graphs as pictures, each with its text for Mermaid: Dagster's UI shows pictures and no Mermaid."""
    shown: dict[str, dg.MetadataValue[Any] | str] = {}
    largest = sorted((graph for graph in graphs if graph.links), key=lambda graph: len(graph.nodes), reverse=True)
    for number, graph in enumerate(largest[:GRAPHS_SHOWN], 1):
        picture = pictures.of_graph(graph)
        shown[f"published_graph_{number}_caption"] = _caption(f"As published in {graph.source}", len(graph.nodes))
        shown[f"published_graph_{number}"] = md.picture(picture, alt=graph.source, mime=PNG)
        shown[f"published_graph_{number}_mermaid"] = _code(mermaid.of_graph(graph))
    for number, output in enumerate(outputs(edges, GRAPHS_SHOWN), 1):
        lineage = provenance_of(entities, edges, output).collect()
        picture = pictures.of_provenance(lineage, entities, output)
        shown[f"provenance_{number}_caption"] = _caption(f"What {output} was made with", lineage.height)
        shown[f"provenance_{number}"] = md.picture(picture, alt=output, mime=PNG)
        shown[f"provenance_{number}_mermaid"] = _code(mermaid.of_provenance(lineage, output))
    return shown


def _caption(text: str, things: int) -> str:
    """What a picture shows, as text beside it: words in a picture cannot be searched."""
    return f"{text}: {things:,} things"


def _code(text: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"```mermaid\n{text}```")


def of_usage(snapshot: pl.DataFrame) -> Metadata:
    """The numbers for all time as the services state them now, and why there are none."""
    total = snapshot.filter(pl.col("period").is_null()).select("doi", "service", "metric", "value", "status", "detail")
    return {
        "datasets": total["doi"].n_unique(),
        **{status: total.filter(status=status).height for status in ("reported", "no_data", "unavailable")},
        "counts": md.rows(total.sort(pl.col("value").is_null(), "doi", "service", "metric")),
    }


def of_datasheet(datasheet: pl.DataFrame, found: Found) -> Metadata:
    """What every later publication has to carry, and how the datasheets deviate from their formats."""
    sources = datasheet.group_by("source", "source_kind", maintain_order=True).agg(
        pl.len().alias("statements"), (pl.col("deviations").list.len() > 0).sum().alias("deviating")
    )
    deviations = datasheet.explode("deviations").drop_nulls("deviations").group_by("deviations").len("statements")
    return {
        **_reading(found),
        "sources": md.rows(sources),
        "deviations": md.rows(deviations.sort("deviations")),
        **{
            f"stated_{topic}": md.rows(pl.DataFrame({"stated": values[:_VALUES_SHOWN]}, schema={"stated": pl.String}))
            for topic, values in carried_over(datasheet).items()
        },
    }
