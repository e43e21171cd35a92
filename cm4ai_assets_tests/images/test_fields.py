from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.images.antibodies import antibody_rows
from cm4ai_assets.images.fields import FieldPlan, assemble, eligible_fields
from cm4ai_assets.images.listing import list_images
from cm4ai_assets.images.manifest import parse_manifest
from cm4ai_assets.storage.tensors import Failure
from cm4ai_assets.tables.images import CHANNELS, IF_ANTIBODIES, IF_FIELDS
from cm4ai_assets_tests.images.archives import CountedBytes, field_members, manifest_row, manifest_text, zipped

RELEASE, CONDITION = "2025-06-v2.1", "paclitaxel"


def images_of(members: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> pl.DataFrame:
    return list_images(CountedBytes(zipped(members)), release=RELEASE, condition=CONDITION)


def assembled(
    images: pl.DataFrame, manifest_text: str, failures: Mapping[str, Sequence[Failure]] | None = None
) -> pl.DataFrame:
    manifest = parse_manifest(manifest_text.encode())
    antibodies = IF_ANTIBODIES.from_rows(antibody_rows(manifest), release=RELEASE, condition=CONDITION)
    frame = assemble(images, antibodies, manifest, release=RELEASE, condition=CONDITION, failures=failures or {})
    return IF_FIELDS.validated(frame)


def name(region: int, *, well: str = "A1", z: int = 1) -> str:
    return f"B2AI_1_Paclitaxel_{well}_R{region}_z{z:02d}"


def field_id(region: int, *, well: str = "A1", z: int = 1) -> str:
    return name(region, well=well, z=z).replace("Paclitaxel", "paclitaxel")


def only(frame: pl.DataFrame, identifier: str) -> dict[str, Any]:
    (row,) = frame.filter(pl.col("field_id") == identifier).to_dicts()
    return row


def test_a_whole_field_has_everything() -> None:
    row = only(assembled(images_of(field_members(name(1))), manifest_text(manifest_row(name(1)))), field_id(1))
    assert row == {
        "release": RELEASE, "condition": CONDITION, "field_id": field_id(1), "tensor_index": 0, "plate": "B2AI_1",
        "well": "A1", "well_row": "A", "well_column": 1, "region": 1, "z": 1, "antibody_id": "HPA000001",
        "is_control": False, "ensembl_gene_ids": ["ENSG00000132507"], "gene_symbols": ["EIF5A"],
        "uniprot_ids": ["P63241"], "channels": list(CHANNELS), "is_complete": True, "in_manifest": True,
        "manifest_row": 2, "defects": [], "defect_members": [],
    }  # fmt: skip


def test_members_are_planned_in_channel_order_whatever_theirs_is() -> None:
    members = {"paclitaxel/manifest.csv": b""} | field_members(name(1), channels=["yellow", "blue", "green", "red"])
    assert eligible_fields(images_of(members)) == [FieldPlan(field_id(1), (4, 3, 2, 1))]


def test_fields_are_in_canonical_order() -> None:
    names = [name(2, well="B1"), name(11), name(2), name(1, well="A10"), name(1, well="A2"), name(2, z=0)]
    members = {key: value for each in names for key, value in field_members(each).items()}
    expected = [field_id(2, z=0), field_id(2), field_id(11), field_id(1, well="A2"), field_id(1, well="A10"),
                field_id(2, well="B1")]  # fmt: skip
    images = images_of(members)
    assert [plan.field_id for plan in eligible_fields(images)] == expected
    frame = assembled(images, "")
    assert frame["field_id"].to_list() == expected
    assert frame["tensor_index"].to_list() == list(range(6))


def test_a_missing_channel_keeps_a_field_out_and_no_other() -> None:
    images = images_of(field_members(name(1), channels=["red", "blue"]) | field_members(name(2)))
    assert [plan.field_id for plan in eligible_fields(images)] == [field_id(2)]
    frame = assembled(images, manifest_text(manifest_row(name(1)), manifest_row(name(2))))
    row = only(frame, field_id(1))
    assert (row["channels"], row["is_complete"], row["defects"]) == (["red", "blue"], False, ["missing_channel"])
    assert frame["tensor_index"].to_list() == [None, 0]


def test_two_files_for_one_channel_keep_a_field_out() -> None:
    extra = f"paclitaxel/again/{name(1)}_red.jpg"
    row = only(assembled(images_of(field_members(name(1)) | {extra: b"x"}), ""), field_id(1))
    assert (row["tensor_index"], row["is_complete"], row["channels"]) == (None, False, list(CHANNELS))
    assert row["defects"] == ["duplicate_channel", "not_in_manifest"]
    assert row["defect_members"] == [f"paclitaxel/red/{name(1)}_red.jpg", extra]


def test_a_file_level_defect_keeps_a_field_out() -> None:
    swapped = field_members(name(1), channels=["red", "green", "blue"]) | {f"paclitaxel/red/{name(1)}_yellow.jpg": b"x"}
    empty = field_members(name(2)) | {f"paclitaxel/blue/{name(2)}_blue.jpg": b""}
    images = images_of(swapped | empty)
    assert eligible_fields(images) == []
    frame = assembled(images, manifest_text(manifest_row(name(1)), manifest_row(name(2))))
    assert frame["defects"].to_list() == [["folder_mismatch"], ["suspicious_size"]]
    assert frame["is_complete"].to_list() == [True, True]


def test_an_image_of_another_condition_belongs_to_no_field() -> None:
    """As in the published paclitaxel archive: four untreated images, whole but in the wrong ZIP."""
    stray = field_members("B2AI_1_untreated_A1_R3_z01")
    images = images_of(field_members(name(1)) | stray)
    assert images.height == 8
    assert [plan.field_id for plan in eligible_fields(images)] == [field_id(1)]
    assert assembled(images, "")["field_id"].to_list() == [field_id(1)]


def test_manifest_and_images_are_held_against_each_other_both_ways() -> None:
    frame = assembled(images_of(field_members(name(1))), manifest_text(manifest_row(name(2))))
    imaged, listed = only(frame, field_id(1)), only(frame, field_id(2))
    assert (imaged["defects"], imaged["antibody_id"], imaged["is_control"]) == (["not_in_manifest"], None, None)
    assert (imaged["tensor_index"], imaged["in_manifest"]) == (0, False)
    assert (listed["defects"], listed["antibody_id"], listed["manifest_row"]) == (["no_images"], "HPA000001", 2)
    assert (listed["tensor_index"], listed["channels"], listed["is_complete"]) == (None, [], False)


@pytest.mark.parametrize(
    ("rows", "defects"),
    [
        ([manifest_row(name(1), well="B7")], ["manifest_conflict"]),
        ([manifest_row(name(1)), manifest_row(name(1), antibody="HPA000002")], ["manifest_conflict"]),
        ([manifest_row(name(1)), manifest_row(name(1))], []),
        ([manifest_row(name(1), antibody="")], ["antibody_unknown"]),
        ([manifest_row("no field")], ["not_in_manifest"]),
    ],
)
def test_what_the_manifest_does_not_tell_clearly_is_left_null(rows: list[str], defects: list[str]) -> None:
    row = only(assembled(images_of(field_members(name(1))), manifest_text(*rows)), field_id(1))
    assert row["defects"] == defects
    assert (row["antibody_id"] is None) == bool(defects)
    assert row["tensor_index"] == 0


def test_a_manifest_without_baselink_tells_antibodies_by_well() -> None:
    rows = [
        manifest_row("x"),
        manifest_row("x"),
        manifest_row("x", well="A2"),
        manifest_row("x", well="A2", antibody="B"),
    ]
    text = "\n".join(line.rsplit(",", 1)[0] for line in manifest_text(*rows).splitlines())
    names = [name(1), name(2), name(1, well="A2"), name(1, well="A3")]
    images = images_of({key: value for each in names for key, value in field_members(each).items()})
    frame = assembled(images, text)
    assert frame["antibody_id"].to_list() == ["HPA000001", "HPA000001", None, None]
    assert frame["defects"].to_list() == [[], [], ["manifest_conflict"], ["not_in_manifest"]]
    assert frame["in_manifest"].to_list() == [True, True, True, False]
    assert frame["manifest_row"].to_list() == [None] * 4


def test_a_manifest_with_an_empty_baselink_column_is_read_as_one_without() -> None:
    rows = [manifest_row("x", well=well).rsplit(",", 1)[0] + "," for well in ("a1", "A01")]
    frame = assembled(images_of(field_members(name(1)) | field_members(name(1, well="A3"))), manifest_text(*rows))
    assert frame["antibody_id"].to_list() == ["HPA000001", None]
    assert frame["defects"].to_list() == [[], ["not_in_manifest"]]


def test_a_row_with_an_empty_baselink_beside_linked_ones_still_names_its_wells_antibody() -> None:
    unlinked = manifest_row("x", antibody="HPA000002", well="A2").rsplit(",", 1)[0] + ","
    names = [name(1), name(1, well="A2"), name(2)]
    images = images_of({key: value for each in names for key, value in field_members(each).items()})
    frame = assembled(images, manifest_text(manifest_row(name(1)), unlinked))
    found = dict(frame.select("field_id", "antibody_id").iter_rows())
    assert found == {field_id(1): "HPA000001", field_id(2): None, field_id(1, well="A2"): "HPA000002"}
    assert only(frame, field_id(1, well="A2"))["manifest_row"] is None


def test_rows_of_another_condition_give_no_field_its_antibody() -> None:
    rows = [
        manifest_row("B2AI_1_Vorinostat_A1_R1_z01", treatment="Vorinostat"),
        manifest_row("x", well="A2", treatment="Vorinostat").rsplit(",", 1)[0] + ",",
    ]
    images = images_of(field_members(name(1)) | field_members(name(1, well="A2")))
    assert assembled(images, manifest_text(*rows))["defects"].to_list() == [["not_in_manifest"]] * 2


def test_a_region_in_two_planes_is_flagged_and_kept() -> None:
    images = images_of(field_members(name(1, z=0)) | field_members(name(1, z=1)) | field_members(name(2)))
    rows = [manifest_row(each) for each in (name(1, z=0), name(1, z=1), name(2))]
    frame = assembled(images, manifest_text(*rows))
    assert frame["defects"].to_list() == [["several_z"], ["several_z"], []]
    assert frame["tensor_index"].to_list() == [0, 1, 2]


def test_a_control_has_no_genes() -> None:
    text = manifest_text(f"0,1,A1,Paclitaxel,NEGATIVE,,,,,https://example.org/{name(1)}")
    row = only(assembled(images_of(field_members(name(1))), text), field_id(1))
    assert (row["antibody_id"], row["is_control"], row["ensembl_gene_ids"]) == ("NEGATIVE", True, [])


def test_fields_whose_pixels_failed_leave_no_gap_in_the_tensor() -> None:
    images = images_of({key: value for n in (1, 2, 3) for key, value in field_members(name(n)).items()})
    member = f"paclitaxel/red/{name(2)}_red.jpg"
    failures = {field_id(2): [Failure("corrupt_jpeg", member, "cut"), Failure("not_rgb", member, "grey")]}
    frame = assembled(images, manifest_text(*(manifest_row(name(n)) for n in (1, 2, 3))), failures)
    assert frame["tensor_index"].to_list() == [0, None, 1]
    row = only(frame, field_id(2))
    assert (row["defects"], row["defect_members"], row["is_complete"]) == (["corrupt_jpeg", "not_rgb"], [member], True)


def test_no_images_and_no_manifest_give_an_empty_table() -> None:
    assert assembled(images_of({}), "").is_empty()


def test_a_published_archive_is_assembled_in_a_second() -> None:
    names = [f"B2AI_{p}_Paclitaxel_{row}{c}_R{r}_z01"
             for p in range(1, 6) for row in "ABCDEFGH" for c in range(1, 13) for r in range(1, 10)]  # fmt: skip
    images = images_of({key: b"x" for each in names for key in field_members(each)})
    text = manifest_text(*(manifest_row(each, plate=each[5], well=each.split("_")[3]) for each in names))
    began = time.perf_counter()
    frame = assembled(images, text)
    assert time.perf_counter() - began < 5  # well under a second on a quiet machine
    assert frame["tensor_index"].to_list() == list(range(len(names)))
    assert frame["defects"].explode().drop_nulls().is_empty()
