"""One identity for what the modalities name differently: Ensembl ids, accessions and isoforms, symbols, other ids.

Belongs here: which gene the ids of a row mean, and what is known when they mean none. Does not belong here: counting
(`proteins`), and the mapping itself (`mapping`).

The strongest id of a row decides: its Ensembl id, else its accession, else its symbol. One without the form of its kind
is passed over; one that is marked as no protein of the sample is that and nothing else. Where the mapping does not know
the id, another one of the same row may name the gene; where it does not either, what other rows of the release state
with that id counts, if all say the same. Nothing is guessed: what is left stands for itself, and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from cm4ai_assets.integration.mapping import GeneMapping, accession_of, ensembl_of
from cm4ai_assets.suspects import is_foreign

IDS = ("ensembl", "uniprot", "symbol")
Ids = tuple[str | None, str | None, str | None]  # Ensembl id, accession and symbol that one row states of one gene


@dataclass(frozen=True, slots=True)
class Identity:
    """What the ids of a row mean.

    Attributes:
        gene: An Ensembl id (an HGNC id for the few genes without); else the strongest id with its kind:
            `uniprot:Q9XYZ1`, `symbol:ABC1`, `id:CON__P00761`.
        by: What led there: ensembl, uniprot, symbol, previous_symbol, release (the release states it) or nothing.
        candidates: Genes that the id may mean, where they are several, or where it is an alias only.
        note: `old_ensembl_id`, `ambiguous`, `alias_only`, `unmapped`; empty if nothing is to be said.
    """

    gene: str
    by: str
    candidates: tuple[str, ...] = ()
    note: str = ""


class Identities:
    """The identities of a release: the mapping, and what the release itself says belongs together.

    Args:
        mapping: The mapping of identifiers.
        stated: Ids that a row of the release states of one gene. Only of those that the mapping does not know.
    """

    def __init__(self, mapping: GeneMapping, stated: Iterable[Ids] = ()) -> None:
        self.mapping = mapping
        self._stated: defaultdict[str, set[str]] = defaultdict(set)
        for ensembl, uniprot, symbol in stated:
            if gene := ensembl_of(ensembl or ""):
                for name in _names(uniprot, symbol):
                    self._stated[name].add(gene)

    def of(self, ids: Ids) -> Identity:
        """The identity of one row's ids, of which one is given at least."""
        ensembl, uniprot, symbol = ids
        if ensembl and (gene := ensembl_of(ensembl)):
            return self._of_gene(gene, uniprot, symbol)
        if uniprot and (accession := accession_of(uniprot)):
            return self._of_protein(accession, symbol)
        if symbol and not (uniprot and (is_foreign(uniprot) or not self.mapping.is_name(symbol))):
            return self._of_symbol(symbol)
        return Identity(f"id:{ensembl or uniprot or symbol}", "nothing", note="unmapped")

    def _of_gene(self, gene: str, uniprot: str | None, symbol: str | None) -> Identity:
        if gene in self.mapping.genes:
            return Identity(gene, "ensembl")
        other = self.mapping.of_uniprot(uniprot or "").gene or self.mapping.of_symbol(symbol or "").gene
        if other:
            return Identity(
                other, "uniprot" if self.mapping.of_uniprot(uniprot or "").gene else "symbol", note="old_ensembl_id"
            )
        return Identity(gene, "ensembl", note="unmapped")

    def _of_protein(self, accession: str, symbol: str | None) -> Identity:
        match = self.mapping.of_uniprot(accession)
        if match.gene:
            return Identity(match.gene, match.by)
        itself = f"uniprot:{accession}"
        if match.is_ambiguous:
            return Identity(itself, "nothing", match.genes, "ambiguous")
        named = self.mapping.of_symbol(symbol or "")
        if named.gene:
            return Identity(named.gene, named.by)
        stated = (self._as_stated(name) for name in _names(accession, symbol))
        return next((one for one in stated if one), Identity(itself, "nothing", note="unmapped"))

    def _of_symbol(self, symbol: str) -> Identity:
        match = self.mapping.of_symbol(symbol)
        if match.gene:
            return Identity(match.gene, match.by)
        itself = f"symbol:{symbol.upper()}"
        if match.is_ambiguous:
            return Identity(itself, "nothing", match.genes, "ambiguous")
        if aliases := self.mapping.aliases(symbol):
            return Identity(itself, "nothing", aliases, "alias_only")
        return self._as_stated(itself) or Identity(itself, "nothing", note="unmapped")

    def _as_stated(self, itself: str) -> Identity | None:
        """The gene that the release states with an id, if it is one; several are none."""
        genes = tuple(sorted(self._stated.get(itself, ())))
        if len(genes) == 1:
            return Identity(genes[0], "release", note="" if genes[0] in self.mapping.genes else "unmapped")
        return Identity(itself, "nothing", genes, "ambiguous") if genes else None

    def identified(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with columns `ensembl`, `uniprot` and `symbol`, and beside them `gene`, `by`, `candidates`, `note`.

        Rows without any of the three are left out.
        """
        named = rows.filter(pl.any_horizontal(pl.col(IDS).is_not_null()))
        found = pl.DataFrame(list(self._each(named.select(IDS).unique())), schema=_IDENTIFIED, orient="row")
        return named.join(found, on=IDS, how="left", nulls_equal=True)

    def _each(self, distinct: pl.DataFrame) -> Iterator[tuple[object, ...]]:
        for ids in distinct.iter_rows():
            one = self.of((ids[0], ids[1], ids[2]))
            yield (*ids, one.gene, one.by, list(one.candidates), one.note)


def _names(uniprot: str | None, symbol: str | None) -> list[str]:
    """What stands for an accession and a symbol that the mapping does not know, the stronger first."""
    accession = accession_of(uniprot) if uniprot else None
    return [*([f"uniprot:{accession}"] if accession else []), *([f"symbol:{symbol.upper()}"] if symbol else [])]


_IDENTIFIED = pl.Schema({
    **dict.fromkeys(IDS, pl.String()), "gene": pl.String(), "by": pl.String(),
    "candidates": pl.List(pl.String()), "note": pl.String(),
})  # fmt: skip
