"""What a gene's name means among antibodies: what is published under it, and what the mapping knows of it.

Belongs here: from a name that a person types to the published targets that are its gene. Does not belong here: what an
id means by itself (`mapping`), and which fields are chosen (`selecting`).

A name is sought as it was published, and its gene among what is published under other names: isoforms, versions of
Ensembl ids, symbols old and new, and manifests that state Ensembl ids alone. Nothing is guessed: a name that may mean
several genes is refused with the genes that it may mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

from cm4ai_assets.errors import SelectionError, nearest
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
        self._mapping = mapping
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

    def _genes_of(self, symbols: Iterable[str], ensembl: Iterable[str], accessions: Iterable[str]) -> set[str]:
        """The genes of one target, by its strongest ids that the mapping knows; of symbols, where they are one gene."""
        by_ensembl = {gene for text in ensembl for gene in self._mapping.of_ensembl(text).genes}
        by_accession = {gene for text in accessions for gene in self._mapping.of_uniprot(text).genes}
        return by_ensembl or by_accession or {g for text in symbols if (g := self._mapping.of_symbol(text).gene)}

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
