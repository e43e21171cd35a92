"""Planted leaks of every kind are found, by name, in a table that was sound."""

from __future__ import annotations

import polars as pl
import pytest

from cm4ai_assets.integration.leaks import no_leaks
from cm4ai_assets.integration.mapping import GeneMapping
from cm4ai_assets.integration.splits import split_rows
from cm4ai_assets_tests.integration.layouts import NO_MAPPING, Layout, gene_id, known, layout, stating
from cm4ai_assets_tests.integration.test_splits import HUNDRED, on_side

BRIDGE = [on_side("train", start=1000)[0], on_side("test", start=1000)[0]]


def rows_of(made: Layout, mapping: GeneMapping = NO_MAPPING) -> pl.DataFrame:
    return split_rows(made.fields, made.antibodies, mapping)


def moved(rows: pl.DataFrame, where: pl.Expr, side: str = "test") -> pl.DataFrame:
    """The rows with some put on another side by hand."""
    return rows.with_columns(split=pl.when(where).then(pl.lit(side)).otherwise("split"))


@pytest.fixture(scope="module")
def made() -> Layout:
    return layout({"A": [BRIDGE[0]], "B": [BRIDGE[1]], "AB": BRIDGE, **HUNDRED})


def test_a_sound_table_passes(made: Layout) -> None:
    found = no_leaks(rows_of(made), made.antibodies, NO_MAPPING)
    assert (found.passed, found.counts["leaks"]) == (True, 0)


def test_one_field_of_an_antibody_on_another_side(made: Layout) -> None:
    rows = moved(rows_of(made), (pl.col("field_id") == "P1_paclitaxel_A1_R2") & (pl.col("scheme") == "protein"))
    found = no_leaks(rows, made.antibodies, NO_MAPPING)
    assert not found.passed
    assert found.rows["antibodies"].to_list() == [["A"]]
    assert found.rows["sides"].to_list() == [["test", "train"]]
    assert gene_id(BRIDGE[0]) in found.summary


@pytest.mark.parametrize("scheme", ["protein", "protein-5fold-2", "plate-P4", "condition-vorinostat"])
def test_the_partner_of_an_antibody_of_several_genes(made: Layout, scheme: str) -> None:
    """The antibody that links train and test is put on a side: then both of its genes are on two."""
    own = (pl.col("scheme") == scheme) & (pl.col("condition") == "untreated")
    rows = rows_of(made)
    rows = moved(
        moved(rows, own & (pl.col("antibody_id") == "A"), "train"), own & (pl.col("antibody_id") == "B"), "validation"
    )
    assert not no_leaks(moved(rows, own & (pl.col("antibody_id") == "AB"), "train"), made.antibodies, NO_MAPPING).passed


def test_two_genes_of_one_protein() -> None:
    made = layout({"A": [BRIDGE[0]], "B": [BRIDGE[1]]})
    rows = rows_of(made)
    assert no_leaks(rows, made.antibodies, NO_MAPPING).passed
    stated = Layout(made.fields, made.antibodies.with_columns(uniprot_id=pl.lit("P62805-1")))
    assert not no_leaks(rows, stated.antibodies, NO_MAPPING).passed
    one = made.antibodies.with_columns(uniprot_id=pl.when(pl.col("antibody_id") == "A").then(pl.lit("P62805")))
    mapping = GeneMapping([known(BRIDGE[0], "H4C1", "P62805"), known(BRIDGE[1], "H4C2", "P62805")])
    assert not no_leaks(rows, one, mapping).passed
    assert not no_leaks(rows, made.antibodies, mapping).passed, "no accession is stated, and the mapping has it"


def test_genes_that_share_no_protein_with_each_other_and_one_with_a_third() -> None:
    made = layout({"A": [BRIDGE[0]], "B": [BRIDGE[1]]})
    third = known(max(BRIDGE) + 1, "THIRD", "P62805", "P04637")
    ends = [known(BRIDGE[0], "FIRST", "P62805"), known(BRIDGE[1], "SECOND", "P04637")]
    assert no_leaks(rows_of(made), made.antibodies, GeneMapping(ends)).passed
    assert not no_leaks(rows_of(made), made.antibodies, GeneMapping([*ends, third])).passed


def test_an_alias_of_a_gene_on_another_side() -> None:
    made = stating({"A": [(None, "AATYK", None)], "B": [(gene_id(BRIDGE[1]), None, None)]})
    mapping = GeneMapping([known(BRIDGE[1], "AATK", alias=["AATYK"])])
    sides = {"A": "train", "B": "test"}
    rows = rows_of(made, mapping).with_columns(
        split=pl.col("antibody_id").replace_strict(sides, default=None), group=pl.lit("by hand")
    )
    assert not no_leaks(rows, made.antibodies, mapping).passed
    assert no_leaks(rows, made.antibodies, NO_MAPPING).passed


def test_a_strange_symbol_that_an_antibody_on_another_side_states_beside_a_known_id() -> None:
    made = stating({"A": [(None, "SBX", None)], "B": [(gene_id(BRIDGE[1]), "sbx", None)]})
    sides = {"A": "train", "B": "test"}
    mapping = GeneMapping([known(BRIDGE[1], "AATK")])
    rows = rows_of(made, mapping).with_columns(
        split=pl.col("antibody_id").replace_strict(sides, default=None), group=pl.lit("by hand")
    )
    assert not no_leaks(rows, made.antibodies, mapping).passed


def test_a_well_under_another_condition(made: Layout) -> None:
    """The manifest of one condition names another antibody for the well: its cells are of the same place."""
    rows = rows_of(made)
    elsewhere = rows.filter(antibody_id="A", condition="paclitaxel").with_columns(
        antibody_id=pl.lit("B"), split=pl.lit("test"), field_id=pl.lit("P1_paclitaxel_A1_R9")
    )
    found = no_leaks(pl.concat([rows, elsewhere.filter(scheme="protein")]), made.antibodies, NO_MAPPING)
    assert found.rows["antibodies"].to_list() == [["A", "B"]]


def test_a_condition_or_plate_that_is_held_out_and_trains(made: Layout) -> None:
    rows = rows_of(made)
    for scheme, where in (
        ("condition-paclitaxel", pl.col("condition") == "paclitaxel"),
        ("plate-P3", pl.col("plate") == "P3"),
    ):
        own = where & (pl.col("scheme") == scheme) & (pl.col("split") == "test")
        found = no_leaks(moved(rows, own, "train"), made.antibodies, NO_MAPPING)
        assert found.rows["what"].to_list() == [scheme.replace("-", " ")]


def test_a_control_on_a_side(made: Layout) -> None:
    rows = moved(rows_of(made), (pl.col("antibody_id") == "NEGATIVE") & (pl.col("scheme") == "protein"), "train")
    found = no_leaks(rows, made.antibodies, NO_MAPPING)
    assert found.rows["what"].to_list() == ["a control or an unknown antibody"]
