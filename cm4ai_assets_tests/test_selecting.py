"""Choosing fields by what they show, with every label and the controls of the same plate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError, SelectionError, UnknownTreatmentError
from cm4ai_assets.selecting import COLUMNS, Criteria, require_sides, select
from cm4ai_assets_tests.images.published import field, ids, publish, release_of

P53, P53_AGAIN = "B2AI_1_untreated_A1_R1_z01", "B2AI_1_untreated_A1_R2_z01"
EGFR, PLASTIN = "B2AI_1_untreated_B2_R1_z01", "B2AI_2_untreated_A1_R1_z01"
CONTROL, OTHER_CONTROL = "B2AI_1_untreated_H12_R1_z01", "B2AI_2_untreated_H12_R1_z01"
UNSTORED, UNNAMED = "B2AI_1_untreated_A1_R3_z01", "B2AI_1_untreated_C1_R1_z01"
DRUGGED, DRUGGED_CONTROL = "B2AI_1_paclitaxel_A1_R1_z01", "B2AI_1_paclitaxel_H12_R1_z01"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    untreated = [
        field(P53, "HPA000001"),
        field(P53_AGAIN, "HPA000001", defects=["several_z"]),
        field(UNSTORED, "HPA000001", tensor_index=None, defects=["corrupt_jpeg"]),
        field(EGFR, "HPA000002"),
        field(CONTROL, "NEGATIVE"),
        field(UNNAMED, None, defects=["antibody_unknown"]),
        field(PLASTIN, "HPA000895"),
        field(OTHER_CONTROL, "NEGATIVE"),
    ]
    for number, row in enumerate(row for row in untreated if "tensor_index" not in row):
        row["tensor_index"] = number
    changes: dict[tuple[str, str], dict[str, Any]] = {
        (P53_AGAIN, "green"): {"is_empty": True},
        (EGFR, "blue"): {"is_saturated": True},
        (EGFR, "red"): {"is_empty": True},
    }
    return release_of(
        tmp_path_factory.mktemp("selecting"),
        {"untreated": untreated, "paclitaxel": [field(DRUGGED, "HPA000001"), field(DRUGGED_CONTROL, "NEGATIVE")]},
        changes,
    )


@pytest.mark.parametrize("name", ["TP53", "tp53", "ENSG00000141510", "P04637", "p04637", ["TP53"]])
def test_a_gene_is_found_by_symbol_ensembl_id_and_accession(release: Release, name: str) -> None:
    found = release.fields(gene=name)
    assert ids(found) == [DRUGGED, P53, P53_AGAIN]
    assert found.columns == list(COLUMNS)
    assert found["genes"].to_list() == [["ENSG00000141510"]] * 3
    assert found["release"].unique().to_list() == [release.key]


def test_each_gene_of_an_antibody_with_several_finds_its_fields(release: Release) -> None:
    for name in ("PLS1", "ENSG00000120756", "P13796"):
        assert ids(release.fields(gene=name)) == [PLASTIN]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, [DRUGGED, P53, P53_AGAIN, EGFR, UNNAMED, PLASTIN]),
        ({"condition": "CTRL"}, [P53, P53_AGAIN, EGFR, UNNAMED, PLASTIN]),
        ({"condition": ["Paclitaxel", "PTXL"]}, [DRUGGED]),
        ({"plate": "2"}, [PLASTIN]),
        ({"plate": "B2AI_1", "well": "a01", "condition": "untreated"}, [P53, P53_AGAIN]),
        ({"well": ["A1", "B02"], "condition": "untreated"}, [P53, P53_AGAIN, EGFR, PLASTIN]),
        ({"antibody": "hpa000002"}, [EGFR]),
        ({"antibody": "NEGATIVE"}, [DRUGGED_CONTROL, CONTROL, OTHER_CONTROL]),
        ({"well": "H12", "plate": "2"}, [OTHER_CONTROL]),
        ({"gene": ["EGFR", "LCP1"]}, [EGFR, PLASTIN]),
        ({"gene": "EGFR", "condition": "paclitaxel"}, []),
        ({"gene": "TP53", "stored_only": False, "condition": "untreated"}, [P53, P53_AGAIN, UNSTORED]),
    ],
)
def test_criteria_hold_together(release: Release, criteria: dict[str, Any], expected: list[str]) -> None:
    assert ids(release.fields(**criteria)) == expected


def test_controls_are_those_of_the_same_plate_and_condition(release: Release) -> None:
    assert ids(release.fields(gene="EGFR", with_controls=True)) == [EGFR, CONTROL]
    assert ids(release.fields(gene="PLS3", with_controls=True)) == [PLASTIN, OTHER_CONTROL]
    found = release.fields(gene="TP53", condition="paclitaxel", with_controls=True)
    assert ids(found) == [DRUGGED, DRUGGED_CONTROL]
    assert found["is_control"].to_list() == [False, True]
    assert ids(release.fields(antibody="NEGATIVE", plate="2", with_controls=True)) == [OTHER_CONTROL]


def test_flags_say_what_is_wrong_with_the_field_and_with_its_channels(release: Release) -> None:
    flags = dict(release.fields(stored_only=False).select("field_id", "flags").iter_rows())
    assert flags[P53] == []
    assert flags[P53_AGAIN] == ["several_z", "empty_green"]
    assert flags[EGFR] == ["empty_red", "saturated_blue"]
    assert flags[UNSTORED] == ["corrupt_jpeg"]


def test_an_image_out_of_focus_among_its_own_condition_is_flagged(tmp_path: Path) -> None:
    rows = {
        condition: [field(f"B2AI_1_{condition}_A{well}_R1_z01", "HPA000001") for well in range(1, 13)]
        for condition in ("untreated", "vorinostat")
    }
    focus = {(row["field_id"], "red"): {"focus": 1.0 + i / 100} for i, row in enumerate(rows["untreated"])}
    focus |= {(row["field_id"], "red"): {"focus": 0.1 + i / 1000} for i, row in enumerate(rows["vorinostat"])}
    blurred = rows["untreated"][3]["field_id"]
    focus[blurred, "red"] = {"focus": 0.1}
    flags = release_of(tmp_path, rows, focus).fields().filter(pl.col("flags").list.len() > 0)
    assert flags.select("field_id", "flags").rows() == [(blurred, ["blurred_red"])]


@pytest.mark.parametrize(
    ("criteria", "text"),
    [
        ({"gene": "TP35"}, r"No antibody is against the gene 'TP35'\. Did you mean TP53\?"),
        ({"gene": "ENSG00000141511"}, r"Did you mean ENSG00000141510"),
        ({"antibody": "HPA000003"}, r"No field shows the antibody 'HPA000003'\. Did you mean HPA00000"),
        ({"plate": "7"}, r"No field is of the plate 'B2AI_7'\. Did you mean B2AI_[12] or B2AI_[12]\?"),
        ({"plate": "1", "well": "h11"}, r"No field of B2AI_1 is of the well 'H11'\. Did you mean H12"),
        ({"gene": "Ω"}, r"None of the 15 known names is like it\.$"),
    ],
)
def test_an_unknown_name_offers_the_nearest_ones(release: Release, criteria: dict[str, Any], text: str) -> None:
    with pytest.raises(SelectionError, match=text):
        release.fields(**criteria)


def test_conditions_that_are_unknown_or_not_published_say_so(release: Release) -> None:
    with pytest.raises(UnknownTreatmentError, match="Did you mean paclitaxel"):
        release.fields(condition="paclitaxol")
    with pytest.raises(NotMaterializedError, match="if_fields of vorinostat"):
        release.fields(condition="VRST")


def test_a_split_asked_of_a_release_without_one_says_so(release: Release) -> None:
    assert release.fields()["split"].null_count() == 6
    with pytest.raises(NotMaterializedError, match="splits"):
        release.fields(split="train")


class WithSplits:
    """A release as it is once its splits are published."""

    def __init__(self, release: Release, sides: Mapping[str, str], *, without: str = "") -> None:
        self.key, self.store, self._release = release.key, release.store, release
        fields = release.table("if_fields").filter(pl.col("condition") != without).collect()
        rows = [
            ("protein", row["condition"], row["field_id"], sides.get(row["field_id"]))
            for row in fields.rows(named=True)
        ]
        self._splits = pl.LazyFrame(rows, schema=["scheme", "condition", "field_id", "split"], orient="row")

    def table(self, name: str) -> pl.LazyFrame:
        return self._splits if name == "splits" else self._release.table(name)


def test_a_split_chooses_and_is_a_column(release: Release) -> None:
    sides = {P53: "train", P53_AGAIN: "train", EGFR: "test", OTHER_CONTROL: "test", PLASTIN: "train"}
    split = WithSplits(release, sides)
    assert dict(select(split, Criteria()).select("field_id", "split").iter_rows())[EGFR] == "test"
    assert ids(select(split, Criteria(), split="train")) == [P53, P53_AGAIN, PLASTIN]
    assert ids(select(split, Criteria(), split="test")) == [EGFR]
    assert ids(select(split, Criteria(), split="validation")) == [], "few proteins leave a side empty"
    assert ids(select(split, Criteria(), split="train", with_controls=True)) == [P53, P53_AGAIN, CONTROL, PLASTIN]
    with pytest.raises(SelectionError, match=r"There is no split 'trian'\. Did you mean train\?"):
        select(split, Criteria(), split="trian")
    with pytest.raises(SelectionError, match=r"Splits have no scheme 'plate'\. Known: protein\."):
        select(split, Criteria(), split="train", scheme="plate")
    assert ids(select(split, Criteria(), split="Train", scheme="PROTEIN", with_controls=True)) == ids(
        select(split, Criteria(), split="train", with_controls=True)
    )


def test_a_scheme_other_than_the_usual_one_is_not_ignored_where_there_are_no_splits(release: Release) -> None:
    with pytest.raises(NotMaterializedError, match="splits"):
        release.fields(scheme="plate-B2AI_1")


def test_splits_that_are_older_than_the_fields_are_refused_and_not_taken_for_no_side(release: Release) -> None:
    split = WithSplits(release, {P53: "train"}, without="paclitaxel")
    assert ids(select(split, Criteria(), split="train", condition="untreated")) == [P53]
    with pytest.raises(
        NotMaterializedError,
        match=r"older than its fields: 1 fields of paclitaxel .* Run `cm4ai materialize --release .* --select splits`",
    ):
        select(split, Criteria(), split="train")
    assert select(split, Criteria())["split"].to_list() == [None, "train", *[None] * 4], "nothing was asked of them"
    with pytest.raises(NotMaterializedError, match="1 fields of paclitaxel"):
        require_sides(split, select(split, Criteria()), "protein")
    require_sides(release, release.fields(), "protein")  # without splits no field has a side


@pytest.mark.parametrize("what", ["gene", "antibody", "plate", "well", "condition"])
def test_an_empty_list_of_names_is_no_way_to_say_all(release: Release, what: str) -> None:
    with pytest.raises(SelectionError, match=rf"{what} is an empty list, which chooses nothing\. Leave it out"):
        release.fields(**{what: []})
    for wrong in (1.5, [1.5]):
        with pytest.raises(SelectionError, match=rf"{what} is 1\.5, which is no name"):
            release.fields(**{what: wrong})


def test_a_plate_may_be_a_number_and_one_split_is_asked_for_at_once(release: Release) -> None:
    assert ids(release.fields(plate=2)) == [PLASTIN]  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="split is 2 names, and only one"):
        select(WithSplits(release, {}), Criteria(), split=["train", "test"])  # type: ignore[arg-type]


def test_without_quality_no_field_is_called_flawless(release: Release, tmp_path: Path) -> None:
    other = release_of(tmp_path, {})
    publish(other.store, "if_fields", [field(P53, "HPA000001", tensor_index=0)], "untreated")
    with pytest.raises(NotMaterializedError, match="if_quality"):
        other.fields()


def test_a_condition_without_quality_is_not_called_flawless_for_that_of_another(tmp_path: Path) -> None:
    release = release_of(tmp_path, {"untreated": [field(P53, "HPA000001")]})
    publish(release.store, "if_fields", [field(DRUGGED, "HPA000001", tensor_index=0)], "paclitaxel")
    error = r"if_quality of paclitaxel of .* is not materialized\. Run `cm4ai .* --condition paclitaxel"
    for condition in ("paclitaxel", ["untreated", "paclitaxel"], None):
        with pytest.raises(NotMaterializedError, match=error):
            release.fields(condition=condition)
    assert ids(release.fields(condition="untreated")) == [P53]


def test_of_a_condition_without_pixels_no_quality_is_expected(tmp_path: Path) -> None:
    release = release_of(tmp_path, {"untreated": [field(P53, "HPA000001")]})
    unstored = field(DRUGGED, "HPA000001", tensor_index=None, defects=["corrupt_jpeg"])
    publish(release.store, "if_fields", [unstored], "paclitaxel")
    found = release.fields(stored_only=False)
    assert dict(found.select("field_id", "flags").iter_rows()) == {P53: [], DRUGGED: ["corrupt_jpeg"]}
    assert ids(release.fields()) == [P53]
