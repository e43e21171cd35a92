from __future__ import annotations

import polars as pl
import pytest

from cm4ai_assets import tables
from cm4ai_assets.errors import NotMaterializedError, SchemaViolationError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables import Column, Rule, Table
from cm4ai_assets.tables.dictionary import dictionary

TABLE = Table(
    name="wells",
    description="Wells.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("well",),
    own_columns=(
        Column("well", pl.String(), "Well."),
        Column("channel", pl.String(), "Channel.", nullable=True, allowed=("red", "green")),
        Column("flags", pl.List(pl.String()), "Flags.", allowed=("a", "b")),
        Column("fields", pl.Int32(), "Number of fields.", unit="count"),
    ),
    rules=(Rule("some", "a well has at least one field", lambda: pl.col("fields") > 0),),
)
GOOD = {"well": "A1", "channel": "red", "flags": ["a"], "fields": 3}


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    return TABLE.from_rows(list(rows), release="2025-06-v2.1", condition="paclitaxel")


def test_a_good_frame_has_no_violations_and_its_partition_columns_first() -> None:
    made = frame(GOOD, {**GOOD, "well": "A2", "channel": None, "flags": []})
    assert TABLE.violations(made) == []
    assert made.columns[:2] == ["release", "condition"]
    assert made["condition"].unique().to_list() == ["paclitaxel"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"well": None}, "not_null"),
        ({"channel": "blue"}, "allowed"),
        ({"flags": ["a", "c"]}, "allowed"),
        ({"fields": 0}, "some"),
        ({"fields": None}, "not_null"),
    ],
)
def test_each_kind_of_bad_row_is_named(change: dict[str, object], rule: str) -> None:
    found = TABLE.violations(frame(GOOD, {**GOOD, "well": "B7", **change}))
    assert rule in {violation.rule for violation in found}
    assert found[0].rows == 1
    with pytest.raises(SchemaViolationError, match="wells is not as declared"):
        TABLE.validated(frame(GOOD, {**GOOD, "well": "B7", **change}))


def test_a_repeated_key_is_found() -> None:
    found = TABLE.violations(frame(GOOD, GOOD))
    assert [(violation.rule, violation.rows) for violation in found] == [("key", 2)]
    assert "A1" in found[0].sample


def test_a_long_table_is_held_against_its_rules_stretch_by_stretch() -> None:
    good = [{**GOOD, "well": f"A{number}"} for number in range(6)]
    stretches = [frame(*good[:2]), frame(*good[2:4]), frame(*good[4:])]
    assert TABLE.violations_in(stretches) == []
    bad = [
        frame({**GOOD, "well": "B1", "fields": 0}, good[0]),
        *stretches[1:],
        frame({**GOOD, "well": "B2", "fields": 0}),
    ]
    found = TABLE.violations_in(bad)
    assert [(one.rule, one.rows) for one in found] == [("some", 2)]
    assert "B1" in found[0].sample
    both = frame({**GOOD, "well": None, "channel": "blue"}), frame({**GOOD, "well": "B2", "fields": None})
    assert {(one.rule, one.column, one.rows) for one in TABLE.violations_in(both)} == {
        ("not_null", "well", 1), ("not_null", "fields", 1), ("allowed", "channel", 1),
    }  # fmt: skip


def test_a_key_that_is_repeated_in_another_stretch_is_found() -> None:
    found = TABLE.violations_in([frame(GOOD), frame({**GOOD, "well": "B1"}), frame(GOOD)])
    assert [(one.rule, one.rows) for one in found] == [("key", 2)]


def test_a_stretch_of_another_shape_is_found() -> None:
    found = TABLE.violations_in([frame(GOOD), frame({**GOOD, "well": "B1"}).drop("fields")])
    assert [one.rule for one in found] == ["columns"]


def test_other_columns_types_and_orders_are_found() -> None:
    made = frame(GOOD)
    assert "missing columns fields" in TABLE.violations(made.drop("fields"))[0].message
    assert "unknown columns more" in TABLE.violations(made.with_columns(more=1))[0].message
    assert "fields: Int64" in TABLE.violations(made.with_columns(pl.col("fields").cast(pl.Int64)))[0].message
    assert "another order" in TABLE.violations(made.select(reversed(made.columns)))[0].message


def test_rows_are_not_coerced() -> None:
    with pytest.raises(SchemaViolationError):
        frame({**GOOD, "fields": "three"})
    with pytest.raises(SchemaViolationError, match="no column extra"):
        frame({**GOOD, "extra": 1})


@pytest.mark.parametrize("table", tables.ALL, ids=lambda table: table.name)
def test_every_table_is_described(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert set(table.key) <= set(names)
    assert table.source
    assert all(column.description.endswith((".", ")")) for column in table.columns)
    assert TABLE.violations(TABLE.empty()) == []
    assert f"## {table.name}" in dictionary()


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(NotMaterializedError, match="no table 'nonsense'"):
        tables.table("nonsense")
