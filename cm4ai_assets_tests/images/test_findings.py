from __future__ import annotations

import random

import polars as pl
import pytest

from cm4ai_assets import tables
from cm4ai_assets.findings import Finding
from cm4ai_assets.images import findings
from cm4ai_assets.images.antibodies import antibody_rows
from cm4ai_assets.images.fields import assemble
from cm4ai_assets.images.findings import ARCHIVE_CHECKS, TABLE_CHECKS, PublishedZip
from cm4ai_assets.images.listing import list_images
from cm4ai_assets.images.manifest import parse_manifest
from cm4ai_assets.storage.tensors import Failure
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets.tables.images import IF_ANTIBODIES
from cm4ai_assets_tests.images.archives import CountedBytes, field_members, manifest_row, manifest_text, zipped

RELEASE, CONDITION = "2025-06-v2.1", "paclitaxel"
FIELD = "B2AI_1_Paclitaxel_A1_R1_z01"
OTHER = "B2AI_1_Paclitaxel_A1_R2_z01"


def frames(
    members: dict[str, bytes], text: str, failures: dict[str, list[Failure]] | None = None
) -> dict[str, pl.DataFrame]:
    images = list_images(CountedBytes(zipped(members)), release=RELEASE, condition=CONDITION)
    manifest = parse_manifest(text.encode())
    antibodies = IF_ANTIBODIES.from_rows(antibody_rows(manifest), release=RELEASE, condition=CONDITION)
    fields = assemble(images, antibodies, manifest, release=RELEASE, condition=CONDITION, failures=failures or {})
    return {"if_images": images, "if_antibodies": antibodies, "if_fields": fields}


def failed(found: dict[str, pl.DataFrame]) -> dict[str, Finding]:
    told = [check.function(found[check.table]) for check in TABLE_CHECKS if check.table in found]
    return {finding.check: finding for finding in told if not finding.passed}


def quality(*rows: tuple[str, str, float | None], **changed: object) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "field_id": field_id, "channel": channel, "focus": focus, "is_empty": False, "is_saturated": False,
                "saturated_fraction": 0.0, "foreground_fraction": 0.3,
            } | changed
            for field_id, channel, focus in rows
        ],
        schema_overrides={"focus": pl.Float32},
    )  # fmt: skip


def test_every_check_has_one_name_a_table_and_a_description() -> None:
    checks = [*TABLE_CHECKS, *ARCHIVE_CHECKS]
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert tables.table(check.table)
        assert check.description.count(".") >= 2
        assert "\n" not in check.description


def test_sound_tables_pass_every_check_and_empty_ones_too() -> None:
    sound = frames(
        field_members(FIELD) | field_members(OTHER), manifest_text(manifest_row(FIELD), manifest_row(OTHER))
    ) | {"if_quality": quality((FIELD, "red", 0.5), (FIELD, "blue", None))}
    assert failed(sound) == {}
    assert failed({name: frame.clear() for name, frame in sound.items()}) == {}
    assert {check.function(sound[check.table]).check for check in TABLE_CHECKS} == {
        check.name for check in TABLE_CHECKS
    }


def test_defects_of_files_are_found() -> None:
    members = field_members(FIELD) | {
        "paclitaxel/red/odd.jpg": b"x",
        "paclitaxel/red/B2AI_1_Cisplatin_A1_R1_z01_red.jpg": b"x",
        "paclitaxel/red/B2AI_1_untreated_A1_R1_z01_red.jpg": b"x",
        f"paclitaxel/{FIELD}_red.jpg": b"x",
        f"paclitaxel/red/{OTHER}_blue.jpg": b"x",
    }
    found = failed(frames(members, manifest_text(manifest_row(FIELD), manifest_row(OTHER))))
    assert found["images_named"].counts == {"name_unparsed": 1, "unknown_treatment": 1}
    assert found["images_of_this_condition"].counts == {"other_condition": 1}
    assert found["members_unique"].counts == {"duplicate_channel": 2}
    assert found["images_plausible"].rows["member"].to_list() == [f"paclitaxel/red/{OTHER}_blue.jpg"]
    assert found["fields_complete"].counts == {"missing_channel": 1, "duplicate_channel": 1, "folder_mismatch": 1}
    assert found["fields_complete"].summary == (
        "2 of 2 rows: missing_channel 1, duplicate_channel 1, folder_mismatch 1."
    )
    assert set(found) == {
        "images_named", "images_of_this_condition", "members_unique", "images_plausible", "fields_complete",
    }  # fmt: skip


def test_defects_of_the_manifest_are_found() -> None:
    text = manifest_text(
        manifest_row(FIELD, antibody="HPA1"),
        manifest_row("B2AI_1_Paclitaxel_A1_R3_z01"),
        manifest_row("B2AI_1_Paclitaxel_A1_R3_z02"),
    )
    found = failed(frames(field_members(FIELD) | field_members(OTHER), text))
    assert found["manifest_agrees"].counts == {"no_images": 2, "not_in_manifest": 1}
    assert found["antibodies_known"].rows["field_id"].to_list() == [OTHER.replace("Pac", "pac")]
    assert found["antibody_per_well"].rows["antibodies"].to_list() == [["HPA000001", "HPA1"]]
    assert found["antibodies_formed"].counts == {"bad_antibody_id": 1}
    assert set(found) == {"manifest_agrees", "antibodies_known", "antibody_per_well", "antibodies_formed"}


def test_planes_and_undecodable_fields_are_found() -> None:
    second = FIELD.replace("z01", "z02")
    failures = {FIELD.replace("Pac", "pac"): [Failure("corrupt_jpeg", "a.jpg", "cut")]}
    text = manifest_text(manifest_row(FIELD), manifest_row(second))
    found = failed(frames(field_members(FIELD) | field_members(second), text, failures))
    assert found["one_z_per_region"].counts == {"several_z": 2}
    assert found["decodable"].rows["defect_members"].to_list() == [["a.jpg"]]
    assert set(found) == {"one_z_per_region", "decodable"}


def test_unpaired_targets_are_told_and_do_not_fail() -> None:
    row = manifest_row(FIELD).replace("ENSG00000132507", "ENSG00000132507;ENSG00000132508")
    found = frames(field_members(FIELD), manifest_text(row))
    finding = findings.targets_paired(found["if_antibodies"])
    assert (finding.passed, finding.counts) == (True, {"unpaired_antibodies": 1})
    assert finding.rows["ensembl_gene_id"].to_list() == [["ENSG00000132507", "ENSG00000132508"]]


def test_no_limit_of_what_is_shown_decides_what_is_found() -> None:
    members = {f"paclitaxel/red/{n}.jpg": b"" for n in range(1200)}
    found = frames(members, "\n".join([manifest_text(manifest_row(FIELD)), *["1,2"] * 1200]))
    finding = findings.images_named(found["if_images"])
    assert (finding.rows.height, finding.counts) == (1200, {"name_unparsed": 1200})
    assert found["if_images"].filter(pl.col("defects").list.len() > 0).height == 1200


def test_contents_that_are_swapped_are_found() -> None:
    failures = {FIELD.replace("Pac", "pac"): [Failure("other_colour", "red.jpg", "painted in blue, named red")]}
    found = failed(frames(field_members(FIELD), manifest_text(manifest_row(FIELD)), failures))
    assert found["painted_as_named"].counts == {"other_colour": 1}
    assert found["painted_as_named"].rows["defect_members"].to_list() == [["red.jpg"]]
    assert set(found) == {"painted_as_named"}


def test_images_of_a_form_that_is_not_decoded_are_found() -> None:
    failures = {FIELD.replace("Pac", "pac"): [Failure("unsupported_jpeg", "red.jpg", "sampling 4x2")]}
    found = failed(frames(field_members(FIELD), manifest_text(manifest_row(FIELD)), failures))
    assert found["decodable"].counts == {"unsupported_jpeg": 1}


def test_saturated_and_empty_images_are_found() -> None:
    saturated = quality((FIELD, "red", 0.5), is_saturated=True, saturated_fraction=0.02)
    assert failed({"if_quality": saturated})["not_saturated"].counts == {"red": 1}
    empty = quality((FIELD, "green", 0.5), (FIELD, "blue", 0.5), is_empty=True)
    assert failed({"if_quality": empty})["not_empty"].counts == {"blue": 1}


@pytest.mark.parametrize("channel", ["red", "blue"])
def test_a_blurred_image_stands_out(channel: str) -> None:
    rng = random.Random(1)
    sharp = [(f"f{n}", each, rng.lognormvariate(-2, 0.2)) for n in range(50) for each in ("red", "blue")]
    finding = findings.in_focus(quality(*sharp, ("blurred", channel, 0.02), ("blurred", "green", 0.0001)))
    assert not finding.passed
    assert finding.rows["field_id"].to_list() == ["blurred"]
    assert finding.counts == {channel: 1}


def test_what_is_no_blur_is_not_called_blurred() -> None:
    alike = [(f"f{n}", "red", 0.5 + n / 1e4) for n in range(50)]
    assert findings.in_focus(quality(*alike, ("a little softer", "red", 0.4))).passed
    # Half of the median and less, in a channel whose focus varies that much by itself.
    wide = [(f"f{n}", "red", 0.05 * 1.1**n) for n in range(50)]
    assert findings.in_focus(quality(*wide)).passed
    few = [(f"f{n}", "red", 0.5) for n in range(6)]
    assert findings.in_focus(quality(*few, ("one of seven", "red", 0.01))).passed
    empty = quality(("empty", "red", 0.001), is_empty=True)
    assert findings.in_focus(pl.concat([quality(*alike, ("flat", "red", None)), empty])).passed


def test_the_archive_itself_is_checked() -> None:
    def checked(members: dict[str, bytes]) -> dict[str, Finding]:
        source = CountedBytes(zipped(members))
        archive = PublishedZip(source, read_directory(source), CONDITION, None)
        return {check.name: check.function(archive) for check in ARCHIVE_CHECKS}

    crate = b'{"@graph": [{"@id": "ark:59853/%s_red"}]}' % FIELD.encode()
    text = manifest_text(manifest_row(FIELD)).encode()
    sound = {"manifest.csv": text, "ro-crate-metadata.json": crate} | field_members(FIELD, channels=["red"])
    assert all(finding.passed and finding.check == name for name, finding in checked(sound).items())
    others = "\n".join([
        manifest_row("B2AI_1_Vorinostat_A1_R1_z01", treatment="Vorinostat"),
        manifest_row("B2AI_1_Cisplatin_A1_R1_z01", treatment="Cisplatin"),
        "1,2,3",
    ])  # fmt: skip
    odd = checked({"manifest.csv": text + others.encode(), "x.exe": b""} | field_members(FIELD))
    assert {name: (finding.passed, finding.rows.height) for name, finding in odd.items()} == {
        "crate_claims": (False, 1), "members_expected": (False, 1), "manifest_readable": (False, 2),
        "manifest_of_this_condition": (False, 2),
    }  # fmt: skip
    assert odd["manifest_readable"].rows["line"].to_list() == [4, 5]
    assert odd["manifest_of_this_condition"].rows.select("line", "treatment").rows() == [
        (3, "Vorinostat"), (4, "Cisplatin"),
    ]  # fmt: skip
