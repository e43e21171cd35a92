"""Effects of treatments: what is planted is found, nothing else is, and the numbers say what they are of."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from cm4ai_assets.effects.effects import effect_rows
from cm4ai_assets.effects.findings import effects_reproducible, effects_tested, most_unchanged
from cm4ai_assets.tables.effects import IF_EFFECTS
from cm4ai_assets_tests.effects.worlds import antibodies, world

PLANTED = {f"HPA{number:06d}": 3.0 * (-1) ** number for number in range(5, 480, 59)}


def effects(measures: pl.DataFrame) -> pl.DataFrame:
    rows = effect_rows(measures, antibodies(measures))
    assert IF_EFFECTS.violations(IF_EFFECTS.place(rows, release="2026-06-v2.0")) == []
    return rows


@pytest.fixture(scope="module")
def planted() -> pl.DataFrame:
    return effects(world(1, responds=PLANTED))


def test_planted_effects_are_found_on_their_side_and_few_others(planted: pl.DataFrame) -> None:
    found = planted.filter("is_significant")
    assert set(found["antibody_id"]) >= set(PLANTED)
    assert found.filter(~pl.col("antibody_id").is_in(list(PLANTED))).height <= 2
    sides = found.filter(pl.col("antibody_id").is_in(list(PLANTED))).select("antibody_id", "effect").iter_rows()
    assert all(np.sign(effect) == np.sign(PLANTED[name]) for name, effect in sides)


def test_what_the_drug_does_to_all_and_plates_that_differ_are_no_effects(planted: pl.DataFrame) -> None:
    assert planted["common"].abs().min() > 0.0
    assert abs(planted["effect"].median()) < 0.02
    assert planted.select("wells", "common", "measure").with_columns(
        plate=pl.col("wells").list.first().str.head(6)
    ).group_by("plate", "measure").agg(pl.col("common").round(9).n_unique())["common"].max() == 1  # fmt: skip
    assert set(planted["common_pairs"]) == {96}


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy tails"])
def test_where_nothing_responds_tests_reject_as_often_as_they_say(heavy: bool) -> None:  # noqa: FBT001
    rows = pl.concat([effects(world(seed, fields=4, heavy=heavy)) for seed in (11, 12, 13)])
    assert 0.03 < (rows["p"] < 0.05).mean() < 0.065
    assert (rows["p"] < 0.01).mean() < 0.015
    assert rows["is_significant"].mean() < (0.003 if heavy else 0.0005), (
        "far tails of wells that go wrong are no effects"
    )
    inside = (rows["low"] <= 0) & (rows["high"] >= 0)
    assert 0.935 < inside.mean() < 0.97, "intervals hold what is true as often as they say"


def test_fields_are_no_replicates() -> None:
    few, many = (effects(world(21, fields=n, responds=PLANTED)) for n in (4, 40))
    ratio = few["standard_error"].median() / many["standard_error"].median()
    assert ratio < 2, "ten times the fields of the same wells do not make it sqrt(10) times as sure"
    assert many.filter("is_significant")["antibody_id"].n_unique() >= len(PLANTED)


def test_correction_is_over_all_proteins_and_measures_of_a_treatment(planted: pl.DataFrame) -> None:
    both = effects(world(2, conditions=("untreated", "paclitaxel", "vorinostat"), wells=12, responds=PLANTED))
    for rows in (planted, *both.partition_by("condition")):
        assert np.allclose(rows["q"], false_discovery_control(rows["p"], method="bh"))
    assert set(both["condition"]) == {"paclitaxel", "vorinostat"}


def test_numbers_say_n(planted: pl.DataFrame) -> None:
    measures = world(1, responds=PLANTED)
    own = measures.filter(antibody_id="HPA000005", channel="green", measure="extent")
    row = planted.filter(antibody_id="HPA000005", measure="extent").row(0, named=True)
    assert (row["n_wells"], row["wells"]) == (1, ["B2AI_1_A6"])
    assert row["n_fields"] == own.filter(condition="paclitaxel").height
    assert row["n_fields_untreated"] == own.filter(condition="untreated").height
    yellow = measures.filter(antibody_id="HPA000005", channel="yellow", measure="extent")
    means = {
        c: own.filter(condition=c)["value"].mean() - yellow.filter(condition=c)["value"].mean()
        for c in ("paclitaxel", "untreated")
    }
    assert row["difference"] == pytest.approx(means["paclitaxel"] - means["untreated"])
    assert row["effect"] == pytest.approx(row["difference"] - row["common"])
    assert row["gene_symbols"] == ["HPA000005"]
    assert row["well_sd"] is None
    assert row["field_sd"] > 0


def test_two_wells_of_an_antibody_are_two_pairs() -> None:
    twice = pl.when(pl.col("antibody_id") == "HPA000100").then(pl.lit("HPA000001")).otherwise("antibody_id")
    rows = effects(world(3, plates=2).with_columns(antibody_id=twice))
    own = rows.filter(antibody_id="HPA000001", measure="fineness").row(0, named=True)
    assert (own["n_wells"], own["wells"]) == (2, ["B2AI_1_A2", "B2AI_2_A5"])
    assert own["standard_error"] < rows.filter(n_wells=1, measure="fineness")["standard_error"].median()
    assert own["well_sd"] is not None


def test_controls_and_unknown_antibodies_are_left_out_and_what_has_no_pair_says_so() -> None:
    measures = world(4, plates=1, wells=24).with_columns(
        is_control=pl.col("well") == "A1",
        antibody_id=pl.when(pl.col("well") == "A2").then(None).otherwise("antibody_id"),
    )
    lonely = measures.filter((pl.col("well") != "B1") | (pl.col("condition") == "untreated"))
    rows = effects(lonely)
    assert rows["antibody_id"].n_unique() == 22
    assert rows.filter(untested="no_pair")["antibody_id"].unique().to_list() == ["HPA000012"]
    finding = effects_tested(rows)
    assert (finding.passed, finding.counts) == (True, {"antibodies": 22, "untested": 1})
    some = pl.col("well").is_in(["A3", "A4", "A5", "A6", "A7", "A8"]) | (pl.col("condition") == "untreated")
    assert not effects_tested(effects(measures.filter(some))).passed


def test_too_few_wells_are_not_tested_and_few_are_tested_with_care() -> None:
    rows = effects(world(5, plates=1, wells=5))
    assert rows["untested"].unique().to_list() == ["few_wells"]
    assert rows["p"].null_count() == rows.height
    some = [effects(world(seed, plates=2, wells=4, fields=3)) for seed in range(20)]
    assert (pl.concat(some)["p"] < 0.05).mean() < 0.05
    assert set(pl.concat(some)["common_pairs"]) == {8}, "of all plates, where a plate has fewer than 8"


def test_identical_images_are_no_measurement() -> None:
    rows = effects(world(6, plates=1, wells=12).with_columns(value=pl.lit(1.0)))
    assert rows["untested"].unique().to_list() == ["no_spread"]


def test_a_treatment_that_moves_many_proteins_is_reported() -> None:
    many = {f"HPA{number:06d}": 6.0 for number in range(0, 480, 3)}
    rows = effects(world(7, responds=many, fields=12))
    assert not most_unchanged(rows).passed
    few = effects(world(8, responds=PLANTED))
    assert most_unchanged(few).passed
    assert effects_reproducible(few).passed


def test_without_treatment_there_is_no_row() -> None:
    assert effects(world(9, conditions=("untreated",), plates=1, wells=12)).is_empty()
