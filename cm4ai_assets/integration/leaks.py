"""The proof that a table of splits has no leak: by the connected parts of a graph that is built anew from what it says.

Belongs here: the blocking check of `splits`. It trusts nothing of the code that made the table: it reads the finished
rows and the published ids, and shares with it only the reading of these. Does not belong here: warnings
(`split_findings`).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.integration.mapping import GeneMapping
from cm4ai_assets.integration.targets import LINKS, Stated, components, stated_by_antibody

_LEAK = pl.Schema({
    "scheme": pl.String(), "what": pl.String(), "sides": pl.List(pl.String()), "antibodies": pl.List(pl.String()),
    "fields": pl.UInt32(),
})  # fmt: skip


def no_leaks(splits: pl.DataFrame, antibodies: pl.DataFrame, mapping: GeneMapping) -> Finding:
    """No protein is on two sides: in the graph of antibodies, genes, proteins and wells every part has one side.

    Under each scheme the graph is built anew from the finished rows and from the ids that the manifests state, one of
    several genes as all of them. Nor does a condition or plate that is held out train, or a control stand on a side.
    Protects every evaluation from being about proteins that the model has seen. Blocking: a table that leaks is never
    published.
    """
    edges = _edges(antibodies, mapping)
    controls = antibodies.filter(pl.col("is_control"))["antibody_id"].unique()
    leaks = pl.concat([
        pl.DataFrame(schema=_LEAK),
        *(leak for _, rows in splits.group_by("scheme") for leak in _leaks(rows, edges, controls)),
    ]).sort("scheme", "what")  # fmt: skip
    schemes = splits["scheme"].n_unique()
    summary = (
        f"{leaks.height:,} leaks in {schemes} schemes: {_named(leaks)}" if leaks.height else
        f"Under none of {schemes} schemes is a part of the graph, or what is held out, on two sides."
    )  # fmt: skip
    counts = {"schemes": schemes, "leaks": leaks.height}
    return Finding("no_leaks", passed=leaks.is_empty(), summary=summary, rows=leaks.head(ROWS_SHOWN), counts=counts)


def _named(leaks: pl.DataFrame) -> str:
    first = leaks.row(0, named=True)
    return f"under {first['scheme']}, {first['what']} is on {' and '.join(first['sides'])}."


def _edges(antibodies: pl.DataFrame, mapping: GeneMapping) -> pl.DataFrame:
    """Antibodies to what their ids name or may mean, to all genes of their proteins, and to the units of all genes."""
    found = stated_by_antibody(antibodies, mapping)
    edges = [(antibody_id, node) for antibody_id, one in found.items() for node in _nodes(one, mapping)]
    return pl.DataFrame(edges, schema=LINKS, orient="row").unique()


def _nodes(stated: Stated, mapping: GeneMapping) -> Iterator[str]:
    of_proteins = (gene for one in stated.accessions for gene in mapping.of_uniprot(one).genes)
    genes = {*stated.genes, *of_proteins, *stated.candidates}
    yield from (f"gene:{gene}" for gene in genes)
    yield from (f"unit:{mapping.unit(gene)}" for gene in genes)
    yield from (f"protein:{accession}" for accession in stated.accessions)
    yield from (f"symbol:{symbol}" for symbol in stated.symbols)


def _leaks(rows: pl.DataFrame, edges: pl.DataFrame, controls: pl.Series) -> Iterator[pl.DataFrame]:
    """What is on two sides, or on one where it must be on none, under one scheme."""
    placed = rows.filter(pl.col("split").is_not_null())
    control = pl.col("antibody_id").is_in(controls.implode())
    yield _shown(placed.filter(control | pl.col("antibody_id").is_null()), "a control or an unknown antibody")
    kind, _, held_out = rows["scheme"][0].partition("-")
    if kind in {"condition", "plate"}:
        wrong = (pl.col(kind) == held_out) != (pl.col("split") == "test")
        yield _shown(placed.filter(wrong), f"{kind} {held_out}")
    if kind == "condition":
        # Its proteins are those of the other conditions: that is the question that the scheme asks.
        placed = placed.filter(pl.col("condition") != held_out)
    wells = placed.select("antibody_id", node=pl.concat_str(pl.lit("well:"), "plate", pl.lit("/"), "well")).drop_nulls()
    present = edges.join(placed, on="antibody_id", how="semi")
    parts = components(pl.concat([present, wells.unique()])).rename({"group": "part"})
    mixed = placed.join(parts, on="antibody_id").filter(pl.col("split").n_unique().over("part") > 1)
    for (part,), fields in mixed.group_by("part"):
        yield _shown(fields, f"the part of {part}")


def _shown(rows: pl.DataFrame, what: str) -> pl.DataFrame:
    """Rows as one leak; none if there are none."""
    return rows.group_by("scheme").agg(
        pl.lit(what).alias("what"),
        pl.col("split").unique().sort().alias("sides"),
        pl.col("antibody_id").drop_nulls().unique().sort().head(10).alias("antibodies"),
        pl.len().alias("fields"),
    )
