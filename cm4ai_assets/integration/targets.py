"""What an antibody binds, as names that link antibodies: genes, proteins, and what stands for genes that share one.

Belongs here: the graph of antibodies, genes and proteins. Does not belong here: which side of a split they are on
(`splits`), and counting (`proteins`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from cm4ai_assets.heavy import np, sparse
from cm4ai_assets.integration.mapping import GeneMapping, accession_of, ensembl_of

LINKS = pl.Schema({"antibody_id": pl.String(), "node": pl.String()})
"""The graph: each row links an antibody to a node, such as `gene:ENSG00000132507`, `protein:P63241` or a well."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of one antibody.

    Attributes:
        units: Names by which it is decided on which side the antibody stands: a gene, or what stands for several that
            share a protein (`GeneMapping.unit`); an accession or a symbol where nothing better is stated.
        nodes: Everything by which it is linked to other antibodies: its genes, proteins, symbols and units.
    """

    units: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stated:
    """What the rows of one antibody state, each id in the form of its kind, without version and isoform.

    What has not that form, such as `-` or `n/a`, is no id and links nothing.

    Attributes:
        genes: Ensembl ids.
        accessions: UniProt accessions.
        symbols: Symbols in upper case. One that the mapping does not know counts where it knows no other id of the
            antibody: beside a known one, `TBD` would link what has nothing in common.
        candidates: Genes that the symbols may mean, as approved, previous or other names, or as other antibodies state
            them, where the mapping knows no other id of the antibody. None of them is its target for sure, and any of
            them may be.
    """

    genes: tuple[str, ...]
    accessions: tuple[str, ...]
    symbols: tuple[str, ...]
    candidates: tuple[str, ...]


Ids = tuple[str | None, str | None, str | None]  # Ensembl gene, accession and symbol of one row


def stated_by_antibody(antibodies: pl.DataFrame, mapping: GeneMapping) -> dict[str, Stated]:
    """The ids that the rows of each antibody state; controls are none.

    Args:
        antibodies: Rows of `if_antibodies`, of one condition or several.
        mapping: Which ids are one gene.
    """
    named = antibodies.filter(~pl.col("is_control")).select(
        "antibody_id", "ensembl_gene_id", "uniprot_id", "gene_symbol"
    )
    rows: defaultdict[str, list[Ids]] = defaultdict(list)
    for antibody_id, *ids in named.unique().sort(pl.all()).iter_rows():
        rows[antibody_id].append((ids[0], ids[1], ids[2]))
    found = {antibody_id: _stated(ids, mapping) for antibody_id, ids in rows.items()}
    named_so = _genes_by_strange_symbol(rows, found, mapping)
    return {
        antibody_id: replace(
            one, candidates=tuple(sorted({*one.candidates, *(g for s in one.symbols for g in named_so[s])}))
        )
        for antibody_id, one in found.items()
    }


def _genes_by_strange_symbol(
    rows: Mapping[str, Sequence[Ids]], found: Mapping[str, Stated], mapping: GeneMapping
) -> defaultdict[str, set[str]]:
    """Symbols that the mapping does not know, and the genes of the antibodies that state them beside a known id."""
    genes: defaultdict[str, set[str]] = defaultdict(set)
    for antibody_id, one in found.items():
        known = {gene for gene in one.genes if gene in mapping.genes}
        known |= {gene for accession in one.accessions for gene in mapping.of_uniprot(accession).genes}
        for _, _, symbol in rows[antibody_id]:
            if symbol and symbol.upper() not in one.symbols:
                genes[symbol.upper()] |= known
    return genes


def _stated(rows: Sequence[Ids], mapping: GeneMapping) -> Stated:
    genes = {gene for ensembl, _, _ in rows if ensembl and (gene := ensembl_of(ensembl))}
    accessions = {accession for _, uniprot, _ in rows if uniprot and (accession := accession_of(uniprot))}
    is_known = any(gene in mapping.genes for gene in genes) or any(mapping.of_uniprot(one).genes for one in accessions)
    counts = mapping.may_mean if is_known else mapping.is_name
    symbols = {symbol.upper() for _, _, symbol in rows if symbol and counts(symbol)}
    candidates = set() if is_known else {gene for symbol in symbols for gene in mapping.may_mean(symbol)}
    return Stated(*(tuple(sorted(ids)) for ids in (genes, accessions, symbols, candidates)))


def targets_by_antibody(antibodies: pl.DataFrame, mapping: GeneMapping) -> dict[str, Targets]:
    """The targets of each antibody that names any; controls are none.

    Args:
        antibodies: Rows of `if_antibodies`, of one condition or several.
        mapping: Which ids are one gene.
    """
    stated = stated_by_antibody(antibodies, mapping)
    found = {antibody_id: _targets(one, mapping) for antibody_id, one in stated.items()}
    return {antibody_id: targets for antibody_id, targets in found.items() if targets.units}


def _targets(stated: Stated, mapping: GeneMapping) -> Targets:
    units = _units(stated, mapping)
    nodes = {
        *(f"gene:{gene}" for gene in stated.genes),
        *(f"protein:{accession}" for accession in stated.accessions),
        *(f"symbol:{symbol}" for symbol in stated.symbols),
        *(f"unit:{unit}" for unit in units),
    }
    return Targets(tuple(sorted(units)), tuple(sorted(nodes)))


def _units(stated: Stated, mapping: GeneMapping) -> set[str]:
    """The genes that an antibody's ids mean, each as its unit.

    Ensembl ids and accessions of the mapping count. An Ensembl id that it does not have may be an old one: its gene is
    then sought by symbol, and where that leads nowhere either the id stands for itself; likewise accessions, symbols.
    Beside what stands for itself count all genes that it may be: so the antibody is on a side only if they all are.
    """
    strange = [gene for gene in stated.genes if gene not in mapping.genes]
    units = {mapping.unit(gene) for gene in stated.genes if gene in mapping.genes}
    more = {mapping.unit(found[0]) for one in stated.accessions if (found := mapping.of_uniprot(one).genes)}
    if strange or not (units or more):
        more |= {mapping.unit(gene) for symbol in stated.symbols if (gene := mapping.of_symbol(symbol).gene)}
    if len(more - units) < len(strange):
        more |= set(strange)
    units |= more
    itself = {f"protein:{one}" for one in stated.accessions} or {f"symbol:{one}" for one in stated.symbols}
    return (units or itself) | {mapping.unit(gene) for gene in stated.candidates}


def links(targets: Mapping[str, Targets], fields: pl.DataFrame) -> pl.DataFrame:
    """The graph of antibodies: by what they bind, and by the wells in which they stand (`LINKS`).

    A well holds the same antibody under every condition. Two antibodies in one well contradict each other, and stay on
    one side.
    """
    named = [(antibody_id, node) for antibody_id, one in targets.items() for node in one.nodes]
    known = pl.col("antibody_id").is_in(list(targets))
    well = pl.concat_str(pl.lit("well:"), "plate", pl.lit("/"), "well")
    wells = fields.filter(known).select("antibody_id", node=well).unique()
    return pl.concat([pl.DataFrame(named, schema=LINKS, orient="row"), wells]).sort(pl.all())


def components(graph: pl.DataFrame) -> pl.DataFrame:
    """The connected parts of a graph: antibody_id and `group`, the smallest gene of its part, else antibody."""
    if graph.is_empty():
        return pl.DataFrame(schema={"antibody_id": pl.String(), "group": pl.String()})
    antibodies, nodes = graph["antibody_id"].unique().sort(), graph["node"].unique().sort()
    rows = graph["antibody_id"].replace_strict(antibodies, np.arange(len(antibodies)), return_dtype=pl.Int64)
    columns = graph["node"].replace_strict(nodes, np.arange(len(nodes)), return_dtype=pl.Int64) + len(antibodies)
    size = len(antibodies) + len(nodes)
    edges = sparse.coo_array(
        (np.ones(graph.height, np.int8), (rows.to_numpy(), columns.to_numpy())), shape=(size, size)
    )
    part = pl.Series("part", sparse.csgraph.connected_components(edges, directed=False)[1][: len(antibodies)])
    of_antibody = pl.DataFrame({"antibody_id": antibodies, "part": part})
    genes = pl.col("node").filter(pl.col("node").str.starts_with("gene:")).min().str.strip_prefix("gene:")
    names = (
        graph.join(of_antibody, on="antibody_id")
        .group_by("part")
        .agg(genes.fill_null(pl.col("antibody_id").min()).alias("group"))
    )
    return of_antibody.join(names, on="part").select("antibody_id", "group").sort("antibody_id")
