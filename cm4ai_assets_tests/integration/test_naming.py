"""From a gene's name to what is published of it, by whatever name it was published."""

from __future__ import annotations

import polars as pl
import pytest

from cm4ai_assets.errors import SelectionError
from cm4ai_assets.integration.mapping import Gene, GeneMapping
from cm4ai_assets.integration.naming import GeneNames

EIF, TUB, H4A, H4B, LOST = (f"ENSG0000000000{number}" for number in range(1, 6))


def gene(key: str, symbol: str, *, uniprot: str = "", previous: str = "", alias: str = "") -> Gene:
    return Gene(
        key, "HGNC:1", symbol, key, (uniprot,) if uniprot else (), tuple(previous.split()), tuple(alias.split()), ""
    )


MAPPING = GeneMapping([
    gene(EIF, "EIF5A", uniprot="P63241", previous="OLD5A SHARED", alias="HYPU"),
    gene(TUB, "TUBA1", uniprot="P68363", previous="SHARED EIFX", alias="TUBBY"),
    gene(H4A, "H4C1", uniprot="P62805"),
    gene(H4B, "H4C2", uniprot="P62805"),
])  # fmt: skip


def names(*targets: tuple[str, str, str]) -> GeneNames:
    """Targets as symbols, Ensembl ids and accessions, each separated by blanks."""
    rows = [tuple(ids.split() for ids in target) for target in targets]
    lists = dict.fromkeys(("gene_symbols", "genes", "uniprot_ids"), pl.List(pl.String()))
    return GeneNames(pl.DataFrame(rows, schema=lists, orient="row"), MAPPING)


def found(of: GeneNames, name: str) -> list[tuple[str, ...]]:
    return [tuple(" ".join(ids) for ids in row) for row in of.targets_of(name).iter_rows()]


ALL = ("EIF5A", EIF, "P63241")


@pytest.mark.parametrize(
    "name", ["EIF5A", "eif5a", EIF, EIF.lower(), f"{EIF}.12", "P63241", "p63241", "P63241-2", "OLD5A", "old5a"]
)
@pytest.mark.parametrize("target", [ALL, ("", EIF, ""), ("", f"{EIF}.3", ""), ("", "", "P63241-2"), ("OLD5A", "", "")])
def test_a_gene_is_found_by_every_name_of_it_however_it_was_published(name: str, target: tuple[str, str, str]) -> None:
    assert found(names(target, ("TUBA1", TUB, "P68363")), name) == [target]


def test_what_the_mapping_does_not_know_is_found_as_published() -> None:
    assert found(names(("XYZ1", "", ""), ALL), "xyz1") == [("XYZ1", "", "")]
    assert found(names(("", "ENSG00000999999", ""), ALL), "ENSG00000999999") == [("", "ENSG00000999999", "")]


def test_each_form_of_a_manifest_counts() -> None:
    both = [ALL, ("", EIF, "")]
    assert found(names(*both), "EIF5A") == both


def test_genes_that_share_a_protein_are_found_by_it_and_each_by_its_own_name() -> None:
    of = names(("", H4A, ""), ("", H4B, ""), ("", "", "P62805"))
    assert found(of, "P62805") == [("", H4A, ""), ("", H4B, ""), ("", "", "P62805")]
    assert found(of, "H4C1") == [("", H4A, ""), ("", "", "P62805")]


def test_ids_of_several_genes_each_stand_for_their_own() -> None:
    several = ("", EIF, "P68363 P62805")
    for name in ("EIF5A", "TUBA1", "H4C1"):
        assert found(names(several), name) == [several]


def test_an_old_ensembl_id_is_read_by_what_stands_beside_it() -> None:
    old = ("", "ENSG00000999999", "P63241")
    assert found(names(old), "EIF5A") == [old]


def test_a_symbol_that_several_genes_had_is_none_of_them() -> None:
    with pytest.raises(SelectionError, match="No antibody is against the gene 'EIF5A'"):
        names(("SHARED", "", "")).targets_of("EIF5A")


def test_the_strongest_id_says_which_gene_a_symbol_was_meant_for() -> None:
    mislabelled = ("TUBA1", EIF, "P68363")
    assert found(names(mislabelled), "EIF5A") == [mislabelled]
    assert found(names(mislabelled), "TUBA1") == [mislabelled], "as it was published"
    with pytest.raises(
        SelectionError,
        match=rf"'TUBA1' is the symbol of TUBA1 \({TUB}\), and here also published for another gene\."
        rf" Name the one that is meant: EIF5A \({EIF}\), TUBA1 \({TUB}\)",
    ):
        names(mislabelled, ("", TUB, "")).targets_of("TUBA1")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("SHARED", rf"It was the symbol of several genes: EIF5A \({EIF}\), TUBA1 \({TUB}\)\. Name the one"),
        ("tubby", rf"It is also a name of TUBA1 \({TUB}\)\. Name the one"),
        ("EIF5", "Did you mean EIF5A"),
        ("H4C1", "Known: "),
    ],
)
def test_a_name_that_leads_nowhere_says_what_might_be_meant(name: str, remedy: str) -> None:
    with pytest.raises(SelectionError, match=rf"No antibody is against the gene '{name}'\. {remedy}"):
        names(ALL, ("", TUB, "")).targets_of(name)


def test_a_symbol_that_several_genes_had_is_found_where_it_is_published() -> None:
    assert found(names(("SHARED", "", ""), ALL), "shared") == [("SHARED", "", "")]
