"""What made a file: antibody, treatment, instrument, software, sample, cell line, back through every step.

Belongs here: walks along the edges of a release's crates. Does not belong here: reading crates (`reader`, `frames`),
the graphs that the release publishes as HTML (`provenance`).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.crates.iris import normalize_id
from cm4ai_assets.crates.vocabulary import MADE_WITH

# A report is five steps from its cell line: computation, raw data, experiment, sample, cell line.
STEPS = 8
# What shows that a thing is a product: something made it, or it was stained.
_MAKERS = ("generated_by", "derived_from", "stained_with")

AnyFrame = pl.DataFrame | pl.LazyFrame


def provenance_of(entities: AnyFrame, edges: AnyFrame, entity_id: str, *, steps: int = STEPS) -> pl.LazyFrame:
    """Everything that an entity was made with, as one query: nearest first, each thing at its shortest distance.

    Columns: `step` (1 is next to the entity), `relation`, `entity_id`, `entity_type`, `name`, `format`, `command`,
    `description`, `via` (what the relation leads from), `is_described` (the crates say more of it than its id). Tables
    of several releases may be given: an id means the same thing in all of them.

    Args:
        entities: `crate_entities`.
        edges: `crate_edges`.
        entity_id: The entity, its id spelled in any way.
        steps: How far to walk; a loop in the crates costs no more than that.
    """
    lineage = made_with(edges)
    reached = pl.LazyFrame({"entity_id": [normalize_id(entity_id)]})
    walked = []
    for step in range(1, steps + 1):
        found = lineage.join(reached, left_on="via", right_on="entity_id", how="semi")
        walked.append(found.with_columns(step=pl.lit(step, pl.Int32)))
        reached = found.select("entity_id").unique()
    described = (
        entities.lazy()
        .filter(pl.col("entity_id").is_not_null())
        .sort("extra_keys", descending=True)  # the fullest description where several crates have one
        .unique("entity_id", keep="first", maintain_order=True)
        .select("entity_id", "entity_type", "name", "format", "command", "description", is_described=pl.lit(value=True))
    )
    return (
        pl.concat(walked)
        .filter(pl.col("entity_id") != normalize_id(entity_id))
        .sort("step", "relation", "entity_id", "via")
        .unique(["relation", "entity_id"], keep="first", maintain_order=True)
        .join(described, on="entity_id", how="left", maintain_order="left")
        .with_columns(pl.col("is_described").fill_null(value=False))
        .select(
            "step", "relation", "entity_id", "entity_type", "name", "format", "command", "description", "via",
            "is_described",
        )
    )  # fmt: skip


def made_with(edges: AnyFrame) -> pl.LazyFrame:
    """The edges of production in one direction, from what was made (`via`) to what it was made with (`entity_id`).

    An activity that names what it generated says the same as a product that names what generated it. `used_by` is left
    out: in the crates it does not tell whether a thing was an ingredient, an instrument or software.
    """
    stated = edges.lazy().filter(pl.col("source_id").is_not_null())
    forward = stated.filter(pl.col("relation").is_in(MADE_WITH)).select(
        "relation", entity_id="target_id", via="source_id"
    )
    backward = stated.filter(pl.col("relation") == "generated").select(
        relation=pl.lit("generated_by"), entity_id="source_id", via="target_id"
    )
    return pl.concat([forward, backward]).unique()


def outputs(edges: AnyFrame, limit: int) -> list[str]:
    """Examples of what was made and not used any further, at most one of each crate, those with most inputs first."""
    stated = edges.lazy().filter(pl.col("source_id").is_not_null())
    own = stated.select("crate_file", via="source_id", order=pl.int_range(pl.len()))
    lineage = made_with(edges)
    behind = lineage.filter(pl.col("relation").is_in(_MAKERS)).group_by("via").agg(pl.col("entity_id").first())
    inputs = lineage.group_by("via").agg(pl.len().alias("inputs"))
    deeper = inputs.select(entity_id="via", more="inputs")
    return (
        own.unique(["crate_file", "via"], keep="first")
        .join(behind, on="via")
        .join(lineage.select("entity_id").unique(), left_on="via", right_on="entity_id", how="anti")
        .join(inputs, on="via")
        .join(deeper, on="entity_id", how="left")
        .sort(pl.col("inputs") + pl.col("more").fill_null(0), "order", descending=[True, False])
        .unique("crate_file", keep="first", maintain_order=True)
        .select(pl.col("via").unique(maintain_order=True).head(limit))
        .collect()["via"]
        .to_list()
    )
