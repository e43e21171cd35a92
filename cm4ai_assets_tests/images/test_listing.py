from __future__ import annotations

import csv
import gzip
import time
import zipfile

import polars as pl
import pytest

from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.images.fields import eligible_fields
from cm4ai_assets.images.listing import CRATE, MANIFEST, list_images, metadata_member, unexpected_members
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets.tables.images import IF_IMAGES
from cm4ai_assets_tests.images.archives import CHANNELS, CountedBytes, field_members, zipped
from cm4ai_assets_tests.shared import PUBLISHED_IMAGES, needs_shared

FIELD = "B2AI_1_Paclitaxel_A1_R1_z01"


def listed(data: bytes, condition: str = "paclitaxel") -> pl.DataFrame:
    frame = list_images(CountedBytes(data), release="2025-06-v2.1", condition=condition)
    return IF_IMAGES.validated(frame)


def defects(frame: pl.DataFrame) -> dict[str, list[str]]:
    return {row["member"]: row["defects"] for row in frame.iter_rows(named=True) if row["defects"]}


@needs_shared
def test_the_published_paclitaxel_archive_in_names() -> None:
    """Every published name, and the four stray images the archive is known to hold (data reference, section 1.8)."""
    with gzip.open(PUBLISHED_IMAGES / "inventory_paclitaxel.tsv.gz", "rt") as inventory:
        names = [f"paclitaxel/{row['crate_path']}" for row in csv.DictReader(inventory, delimiter="\t")]
    stray = list(field_members("B2AI_3_untreated_C2_R3_z01"))
    source = CountedBytes(zipped(dict.fromkeys(names + stray, b"x"), method=zipfile.ZIP_STORED))
    began = time.process_time()
    frame = list_images(source, release="2025-06-v2.1", condition="paclitaxel")
    plans = eligible_fields(frame)
    assert time.process_time() - began < 10  # 0.6 s on two quiet cores
    assert source.reads == 2
    assert IF_IMAGES.violations(frame) == []
    assert (frame.height, len(plans)) == (17_688, 4_421)
    assert defects(frame) == {key: ["other_condition"] for key in stray}
    assert (plans[0].field_id, plans[-1].field_id) == ("B2AI_1_paclitaxel_A1_R2_z01", "B2AI_5_paclitaxel_H12_R13_z01")


def test_a_row_tells_what_the_directory_and_the_name_tell() -> None:
    data = zipped(field_members(FIELD, channels=["green"]))
    (row,) = listed(data).to_dicts()
    member = read_directory(CountedBytes(data)).members[0]
    assert row == {
        "release": "2025-06-v2.1", "condition": "paclitaxel", "member_index": 0,
        "member": f"paclitaxel/green/{FIELD}_green.jpg", "kind": "channel", "field_id": "B2AI_1_paclitaxel_A1_R1_z01",
        "channel": "green", "plate": "B2AI_1", "treatment_label": "Paclitaxel", "image_condition": "paclitaxel",
        "well": "A1", "region": 1, "z": 1, "compressed_size": member.compressed_size, "size": member.size,
        "compressed_ratio": member.compressed_size / member.size, "crc32": member.crc32, "header_offset": 0,
        "defects": [],
    }  # fmt: skip


def test_each_defect_of_a_file_is_flagged() -> None:
    members = [
        *field_members(FIELD).items(),
        *field_members("B2AI_1_untreated_A1_R1_z01", channels=["red"]).items(),
        *field_members("B2AI_1_Cisplatin_A1_R1_z01", channels=["red"]).items(),
        ("paclitaxel/red/picture one.jpg", b"x"),
        ("paclitaxel/red/notes.txt", b"x"),
        ("paclitaxel/blue/B2AI_1_Paclitaxel_A2_R1_z01_red.jpg", b"x"),
        ("paclitaxel/again/B2AI_1_Paclitaxel_A3_R1_z01_red.jpg", b"x"),
        ("paclitaxel/red/B2AI_1_Paclitaxel_A3_R1_z01_red.jpg", b"x"),
        ("paclitaxel/red/B2AI_1_Paclitaxel_A4_R1_z01_red.jpg", b""),
        ("paclitaxel/red/B2AI_1_Paclitaxel_A5_R1_z01_red.jpg", bytes(range(256)) * 70_000),
    ]
    assert defects(listed(zipped(members, method=zipfile.ZIP_STORED))) == {
        "paclitaxel/red/B2AI_1_untreated_A1_R1_z01_red.jpg": ["other_condition"],
        "paclitaxel/red/B2AI_1_Cisplatin_A1_R1_z01_red.jpg": ["unknown_treatment"],
        "paclitaxel/red/picture one.jpg": ["name_unparsed"],
        "paclitaxel/red/notes.txt": ["name_unparsed"],
        "paclitaxel/blue/B2AI_1_Paclitaxel_A2_R1_z01_red.jpg": ["folder_mismatch"],
        "paclitaxel/again/B2AI_1_Paclitaxel_A3_R1_z01_red.jpg": ["duplicate_channel"],
        "paclitaxel/red/B2AI_1_Paclitaxel_A3_R1_z01_red.jpg": ["duplicate_channel"],
        "paclitaxel/red/B2AI_1_Paclitaxel_A4_R1_z01_red.jpg": ["suspicious_size"],
        "paclitaxel/red/B2AI_1_Paclitaxel_A5_R1_z01_red.jpg": ["suspicious_size"],
    }


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ("paclitaxel/red", []),
        ("paclitaxel/Red", []),
        ("paclitaxel/red/plate 1", []),
        ("red", []),
        ("paclitaxel/scans", []),
        ("paclitaxel/BLUE", ["folder_mismatch"]),
        ("paclitaxel/Blue/plate 1", ["folder_mismatch"]),
        ("blue/paclitaxel/red", ["folder_mismatch"]),
        ("paclitaxel/red/green", ["folder_mismatch"]),
    ],
)
def test_a_folder_names_its_channel_in_any_case_and_at_any_depth(folders: str, expected: list[str]) -> None:
    frame = listed(zipped({f"{folders}/{FIELD}_red.jpg": b"x"}))
    assert frame["defects"].to_list() == [expected]


def test_a_member_name_that_occurs_twice_is_flagged_both_times() -> None:
    name = f"paclitaxel/red/{FIELD}_red.jpg"
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([*field_members(FIELD).items(), (name, b"another")])
    frame = listed(data).filter(pl.col("member") == name)
    assert frame["defects"].to_list() == [["duplicate_member", "duplicate_channel"]] * 2
    assert eligible_fields(listed(data)) == []


def test_composites_are_listed_and_contest_nothing() -> None:
    overlays = {f"paclitaxel/rgb/{FIELD}_{name}.jpg": b"x" for name in ("blue_red_green", "green_yellow")}
    frame = listed(zipped(field_members(FIELD) | overlays))
    composites = frame.filter(pl.col("kind") == "composite")
    assert composites["member"].to_list() == list(overlays)
    assert composites["channel"].to_list() == [None, None]
    assert composites["field_id"].unique().to_list() == ["B2AI_1_paclitaxel_A1_R1_z01"]
    assert defects(frame) == {}
    assert len(eligible_fields(frame)) == 1


def test_what_is_neither_image_nor_metadata_is_told() -> None:
    members = field_members(FIELD) | {
        "paclitaxel/": b"",
        f"paclitaxel/{MANIFEST}": b"",
        f"paclitaxel/{CRATE}": b"",
        "paclitaxel/README.md": b"",
        f"paclitaxel/old/{MANIFEST}": b"",
        "__MACOSX/paclitaxel/red/._B2AI_1_Paclitaxel_A1_R1_z01_red.jpg": b"",
        "paclitaxel/red/.DS_Store": b"",
    }
    directory = read_directory(CountedBytes(zipped(members)))
    assert {each.member.name: each.reason for each in unexpected_members(directory)} == {
        "paclitaxel/README.md": "neither an image nor known metadata",
        f"paclitaxel/old/{MANIFEST}": f"another {MANIFEST}",
        "__MACOSX/paclitaxel/red/._B2AI_1_Paclitaxel_A1_R1_z01_red.jpg": "left by an operating system",
        "paclitaxel/red/.DS_Store": "left by an operating system",
    }
    assert listed(zipped(members)).height == len(CHANNELS)


def test_the_uppermost_manifest_is_the_archives_own() -> None:
    names = [f"paclitaxel/{MANIFEST}", MANIFEST, f"a/b/{MANIFEST}"]
    directory = read_directory(CountedBytes(zipped(dict.fromkeys(names, b""))))
    found = metadata_member(directory, MANIFEST)
    assert found is not None
    assert found.name == MANIFEST
    assert metadata_member(directory, CRATE) is None
    assert [each.member.name for each in unexpected_members(directory)] == [names[0], names[2]]


def test_an_archive_without_images_gives_an_empty_table() -> None:
    assert listed(zipped({})).is_empty()
    assert eligible_fields(listed(zipped({}))) == []


def test_an_unsafe_archive_is_not_listed() -> None:
    with pytest.raises(ArchiveDamagedError, match=r"leaves its folder"):
        listed(zipped({"../x.jpg": b""}))
