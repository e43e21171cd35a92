from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.images.manifest import Manifest, parse_manifest, read_manifest
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets_tests.images.archives import HEADER, REAL_MANIFEST, CountedBytes, manifest_row, manifest_text, zipped
from cm4ai_assets_tests.shared import PUBLISHED_IMAGES, needs_shared

FIELD = "B2AI_1_Paclitaxel_A1_R1_z01"


def reasons(manifest: Manifest) -> list[tuple[int, str]]:
    return [(problem.line, problem.reason) for problem in manifest.problems]


@pytest.mark.parametrize("encoded", [
    REAL_MANIFEST.encode(),
    REAL_MANIFEST.encode("utf-8-sig"),
    REAL_MANIFEST.replace("\n", "\r\n").encode(),
    REAL_MANIFEST.rstrip("\n").encode(),
])  # fmt: skip
def test_the_published_rows(encoded: bytes) -> None:
    manifest = parse_manifest(encoded)
    assert (manifest.problems, manifest.has_baselink) == ((), True)
    first, second = manifest.rows
    assert (first.line, first.plate, first.well, first.treatment_label) == (2, "B2AI_3", "C2", "Paclitaxel")
    assert (first.antibody_id, first.ensembl, first.uniprot, first.genes, first.chromosomes) == (
        "CAB005042", "ENSG00000132507", "P63241", "EIF5A", "17",
    )  # fmt: skip
    assert first.field is not None
    assert first.field.field_id == "B2AI_3_paclitaxel_C2_R1_z02"
    assert second.genes == "Q14651,PLS3_LCP1_PLS1"
    assert second.field is not None
    assert second.field.field_id == "B2AI_3_paclitaxel_D1_R1_z00"


@needs_shared
def test_the_repeated_link_of_the_consortiums_example_is_told() -> None:
    manifest = parse_manifest((PUBLISHED_IMAGES / "iftool_example.csv").read_bytes())
    assert [row.field.field_id for row in manifest.rows if row.field] == ["B2AI_1_paclitaxel_C1_R1_z01"] * 2
    assert reasons(manifest) == [
        (3, "region is 'R2', Baselink names another"),
        (3, "the same field as line 2, the same antibody"),
    ]


@pytest.mark.parametrize("plate", ["1", "B2AI_1", "1.0", " 1 "])
def test_a_plate_is_known_in_each_of_its_forms(plate: str) -> None:
    manifest = parse_manifest(manifest_text(manifest_row(FIELD, plate=plate)).encode())
    assert manifest.rows[0].plate == "B2AI_1"
    assert manifest.problems == ()


IFTOOL = "Antibody ID,ENSEMBL ID,Treatment,Plate,Well,Region,Slice,Baselink"


@pytest.mark.parametrize(
    ("well", "region", "z"),
    [
        ("A1", "R1", "z01"),
        ("a1", "r1", "1"),
        ("A01", "1.0", "1.0"),
        ("a01", "01", "01"),
        ("A1", "1", "Z1"),
        ("", "", ""),
    ],
)
def test_the_same_value_in_another_spelling_is_no_contradiction(well: str, region: str, z: str) -> None:
    text = f"{IFTOOL}\nHPA000001,,Paclitaxel,1,{well},{region},{z},https://example.org/{FIELD}\n"
    (row,) = parse_manifest(text.encode()).rows
    assert row.conflicts == ()
    assert row.well == ("A1" if well else None)


@pytest.mark.parametrize(
    ("well", "region", "z"),
    [("A2", "", ""), ("A10", "", ""), ("", "R10", ""), ("", "1.5", ""), ("", "", "2.0"), ("", "", "z")],
)
def test_another_value_is_a_contradiction_in_any_spelling(well: str, region: str, z: str) -> None:
    text = f"{IFTOOL}\nHPA000001,,Paclitaxel,1,{well},{region},{z},https://example.org/{FIELD}\n"
    (row,) = parse_manifest(text.encode()).rows
    assert len(row.conflicts) == 1


def test_an_empty_baselink_column_is_one_deviation_not_one_per_row() -> None:
    rows = [manifest_row("x").rsplit(",", 1)[0] + "," for _ in range(3)]
    manifest = parse_manifest(manifest_text(*rows).encode())
    assert (len(manifest.rows), manifest.has_baselink) == (3, False)
    assert reasons(manifest) == [(1, "no Baselink in any row: rows name plate and well, not the field")]


def test_every_bad_line_is_kept_however_many_there_are() -> None:
    manifest = parse_manifest(manifest_text(*["too,short"] * 1500, manifest_row(FIELD)).encode())
    assert len(manifest.problems) == 1500
    assert manifest.rows[0].line == 1502


def test_a_stray_tenth_column_does_no_harm() -> None:
    text = manifest_text(manifest_row(FIELD) + ",").replace(HEADER, HEADER + ",Unnamed: 9")
    assert parse_manifest(text.encode()).problems == ()
    assert parse_manifest(manifest_text(manifest_row(FIELD) + ",,").encode()).problems == ()


@pytest.mark.parametrize(
    ("changed", "conflict"),
    [
        ({"plate": "2"}, "plate is '2', Baselink names another"),
        ({"well": "A2"}, "well is 'A2', Baselink names another"),
        ({"well": "A13"}, "well is 'A13', Baselink names another"),
        ({"treatment": "Vorinostat"}, "treatment is 'Vorinostat', Baselink names another"),
        ({"treatment": "Cisplatin"}, "treatment is 'Cisplatin', Baselink names another"),
    ],
)
def test_a_row_that_contradicts_itself_is_kept_and_told(changed: dict[str, str], conflict: str) -> None:
    manifest = parse_manifest(manifest_text(manifest_row(FIELD, **changed)).encode())
    assert manifest.rows[0].conflicts == (conflict,)
    assert (2, conflict) in reasons(manifest)


def test_spellings_of_one_condition_do_not_conflict() -> None:
    row = manifest_row("B2AI_1_untreated_A1_R1_z01", treatment="control")
    manifest = parse_manifest(manifest_text(row).encode())
    assert manifest.problems == ()
    assert manifest.rows[0].condition == "untreated"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("0,1,A1", "3 cells where the header has 10"),
        (manifest_row(FIELD) + ",one more", "11 cells where the header has 10"),
        (",,,,,,,,,", "all cells are empty"),
        (manifest_row(FIELD).replace("EIF5A", '"EIF5A'), "unexpected end of data"),
        (manifest_row(FIELD).replace("EIF5A", '"EIF"5A'), "',' expected after '\"'"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_and_costs_no_other(row: str, reason: str) -> None:
    manifest = parse_manifest(manifest_text(manifest_row(FIELD), row, "", manifest_row(FIELD[:-1] + "2")).encode())
    assert [each.line for each in manifest.rows] == [2, 5]
    assert reasons(manifest) == [(3, reason)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            manifest_row("nothing"),
            "Baselink 'https://example.org/B2AI/HPA000001/nothing' does not end in the name of a field",
        ),
        (manifest_row(FIELD, antibody=""), "antibody_id cannot be read"),
        (manifest_row(FIELD, well=""), "well cannot be read"),
        (manifest_row(FIELD, plate="nan"), "plate cannot be read"),
    ],
)
def test_a_row_that_lacks_something_is_kept_and_told(row: str, reason: str) -> None:
    manifest = parse_manifest(manifest_text(row).encode())
    assert len(manifest.rows) == 1
    assert reasons(manifest) == [(2, reason)]


def test_two_rows_about_one_field_are_told() -> None:
    rows = [manifest_row(FIELD), manifest_row(FIELD), manifest_row(FIELD, antibody="HPA000002")]
    assert reasons(parse_manifest(manifest_text(*rows).encode())) == [
        (3, "the same field as line 2, the same antibody"),
        (4, "the same field as line 2, another antibody"),
    ]


def test_a_copy_without_baselink_tells_wells_only() -> None:
    text = "\n".join(line.rsplit(",", 1)[0] for line in REAL_MANIFEST.splitlines())
    manifest = parse_manifest(text.encode())
    assert not manifest.has_baselink
    assert [(row.plate_well, row.field, row.condition) for row in manifest.rows] == [
        ("B2AI_3_C2", None, "paclitaxel"), ("B2AI_3_D1", None, "paclitaxel"),
    ]  # fmt: skip
    assert reasons(manifest) == [(1, "no Baselink column: rows name plate and well, not the field")]


def test_latin_1_is_read_and_told() -> None:
    manifest = parse_manifest(manifest_text(manifest_row(FIELD, antibody="Kärnan")).encode("latin-1"))
    assert manifest.rows[0].antibody_id == "Kärnan"
    assert "not UTF-8" in manifest.problems[0].reason


@pytest.mark.parametrize("data", [b"", b"\n", b"Plate,Well\n1,A1\n", b'"', b"\xff\xfe\x00", b"{}"])
def test_another_file_has_no_rows_and_says_why(data: bytes) -> None:
    manifest = parse_manifest(data)
    assert manifest.rows == ()
    assert "header" in manifest.problems[-1].reason


@given(st.binary(max_size=400))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    parse_manifest(data)
    parse_manifest(HEADER.encode() + b"\n" + data)


@given(st.lists(st.text(max_size=12), min_size=10, max_size=10))
def test_every_line_is_a_row_or_a_problem(cells: list[str]) -> None:
    line = ",".join(cells).replace("\n", " ").replace("\r", " ")
    manifest = parse_manifest(manifest_text(line).encode("utf-8", "surrogatepass"))
    assert len(manifest.rows) + len([each for each in manifest.problems if each.line >= 2]) >= bool(line.strip())


def test_a_large_manifest_is_read_in_no_time() -> None:
    rows = [manifest_row(f"B2AI_1_Paclitaxel_A1_R{n}_z01") for n in range(4500)]
    random.Random(1).shuffle(rows)
    manifest = parse_manifest(manifest_text(*rows).encode())
    assert (len(manifest.rows), manifest.problems) == (4500, ())


def test_the_manifest_of_an_archive() -> None:
    data = zipped({"paclitaxel/manifest.csv": REAL_MANIFEST.encode()})
    assert len(read_manifest(CountedBytes(data), read_directory(CountedBytes(data))).rows) == 2


def test_an_archive_without_a_readable_manifest_has_no_rows_and_says_why() -> None:
    absent = CountedBytes(zipped({"paclitaxel/red/x.jpg": b""}))
    assert reasons(read_manifest(absent, read_directory(absent))) == [(0, "the ZIP has no manifest.csv")]
    damaged = CountedBytes(
        zipped({"manifest.csv": REAL_MANIFEST.encode()}).replace(b"manifest.csv", b"manifest.cst", 1)
    )
    ((line, reason),) = reasons(read_manifest(damaged, read_directory(damaged)))
    assert (line, reason) == (0, "manifest.csv cannot be read: has another name in its local header")
