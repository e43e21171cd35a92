"""Which row is meant, and what a person reads who names none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError, SelectionError, UnknownTreatmentError
from cm4ai_assets.lineage.finding import RowLike
from cm4ai_assets.lineage.trace import trace_table
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.images.published import KEY


@pytest.mark.parametrize(
    "row",
    [4, np.int64(4), "4", "B2AI_1_untreated_A1_R4_z01", {"field_id": "B2AI_1_untreated_A1_R4_z01"},
     {"plate": "B2AI_1", "well": "A1", "region": "4"}, {"region": 4, "condition": "untreated"}],
)  # fmt: skip
def test_a_row_is_named_by_its_number_its_key_or_its_values(release: Release, row: RowLike) -> None:
    fields = release.table("if_fields").filter(condition="untreated").collect()["field_id"].to_list()
    number = fields.index("B2AI_1_untreated_A1_R4_z01")
    named = {4: number, "4": str(number)}.get(row, row) if isinstance(row, int | str) else row
    named = type(row)(number) if isinstance(row, np.int64) else named
    found = release.trace("if_fields", named, condition="CTRL").subject.rows
    assert found is not None
    assert (found.numbers, found.condition) == ((number,), "untreated")


def test_a_row_of_a_frame_that_has_other_values_now_says_which(release: Release) -> None:
    row = release.table("if_fields").collect().row(1, named=True)
    assert "other values" not in str(release.trace("if_fields", row))
    trace = release.trace("if_fields", {**row, "well_column": 9})
    assert "The row that was given has other values than this one: well_column." in trace.subject.notes


@pytest.mark.parametrize(
    ("name", "row", "condition", "message"),
    [
        ("if_field", 1, None, "There is no table 'if_field'. Did you mean if_fields"),
        ("if_fields", 18, "untreated", r"no row 18 in if_fields of untreated.*has 18 rows, 0 to 17"),
        ("if_fields", -1, "untreated", "no row -1"),
        ("if_fields", 1, None, "counted in each condition: untreated, paclitaxel. Name one with --condition"),
        ("if_fields", None, None, "a file for each condition"),
        ("if_fields", "B2AI_1_untreated_A1_R4_z02", None, "has no field_id .* Did you mean B2AI_1_untreated_A1_R4_z01"),
        ("if_fields", {"palte": "B2AI_1"}, None, "no column 'palte'. Did you mean plate"),
        ("if_fields", {"region": "one"}, None, "region is Int16: 'one' is none"),
        ("if_fields", {"channels": "red"}, None, "channels is List"),
        (
            "if_fields",
            {"well": "A1"},
            None,
            "34 rows of if_fields have well=A1: row 0 .untreated.* condition, field_id",
        ),
        (
            "if_fields",
            {"well": "A1"},
            "untreated",
            "17 rows of if_fields have well=A1: .* and others.* also by field_id",
        ),
        ("if_fields", {"region": 1, "well": "B7"}, None, "has no well 'B7'"),
        ("splits", "B2AI_1", None, "whose key has 3 columns. Name a row number, or scheme=… condition=… field_id=…"),
        ("splits", 0, "untreated", "counted over all conditions"),
        ("proteins", 0, "untreated", "counted over all conditions"),
        ("proteins", {"gene": "x"}, "untreated", "proteins knows no conditions"),
        ("if_tensors", 18, "untreated", "no field 18 in the tensor of .*: it has 18, 0 to 17"),
        ("if_tensors", 1, None, "a tensor for each condition"),
    ],
)
def test_what_is_no_row_is_refused_with_what_there_is(
    release: Release, name: str, row: Any, condition: str | None, message: str
) -> None:
    with pytest.raises(SelectionError, match=message):
        release.trace(name, row, condition=condition)


def test_what_is_not_published_and_no_treatment_are_refused_as_anywhere(release: Release) -> None:
    with pytest.raises(NotMaterializedError, match="the release publishes no files of that kind"):
        release.trace("if_fields", 0, condition="vorinostat")
    with pytest.raises(UnknownTreatmentError):
        release.trace("if_fields", 0, condition="aspirin")
    with pytest.raises(NotMaterializedError, match="usage_metrics is not published here"):
        trace_table(_emptied(release), KEY, "usage_metrics", 0)


def _emptied(release: Release) -> Store:
    return Store(f"{release.store.root}/nothing", scratch=Path(release.store.root))
