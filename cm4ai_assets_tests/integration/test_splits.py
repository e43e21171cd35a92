"""Splits by protein, in folds, by condition and plate: where fields stand, and that they stay when releases grow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm4ai_assets.integration.leaks import no_leaks
from cm4ai_assets.integration.mapping import GeneMapping, bundled_mapping
from cm4ai_assets.integration.split_findings import fields_placed, sides_balanced, wells_agree
from cm4ai_assets.integration.splits import VERSION, fold_of, position, schemes_of, side_of, split_rows
from cm4ai_assets.tables.integration import SIDES, SPLITS
from cm4ai_assets_tests.integration.layouts import NO_MAPPING, Layout, gene_id, known, layout, stating

Ids = tuple[str | None, str | None, str | None]
HUNDRED = {f"HPA{n:06d}": [n] for n in range(100)}


def on_side(side: str, count: int = 1, start: int = 0) -> list[int]:
    """The numbers of genes on a side."""
    return [n for n in range(start, start + 2000) if side_of(gene_id(n)) == side][:count]


def split(made: Layout, mapping: GeneMapping = NO_MAPPING) -> pl.DataFrame:
    """The rows of `splits`, as published: of the table's form and without leaks."""
    frame = SPLITS.place(split_rows(made.fields, made.antibodies, mapping), release="2026-06-v2.0")
    assert SPLITS.validated(frame) is frame
    assert no_leaks(frame, made.antibodies, mapping).passed
    return frame


def sides(rows: pl.DataFrame, scheme: str = "protein") -> dict[str, str | None]:
    """Antibody to its side, or to the reason why it has none."""
    found = rows.filter(scheme=scheme).select("antibody_id", pl.coalesce("split", "reason")).unique()
    assert found["antibody_id"].is_unique().all(), "all fields of an antibody are on one side"
    return dict(found.iter_rows())


@pytest.fixture(scope="module")
def hundred() -> pl.DataFrame:
    return split(layout(HUNDRED))


def test_every_field_stands_once_under_every_scheme(hundred: pl.DataFrame) -> None:
    counts = hundred.group_by("scheme").len()
    assert set(counts["len"]) == {3 * 2 * (100 + 4)}
    assert set(counts["scheme"]) == {
        "protein", *(f"protein-5fold-{n}" for n in range(5)), *(f"plate-P{n}" for n in range(1, 5)),
        "condition-untreated", "condition-paclitaxel", "condition-vorinostat",
    }  # fmt: skip


def test_sides_have_about_their_share(hundred: pl.DataFrame) -> None:
    found = sides_balanced(hundred)
    assert found.passed, found.summary
    assert set(sides(hundred).values()) == {*SIDES, "control"}


def test_the_same_in_any_order_and_with_any_other_antibodies() -> None:
    some = dict(list(HUNDRED.items())[::-3])
    assert sides(split(layout(some))).items() <= sides(split(layout(HUNDRED))).items()


def test_a_protein_is_on_one_side_under_all_conditions_and_in_both_its_wells() -> None:
    made = layout(HUNDRED, also={"HPA000003": ("P3", "C4")})
    assert sides(split(made))["HPA000003"] == side_of(gene_id(3))


def test_an_antibody_of_genes_on_one_side_stands_there_and_of_several_sides_nowhere() -> None:
    train, test = on_side("train", 3), on_side("test", 2)
    rows = split(layout({"ONE": train[:2], "TWO": [train[2], test[0]], "THREE": [test[0]], "FOUR": test}))
    assert sides(rows) == {
        "ONE": "train", "TWO": "several_sides", "THREE": "test", "FOUR": "test", "NEGATIVE": "control",
    }  # fmt: skip
    groups = dict(rows.filter(scheme="protein").select("antibody_id", "group").unique().iter_rows())
    assert groups["THREE"] == groups["FOUR"] == gene_id(test[0])
    assert groups["TWO"] is None


def test_what_a_release_adds_moves_nothing_even_if_it_links_what_was_apart() -> None:
    """Two parts of the graph on different sides are merged by a new antibody: it is left out, they stay."""
    train, test = on_side("train")[0], on_side("test")[0]
    before = {"A": [train], "B": [test], **HUNDRED}
    after = {"NEW1": [7], "NEW2": [train, test, 11], **before, "NEW3": [5000]}
    old, new = sides(split(layout(before))), sides(split(layout(after)))
    assert (old["A"], old["B"]) == ("train", "test")
    assert {name: new[name] for name in old} == old
    assert new["NEW2"] == "several_sides"
    assert new["NEW1"] == old["HPA000007"]


ANY = st.dictionaries(
    st.integers(0, 40).map(lambda n: f"HPA{n:06d}"), st.lists(st.integers(0, 25), max_size=3, unique=True), max_size=15
)


@settings(max_examples=12)
@given(before=ANY, added=ANY)
def test_whatever_a_release_adds_nothing_leaks_and_nothing_moves(
    before: dict[str, list[int]], added: dict[str, list[int]]
) -> None:
    """Any antibodies against any genes: `split` holds each table against the graph, and sides are those of before."""
    old, new = (layout(made, conditions=["untreated"], regions=1) for made in (before, {**added, **before}))
    if before:
        assert sides(split(old)).items() <= sides(split(new)).items()


def test_the_sides_of_this_version_never_change() -> None:
    """Another salt, hash or share is another `VERSION`."""
    assert VERSION == 1
    digest = hashlib.sha256(b"cm4ai/splits/v1/protein/0/ENSG00000141510").hexdigest()
    assert position("protein/0", "ENSG00000141510") == int(digest[:14], 16) / 16**14
    named = {"TP53": "ENSG00000141510", "EIF5A": "ENSG00000132507", "VIM": "ENSG00000026025"}
    assert {name: side_of(gene) for name, gene in named.items()} == {
        "TP53": "train", "EIF5A": "validation", "VIM": "test",
    }  # fmt: skip
    assert {name: fold_of(gene) for name, gene in named.items()} == {"TP53": 3, "EIF5A": 2, "VIM": 1}


def test_genes_that_share_a_protein_are_one() -> None:
    first, second = on_side("train")[0], on_side("test")[0]
    mapping = GeneMapping([known(first, "H4C1", "P62805"), known(second, "H4C2", "P62805")])
    shared = {min(gene_id(first), gene_id(second))}
    assert {mapping.unit(gene_id(n)) for n in (first, second)} == shared
    found = sides(split(layout({"A": [first], "B": [second]}), mapping))
    assert found["A"] == found["B"] == side_of(shared.pop())


def test_an_accession_that_the_mapping_does_not_know_links_too() -> None:
    """Two old gene ids with one protein: both are left out rather than put on two sides."""
    made = layout({"A": on_side("train"), "B": on_side("test"), "C": on_side("validation")})
    stated = pl.when(pl.col("antibody_id").is_in(["A", "B"])).then(pl.lit("Q9XYZ1"))
    made = Layout(made.fields, made.antibodies.with_columns(uniprot_id=stated))
    assert sides(split(made)) == {
        "A": "linked_to_other_side", "B": "linked_to_other_side", "C": "validation", "NEGATIVE": "control",
    }  # fmt: skip


def test_an_old_ensembl_id_stands_for_the_gene_that_its_symbol_means() -> None:
    new, old = on_side("test")[0], on_side("train")[0]
    mapping = GeneMapping([known(new, "TUBB3", "Q13509")])
    made = layout({"NEW": [new], "OLD": [old]})
    symbols = pl.when(pl.col("antibody_id") == "OLD").then(pl.lit("TUBB3"))
    made = Layout(made.fields, made.antibodies.with_columns(gene_symbol=symbols))
    assert sides(split(made, mapping)) == {"NEW": "test", "OLD": "test", "NEGATIVE": "control"}


def test_an_old_ensembl_id_beside_a_known_one_is_no_way_around() -> None:
    """Of an antibody of two genes one id is old, and falls on the side of the other gene: its symbol still counts."""
    (test,), (train, old) = on_side("test"), on_side("train", 2)
    mapping = GeneMapping([known(test, "TUBB3", "Q13509"), known(train, "EIF5A", "P63241")])
    made = layout({"TUBB3": [test], "BOTH": [train, old]})
    symbols = made.antibodies.filter(antibody_id="BOTH").with_columns(
        ensembl_gene_id=pl.lit(None, pl.String()), gene_symbol=pl.Series(["EIF5A", "TUBB3"])
    )
    made = Layout(made.fields, pl.concat([made.antibodies, symbols]))
    assert sides(split(made, mapping)) == {"TUBB3": "test", "BOTH": "several_sides", "NEGATIVE": "control"}


@pytest.mark.parametrize("nothing", ["-", "?", "n/a", "TBD", "None", "ENSG", "CON__P04637"])
def test_what_stands_for_no_id_links_nothing(nothing: str) -> None:
    """Neither are two antibodies that have it in common left out, nor does the proof take it for a protein."""
    train, test = on_side("train")[0], on_side("test")[0]
    mapping = GeneMapping([known(train, "EIF5A", "P63241"), known(test, "TUBB3", "Q13509")])
    rows: dict[str, tuple[Ids, Ids]] = {
        "accession": ((gene_id(train), "EIF5A", nothing), (gene_id(test), "TUBB3", nothing)),
        "symbol": ((gene_id(train), nothing, "P63241"), (gene_id(test), nothing, None)),
        "Ensembl id": ((nothing, "EIF5A", "P63241"), (nothing, "TUBB3", None)),
        "rest": ((gene_id(train), nothing, nothing), (None, "TUBB3", nothing)),
    }
    for column, (a, b) in rows.items():
        assert sides(split(stating({"A": [a], "B": [b]}), mapping)) == {
            "A": "train", "B": "test", "NEGATIVE": "control",
        }, column  # fmt: skip


def test_a_symbol_that_stands_for_nothing_names_no_gene() -> None:
    found = sides(split(stating({"A": [(None, "-", "n/a")], "B": [(None, "SBX", "n/a")]})))
    assert found == {"A": "gene_unknown", "B": side_of("symbol:SBX"), "NEGATIVE": "control"}


@pytest.mark.parametrize(
    ("other", "itself"),
    [
        ((None, "AATYK", None), "symbol:AATYK"),
        ((None, "aatyk", "Q9XYZ1"), "protein:Q9XYZ1"),
        ((gene_id(900), "AATYK", None), gene_id(900)),
        ((None, "OLD", "-"), "symbol:OLD"),
    ],
)
def test_a_name_that_may_be_of_a_gene_on_another_side_stands_nowhere_and_moves_no_other(
    other: Ids, itself: str
) -> None:
    """An alias is no identity, and may be one: the antibody without a better id is left out, and the gene stays."""
    for side in SIDES:
        number, twin = on_side(side, 2)
        mapping = GeneMapping([
            known(number, "AATK", alias=["AATYK"], previous=["OLD"]), known(twin, "TWIN", previous=["OLD"]),
        ])  # fmt: skip
        found = sides(split(stating({"A": [other], "B": [(gene_id(number), "AATK", None)]}), mapping))
        assert found["B"] == side
        assert found["A"] == (side if side_of(itself) == side else "several_sides")


def test_a_strange_symbol_may_be_of_the_gene_that_another_antibody_states_beside_it() -> None:
    """Else two antibodies of one target would stand on two sides, and nobody would see it."""
    for side in SIDES:
        (number,) = on_side(side)
        mapping = GeneMapping([known(number, "EIF5A", "P63241")])
        for better in ((gene_id(number), "SBX", None), (None, "sbx", "P63241-2")):
            found = sides(split(stating({"A": [(None, "SBX", None)], "B": [better]}), mapping))
            assert found["B"] == side
            assert found["A"] == (side if side_of("symbol:SBX") == side else "several_sides")


def test_beside_an_id_that_the_mapping_knows_an_alias_says_nothing() -> None:
    (train,), (test,) = on_side("train"), on_side("test")
    mapping = GeneMapping([known(train, "EIF5A", "P63241"), known(test, "AATK", alias=["AATYK"])])
    made = stating({"A": [(gene_id(train), "AATYK", None)], "B": [(None, "AATYK", "P63241")]})
    assert sides(split(made, mapping)) == {"A": "train", "B": "train", "NEGATIVE": "control"}


def test_what_no_antibody_names_well_moves_none_of_the_published_ones(shared: Path) -> None:
    """The layout derived from published lists: sides follow the Ensembl ids, whatever symbols stand beside them, and
    whatever antibodies of no id but an alias of their genes a release adds."""
    mapping = bundled_mapping()
    listed = pl.read_csv(shared / "data/if_images/derived_antibody_gene_map.tsv", separator="\t")
    stated: dict[str, list[Ids]] = {}
    for name, genes, symbols, evidence in listed.iter_rows():
        if evidence != "ambiguous_within_run":
            stated[name] = [(gene, None, None) for gene in genes.split(";")]
            stated[name] += [(None, symbol, "-") for symbol in ("TBD", *(symbols or "").split(";"))]
    assert len(stated) > 300
    added: dict[str, list[Ids]] = {}
    for name, rows in list(stated.items()):
        aliases = [alias for gene, _, _ in rows if gene in mapping.genes for alias in mapping.genes[gene].alias_symbols]
        added |= {f"{name} {alias}": [(None, alias, None)] for alias in aliases}
    expected = {}
    for name, rows in stated.items():
        found = {side_of(mapping.unit(gene)) for gene, _, _ in rows if gene in mapping.genes}
        if all(gene in mapping.genes for gene, _, _ in rows if gene):
            expected[name] = found.pop() if len(found) == 1 else "several_sides"
    alone, together = (sides(split(stating(ids), mapping)) for ids in (stated, {**stated, **added}))
    assert {name: alone[name] for name in expected} == expected
    assert {name: together[name] for name in alone} == alone
    assert "several_sides" in {together[name] for name in added}


def test_a_symbol_that_the_mapping_does_not_know_links_what_it_does_not_know_otherwise() -> None:
    made = stating({name: [(gene_id(on_side(name)[0]), "sbx", None)] for name in ("train", "test")})
    assert set(sides(split(made)).values()) == {"linked_to_other_side", "control"}


TOKENS = st.sampled_from(["-", "TBD", "SBX", "P53", "EIF5A", "CAM1", "H4C1", "H4C2"])
GENES = st.sampled_from([*range(1, 7), *range(700, 706)]).map(gene_id)
ACCESSIONS = st.sampled_from(["P63241", "P04637-2", "P62805", "P0DP23", "Q9XYZ1", "A0A024R1R8"])
STATED = st.tuples(*(st.none() | ids | TOKENS for ids in (GENES, TOKENS, ACCESSIONS)))


@settings(max_examples=30)
@given(ids=st.dictionaries(st.sampled_from("ABCDEFGH"), st.lists(STATED, min_size=1, max_size=3), min_size=1))
def test_whatever_ids_antibodies_state_there_is_a_table_without_leaks(ids: dict[str, list[Ids]]) -> None:
    """The proof, which `split` asks, sees no link that the sides were not made with: no release is held up by it."""
    split(stating(ids), SOME)


SOME = GeneMapping([
    known(1, "EIF5A", "P63241"), known(2, "TP53", "P04637", alias=["p53"]), known(3, "H4C1", "P62805"),
    known(4, "H4C2", "P62805"), known(5, "CALM1", "P0DP23", previous=["CAM1"]), known(6, "CALM2", previous=["CAM1"]),
])  # fmt: skip


def test_isoforms_and_versions_are_no_other_protein_or_gene() -> None:
    number = on_side("test")[0]
    ids = [(f"{gene_id(number)}.7", None), (None, "Q9XYZ1-2"), (gene_id(number), "Q9XYZ1")]
    antibodies = pl.DataFrame(
        [(name, False, gene, None, uniprot, "single") for name, (gene, uniprot) in zip("ABC", ids, strict=True)],
        schema=layout({}).antibodies.schema,
        orient="row",
    )
    mapping = GeneMapping([known(number, "X", "Q9XYZ1")])
    made = Layout(layout({"A": [0], "B": [0], "C": [0]}).fields, antibodies)
    assert {found for name, found in sides(split(made, mapping)).items() if name != "NEGATIVE"} == {"test"}


def test_what_cannot_be_placed_says_why() -> None:
    made = layout({"A": [1], "NAMELESS": []})
    lost = pl.when(pl.col("field_id") == "P1_untreated_A1_R1").then(None).otherwise("antibody_id")
    rows = split(Layout(made.fields.with_columns(antibody_id=lost), made.antibodies)).filter(scheme="protein")
    reasons = rows["reason"].value_counts().sort("reason").rows()
    assert reasons == [(None, 5), ("antibody_unknown", 1), ("control", 6), ("gene_unknown", 6)]
    found = fields_placed(rows)
    assert not found.passed
    assert found.rows["fields"].sum() == 7


def test_a_condition_that_is_held_out_tests_and_nothing_else_does(hundred: pl.DataFrame) -> None:
    rows = hundred.filter(pl.col("split").is_not_null(), scheme="condition-paclitaxel")
    assert rows.filter(condition="paclitaxel")["split"].unique().to_list() == ["test"]
    others = rows.filter(pl.col("condition") != "paclitaxel")
    assert set(others["split"]) == {"train", "validation"}
    assert others.height == 400


def test_the_plate_that_is_held_out_takes_its_proteins_off_the_others() -> None:
    rows = split(layout(HUNDRED, also={"HPA000003": ("P3", "C4")})).filter(scheme="plate-P1")
    assert rows.filter(plate="P1")["split"].drop_nulls().unique().to_list() == ["test"]
    elsewhere = rows.filter(pl.col("plate") != "P1")
    assert "test" not in set(elsewhere["split"])
    assert elsewhere.filter(antibody_id="HPA000003")["reason"].unique().to_list() == ["also_on_test_plate"]


def test_one_condition_and_one_plate_hold_out_neither() -> None:
    made = layout({"A": [1], "B": [2]}, conditions=["vorinostat"])
    assert {scheme.kind for scheme in schemes_of(made.fields)} == {"protein", "fold"}
    assert split(made).height == 6 * 6


def test_a_condition_more_moves_no_protein() -> None:
    one, three = (sides(split(layout(HUNDRED, conditions=c))) for c in (["untreated"], ["untreated", "paclitaxel"]))
    assert one == three


def test_a_well_of_two_antibodies_is_found_and_stays_on_one_side() -> None:
    made = layout({"A": on_side("train"), "B": on_side("test")})
    swapped = pl.when((pl.col("antibody_id") == "B") & (pl.col("condition") == "paclitaxel"))
    made = Layout(
        made.fields.with_columns(antibody_id=swapped.then(pl.lit("A")).otherwise("antibody_id")), made.antibodies
    )
    rows = split(made)
    assert sides(rows) == {"A": "linked_to_other_side", "B": "linked_to_other_side", "NEGATIVE": "control"}
    found = wells_agree(rows)
    assert not found.passed
    assert found.rows.row(0) == ("P1", "A2", ["A", "B"], 6)


def test_an_empty_side_is_found() -> None:
    found = sides_balanced(split(layout({f"T{n}": [n] for n in on_side("train", 8)})))
    assert not found.passed
    assert {"test", "validation"} == set(found.rows.filter(scheme="protein")["split"])


def test_the_bundled_mapping_makes_the_same_units_for_ever() -> None:
    """Other units would move genes: whoever renews the mapping compares them, and raises `VERSION` if one moved."""
    mapping = bundled_mapping()
    units = {gene: mapping.unit(gene) for gene in mapping.genes if mapping.unit(gene) != gene}
    listed = "\n".join(f"{gene} {unit}" for gene, unit in sorted(units.items()))
    assert hashlib.sha256(listed.encode()).hexdigest()[:16] == "f2c06d71dc639ed0"
