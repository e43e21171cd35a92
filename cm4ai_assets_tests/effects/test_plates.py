"""Batch effects: planted ones are found where they are, and none where there are none."""

from __future__ import annotations

from typing import Any

import polars as pl

from cm4ai_assets.effects.findings import plates_alike, positions_alike, wells_reproducible
from cm4ai_assets.effects.plates import adjusted, plate_rows
from cm4ai_assets.tables.effects import IF_PLATES
from cm4ai_assets_tests.effects import worlds

BAD_PLATE = pl.when((pl.col("plate") == "B2AI_3") & (pl.col("condition") == "untreated")).then(2.0).otherwise(0.0)
BAD_ROW = pl.when(pl.col("well_row") == "H").then(0.5).otherwise(0.0)
EDGE = pl.col("well_row").is_in(["A", "H"]) | pl.col("well_column").is_in([1, 12])


def alike(seed: int, **changed: Any) -> pl.DataFrame:
    """Plates that do not differ, so that what is planted is all there is."""
    return worlds.world(seed, between_plates=0.0, **changed)


def found(rows: pl.DataFrame) -> set[tuple[str, ...]]:
    return set(rows.filter("stands_out").select("condition", "channel", "factor", "level").iter_rows())


def test_a_planted_plate_is_found_and_nothing_else() -> None:
    rows = plate_rows(alike(1, bad={"blue": BAD_PLATE}))
    assert found(rows) == {("untreated", "blue", "plate", "B2AI_3")}
    assert rows.filter("stands_out").height == 3, "in each measure"
    assert IF_PLATES.violations(IF_PLATES.place(rows, release="2026-06-v2.0")) == []
    explained = rows.filter(factor="plate", condition="untreated", channel="blue")["explained"]
    assert explained.min() > 0.4
    assert rows.filter(channel="red")["explained"].max() < 0.05
    finding = plates_alike(rows)
    assert not finding.passed
    assert set(finding.rows["level"]) == {"B2AI_3"}
    assert positions_alike(rows).passed


def test_a_planted_row_and_a_planted_edge_are_found_though_plates_differ() -> None:
    edge = pl.when(EDGE).then(-0.4).otherwise(0.0)
    rows = plate_rows(worlds.world(2, between_plates=2.0, bad={"red": BAD_ROW, "blue": edge}))
    at = {(condition, channel, factor, level) for condition, channel, factor, level in found(rows) if factor != "plate"}
    assert {("untreated", "red", "row", "H"), ("paclitaxel", "red", "row", "H")} <= at
    assert {level for _, channel, factor, level in at if (channel, factor) == ("red", "row")} == {"H"}
    assert ("untreated", "blue", "edge", "edge") in at
    assert not {channel for _, channel, _, _ in at} & {"yellow"}, "plates that differ make no position differ"
    assert not positions_alike(rows).passed


def test_plates_that_differ_and_are_hardly_filled_make_no_row_differ() -> None:
    first = pl.col("plate") == "B2AI_1"
    plates = alike(2, plates=3, bad={"yellow": pl.when(first).then(0.0).otherwise(2.0)})
    rows = plate_rows(plates.filter(first | (pl.col("well_row") == "A")))
    assert {factor for _, channel, factor, _ in found(rows) if channel == "yellow"} == {"plate"}


def test_where_nothing_is_planted_tests_reject_as_often_as_they_say() -> None:
    p = pl.concat([plate_rows(alike(seed, fields=4)) for seed in (3, 4)])
    assert 0.03 < (p["p"] < 0.05).mean() < 0.07
    assert p.filter("stands_out").is_empty()
    assert wells_reproducible(plate_rows(alike(5, wells=12))).counts["measures"] == 18


def test_too_few_wells_are_not_tested() -> None:
    rows = plate_rows(alike(5, wells=3, plates=2, fields=4))
    assert rows.filter(factor="plate")["p"].null_count() == rows.filter(factor="plate").height
    assert not rows["stands_out"].any()
    assert rows["shift"].null_count() == rows.height, "of three wells nobody knows how far wells scatter"
    assert "have too few wells to tell" in plates_alike(rows).summary
    alone = plate_rows(alike(5, wells=5, plates=1, conditions=("untreated",)))
    assert alone.filter(factor="plate")["shift"].null_count() == 9
    assert plate_rows(alike(5).clear()).is_empty()


def test_each_number_says_n() -> None:
    measures = alike(6, plates=2, wells=20)
    rows = plate_rows(measures)
    plate = rows.filter(factor="plate", level="B2AI_1", channel="red", measure="extent", condition="untreated")
    own = measures.filter(plate="B2AI_1", channel="red", measure="extent", condition="untreated")
    assert plate.select("wells", "fields", "other_wells").row(0) == (20, own.height, 20)
    assert rows.filter(factor="edge", channel="red", measure="extent", condition="untreated")["wells"].to_list() == [
        own.filter(EDGE)["well"].n_unique() * 2, own.filter(~EDGE)["well"].n_unique() * 2,
    ]  # fmt: skip


def test_p_are_corrected_within_a_group_and_nulls_stay() -> None:
    rows = pl.DataFrame({"condition": ["a", "a", "a", "b"], "p": [0.01, None, 0.04, 0.05]})
    assert dict(adjusted(rows, "condition").select("p", "q").iter_rows()) == {
        0.01: 0.02,
        None: None,
        0.04: 0.04,
        0.05: 0.05,
    }
