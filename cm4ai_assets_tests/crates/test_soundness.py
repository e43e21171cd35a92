"""What the checks on crates list: the same rows in the same order, however the rows of the table stand."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.crates.soundness import entities_sound

ENTITIES = pl.DataFrame(
    {
        "crate_file": ["b.json", "a.json", "b.json", "a.json", "a.json"],
        "defects": [["no_type"], ["no_type", "bad_date"], ["bad_date"], ["no_type"], []],
        "stated_id": ["#1", None, "#3", "#4", "#5"],
    },
    schema_overrides={"defects": pl.List(pl.String)},
)


def test_defects_are_counted_by_file_and_kind_in_their_order() -> None:
    found = entities_sound(ENTITIES)
    assert not found.passed
    assert found.rows.rows() == [
        ("a.json", "bad_date", 1, None),
        ("a.json", "no_type", 2, "#4"),
        ("b.json", "bad_date", 1, "#3"),
        ("b.json", "no_type", 1, "#1"),
    ]
    assert found.summary == "5 defects of 2 kinds in entities of crates"


def test_sound_entities_pass() -> None:
    assert entities_sound(ENTITIES.tail(1)).passed
