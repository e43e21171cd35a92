"""What a gene's name means among antibodies: what is published under it, and what the mapping knows of it.

Belongs here: from a name that a person types to the published targets that are its gene. Does not belong here: what an
id means by itself (`mapping`), and which fields are chosen (`selecting`).

A name is sought as it was published, and its gene among what is published under other names: isoforms, versions of
Ensembl ids, symbols old and new, and manifests that state Ensembl ids alone. Nothing is guessed: a name that may mean
several genes is refused with the genes that it may mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from cm4ai_assets.errors import SelectionError, nearest
from cm4ai_assets.integration.identity import Identities, Ids
from cm4ai_assets.integration.mapping import GeneMapping, Match

TARGETS: Final = ("gene_symbols", "genes", "uniprot_ids")
"""Lists of a field: symbols, Ensembl ids and accessions of what its antibody binds, as they were published."""


class GeneNames:
    """The names under which antibodies are published, and the genes that these are.

    Args:
        targets: Rows with the columns `TARGETS`.
        mapping: Which gene an id means.
    """

    def __init__(self, targets: pl.DataFrame, mapping: GeneMapping) -> None:
        self._mapping, self._identities = mapping, Identities(mapping)
        self._targets = targets.select(TARGETS).unique(maintain_order=True)
        rows = list(self._targets.iter_rows())
        self._published = [{name.casefold() for names in row for name in names} for row in rows]
        self._genes = [self._genes_of(*row) for row in rows]

    def targets_of(self, name: str) -> pl.DataFrame:
        """The targets that a name means: rows with the columns `TARGETS`, each once.

        Raises:
            SelectionError: Nothing is published under the name, or its gene; or it may mean several genes.
        """
        as_published = [name.casefold() in names for names in self._published]
        match = self._match(name)
        meant = [not genes.isdisjoint(match.genes) for genes in self._genes]
        if match.by == "symbol" and any(meant):
            others = [genes for genes, named in zip(self._genes, as_published, strict=True) if named]
            self._refuse_two_genes(name, match, [genes for genes in others if genes.isdisjoint(match.genes)])
        if match.by == "previous_symbol" and match.is_ambiguous:
            meant = [False] * len(meant)
        chosen = [one or other for one, other in zip(as_published, meant, strict=True)]
        if not any(chosen):
            raise SelectionError(f"No antibody is against the gene {name!r}.", remedy=self._remedy(name, match))
        return self._targets.filter(pl.Series(chosen, dtype=pl.Boolean()))

    def _match(self, name: str) -> Match:
        found = (of(name.upper()) for of in (self._mapping.of_ensembl, self._mapping.of_uniprot))
        return next((match for match in found if match.genes), self._mapping.of_symbol(name))

    def _genes_of(self, symbols: Sequence[str], ensembl: Sequence[str], accessions: Sequence[str]) -> set[str]:
        """The genes of one target, as `proteins` counts them; of a protein that several genes share, all of these.

        Of one gene the strongest id decides; ids of several do not belong together, and each stands for itself.
        """
        kinds = (ensembl, accessions, symbols)
        if max(map(len, kinds)) <= 1:
            rows: list[Ids] = [(next(iter(ensembl), None), next(iter(accessions), None), next(iter(symbols), None))]
        else:
            rows = [(one, None, None) for one in ensembl]
            rows += [(None, one, None) for one in accessions]
            rows += [(None, None, one) for one in symbols]
        found = [self._identities.of(ids) for ids in rows if any(ids)]
        shared = (one.candidates for one in found if one.gene.startswith("uniprot:"))
        return {one.gene for one in found}.union(*shared)

    def _refuse_two_genes(self, name: str, match: Match, others: list[set[str]]) -> None:
        if others:
            genes = sorted({*match.genes, *set().union(*others)})
            raise SelectionError(
                f"{name!r} is the symbol of {self._called(match.genes)}, and here also published for another gene.",
                remedy=f"Name the one that is meant: {self._called(genes)}.",
            )

    def _remedy(self, name: str, match: Match) -> str:
        if match.is_ambiguous and match.by == "previous_symbol":
            return f"It was the symbol of several genes: {self._called(match.genes)}. Name the one that is meant."
        if not match.genes and (aliases := self._mapping.aliases(name)):
            return f"It is also a name of {self._called(aliases)}. Name the one that is meant."
        listed = pl.concat([self._targets[column].explode().drop_nulls() for column in TARGETS])
        return nearest(name, listed.unique())

    def _called(self, genes: Iterable[str]) -> str:
        """Genes as `TP53 (ENSG00000141510)`; those that the mapping does not know by their ids."""
        known = self._mapping.genes
        return ", ".join(f"{known[gene].symbol} ({gene})" if gene in known else gene for gene in genes)
