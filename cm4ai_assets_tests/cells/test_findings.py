"""Checks of nuclei that warn, each with input that it must name."""

from __future__ import annotations

import numpy as np
import polars as pl

from cm4ai_assets.cells import findings
from cm4ai_assets_tests.cells.conftest import DARK_FIELD, FIELDS, PARTITION, Room


def _counted(numbers: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"tensor_index": pl.Series(range(len(numbers)), dtype=pl.Int32), "nuclei": numbers}
    ).with_columns(pl.format("f{}", "tensor_index").alias("field_id"))


def test_fields_are_counted_and_those_without_a_nucleus_too(shared_room: Room) -> None:
    cells = shared_room.store.table("if_cells", PARTITION).collect()
    counted = findings.counts(cells, shared_room.fields)
    assert counted.height == FIELDS
    assert counted["nuclei"].sum() == cells.height
    assert counted["nuclei"][DARK_FIELD] == 0
    assert counted["plausible"].sum() == cells["plausible"].sum()
    assert counted["touching"].sum() == cells["touches_border"].sum()


def test_a_field_with_far_more_nuclei_stands_out() -> None:
    usual = np.random.default_rng(1).integers(20, 40, 30).tolist()
    assert findings.cells_per_field(_counted(usual)).passed
    found = findings.cells_per_field(_counted([*usual, 300, 0]))
    assert not found.passed
    assert found.rows["field_id"].to_list() == ["f30"]
    assert "median field has" in found.summary


def test_a_field_with_far_fewer_stands_out_too() -> None:
    usual = np.random.default_rng(1).integers(60, 70, 30).tolist()
    assert findings.cells_per_field(_counted([*usual, 1])).rows["field_id"].to_list() == ["f30"]


def test_few_fields_and_like_ones_have_no_outlier() -> None:
    assert findings.cells_per_field(_counted([1, 50, 3])).passed
    assert findings.cells_per_field(_counted([20] * 12)).passed
    assert findings.cells_per_field(_counted([])).passed


def test_a_field_without_nuclei_is_named_with_its_reason(shared_room: Room) -> None:
    counted = _counted([3, 0, 5, 0])
    reasons = pl.DataFrame({
        "tensor_index": pl.Series(range(4), dtype=pl.Int32), "nuclei": [3, 0, 5, 0], "specks": [0, 9, 0, 0],
        "level": [6, 6, 6, 90], "reason": [None, "specks_only", None, "no_contrast"],
    })  # fmt: skip
    found = findings.fields_with_cells(counted, reasons)
    assert not found.passed
    assert found.rows.rows() == [("f1", "specks_only", 9, 6), ("f3", "no_contrast", 0, 90)]
    assert found.counts == {"specks_only": 1, "no_contrast": 1}
    assert findings.fields_with_cells(_counted([1, 2]), reasons).passed


def _cells(defects: list[list[str]], touching: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "field_id": [f"f{number // 10}" for number in range(len(defects))],
            "plausible": [not one for one in defects],
            "defects": pl.Series(defects, dtype=pl.List(pl.String)),
            "touches_border": [number < touching for number in range(len(defects))],
        }
    )


def test_many_implausible_nuclei_are_a_warning() -> None:
    none: list[str] = []
    assert findings.cells_plausible(_cells([["blurred"]] * 30 + [none] * 70)).passed
    found = findings.cells_plausible(_cells([["blurred"]] * 30 + [["blurred", "too_small"]] + [none] * 69))
    assert not found.passed
    assert found.counts == {"too_small": 1, "blurred": 31}
    assert found.rows["nuclei"][0] == 10
    assert findings.cells_plausible(_cells([["blurred"]] * 5)).passed, "five nuclei say nothing"


def test_many_cut_nuclei_are_a_warning() -> None:
    none: list[str] = []
    assert findings.cells_whole(_cells([none] * 100, touching=50)).passed
    assert not findings.cells_whole(_cells([none] * 100, touching=51)).passed
    assert findings.cells_whole(_cells([none] * 5, touching=5)).passed, "five nuclei say nothing"
