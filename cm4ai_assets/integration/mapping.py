"""From the ids that releases publish to genes, by a mapping that comes with the package: nothing is asked of a service.

Belongs here: the bundled mapping, and the one answer to which gene an id means. Does not belong here: the forms of ids
(`identifiers`), making the bundled file anew (`hgnc`), and ids that a release itself says belong together (`identity`).

The mapping is HGNC's complete set of approved genes (CC0 1.0, https://www.genenames.org/about/license/) as of
2026-06-25. UniProt accessions are those of HGNC's export of 2024-07-23 or before: no newer one comes in a package.
An id that leads to no gene, or to several, says so; an alias is a hint and no answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Final, Literal

import polars as pl

from cm4ai_assets.identifiers import ENSEMBL_GENE, GENE_SYMBOL, UNIPROT

VERSION: Final = "HGNC 2026-06-25, UniProt accessions 2024-07-23"
SOURCE: Final = "https://storage.googleapis.com/public-download-files/hgnc/tsv/tsv/hgnc_complete_set.txt"
LICENCE: Final = "CC0 1.0"
FILE: Final = "hgnc.parquet"

By = Literal["ensembl", "uniprot", "symbol", "previous_symbol", "nothing"]


@dataclass(frozen=True, slots=True)
class Match:
    """The genes that an id may mean, and by what they were found; one gene is an answer, several are none."""

    genes: tuple[str, ...] = ()
    by: By = "nothing"

    @property
    def gene(self) -> str | None:
        """The gene, if there is exactly one."""
        return self.genes[0] if len(self.genes) == 1 else None

    @property
    def is_ambiguous(self) -> bool:
        """The id may mean several genes."""
        return len(self.genes) > 1


@dataclass(frozen=True, slots=True)
class Gene:
    """A gene of the mapping; `key` is its Ensembl id, or its HGNC id where it has none."""

    key: str
    hgnc_id: str
    symbol: str
    ensembl_gene_id: str | None
    uniprot_ids: tuple[str, ...]
    previous_symbols: tuple[str, ...]
    alias_symbols: tuple[str, ...]
    locus_type: str


def ensembl_of(text: str) -> str | None:
    """An Ensembl gene id without its version; None if the text is none.

    >>> ensembl_of("ENSG00000132507.12"), ensembl_of("EIF5A")
    ('ENSG00000132507', None)
    """
    return text.partition(".")[0] if ENSEMBL_GENE.fits(text) else None


def accession_of(text: str) -> str | None:
    """A UniProt accession without the number of an isoform; None if the text is none.

    >>> accession_of("P63241-2"), accession_of("CON__P00761")
    ('P63241', None)
    """
    return text.partition("-")[0] if UNIPROT.fits(text) else None


class GeneMapping:
    """Which gene an id means.

    Args:
        genes: Every gene that is known.
    """

    def __init__(self, genes: Iterable[Gene]) -> None:
        self.genes: Mapping[str, Gene] = _joined(genes)
        self._by_accession = _index((accession, g.key) for g in self.genes.values() for accession in g.uniprot_ids)
        self._by_symbol = _index((s.upper(), g.key) for g in self.genes.values() for s in g.symbol.split("|"))
        self._by_previous = _index((s.upper(), g.key) for g in self.genes.values() for s in g.previous_symbols)
        self._by_alias = _index((s.upper(), g.key) for g in self.genes.values() for s in g.alias_symbols)

    def of_ensembl(self, text: str) -> Match:
        """The gene of an Ensembl id, with or without version."""
        key = ensembl_of(text) or ""
        return Match((key,), "ensembl") if key in self.genes else Match()

    def of_uniprot(self, text: str) -> Match:
        """The genes of a UniProt accession or isoform: several for proteins that genes share, such as histone H4."""
        found = self._by_accession.get(accession_of(text) or "", ())
        return Match(found, "uniprot") if found else Match()

    def of_symbol(self, text: str) -> Match:
        """The gene of an approved symbol; else those that had it before. Case does not matter."""
        if found := self._by_symbol.get(text.upper()):
            return Match(found, "symbol")
        found = self._by_previous.get(text.upper(), ())
        return Match(found, "previous_symbol") if found else Match()

    def aliases(self, text: str) -> tuple[str, ...]:
        """Genes that are also called so. A hint for people: one name is an alias of many genes."""
        return self._by_alias.get(text.upper(), ())

    def may_mean(self, symbol: str) -> tuple[str, ...]:
        """Every gene that a symbol may mean: its gene, else those that had it before, else those also called so."""
        return self.of_symbol(symbol).genes or self.aliases(symbol)

    def is_name(self, symbol: str) -> bool:
        """Whether a text can be a symbol: it is known, or has the form of one. `-` and `n/a` stand for nothing."""
        return bool(self.may_mean(symbol)) or GENE_SYMBOL.fits(symbol)

    def unit(self, gene: str) -> str:
        """What stands for a gene and all that share a protein with it: the smallest key among them; else the gene.

        Two antibodies against genes of one unit light up the same protein.
        """
        return self._units.get(gene, gene)

    @cached_property
    def _units(self) -> dict[str, str]:
        """Genes that share a protein, directly or over others; the others are their own unit."""
        unit: dict[str, str] = {}
        members: dict[str, set[str]] = {}
        for genes in self._by_accession.values():
            if len(genes) > 1:
                known = {unit[gene] for gene in genes if gene in unit}
                together = set(genes).union(*(members.pop(name) for name in known))
                name = min(together)
                members[name] = together
                unit |= dict.fromkeys(together, name)
        return unit


def _joined(genes: Iterable[Gene]) -> dict[str, Gene]:
    """Genes by key. A few Ensembl ids stand for two approved genes: both symbols are kept, joined by |."""
    found: dict[str, Gene] = {}
    for gene in genes:
        twin = found.get(gene.key)
        found[gene.key] = gene if twin is None else _both(twin, gene)
    return found


def _both(one: Gene, other: Gene) -> Gene:
    return Gene(
        one.key,
        f"{one.hgnc_id}|{other.hgnc_id}",
        f"{one.symbol}|{other.symbol}",
        one.ensembl_gene_id,
        tuple(dict.fromkeys((*one.uniprot_ids, *other.uniprot_ids))),
        (*one.previous_symbols, *other.previous_symbols),
        (*one.alias_symbols, *other.alias_symbols),
        one.locus_type,
    )


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for name, key in pairs:
        found[name][key] = None
    return {name: tuple(sorted(keys)) for name, keys in found.items()}


def bundled() -> pl.DataFrame:
    """The bundled file: hgnc_id, symbol, ensembl_gene_id, uniprot_ids, previous_symbols, alias_symbols, locus_type."""
    return pl.read_parquet(files("cm4ai_assets.integration").joinpath(FILE).read_bytes())


def genes_of(rows: pl.DataFrame) -> list[Gene]:
    """The rows of the bundled file as genes."""
    return [
        Gene(
            key=row["ensembl_gene_id"] or f"HGNC:{row['hgnc_id']}",
            hgnc_id=f"HGNC:{row['hgnc_id']}",
            symbol=row["symbol"],
            ensembl_gene_id=row["ensembl_gene_id"],
            uniprot_ids=tuple(row["uniprot_ids"]),
            previous_symbols=tuple(row["previous_symbols"]),
            alias_symbols=tuple(row["alias_symbols"]),
            locus_type=row["locus_type"],
        )
        for row in rows.iter_rows(named=True)
    ]


@cache
def bundled_mapping() -> GeneMapping:
    """The mapping of the bundled file; read once."""
    return GeneMapping(genes_of(bundled()))
