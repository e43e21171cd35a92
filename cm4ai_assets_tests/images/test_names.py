from __future__ import annotations

import csv
import gzip
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.images.names import parse_field_id, parse_field_name, parse_image_name
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.shared import PUBLISHED_IMAGES, needs_shared


@needs_shared
@pytest.mark.parametrize(
    ("condition", "files", "fields", "per_plate"),
    [
        ("untreated", 15_904, 3_976, [2676, 4248, 2624, 2960, 3396]),
        ("paclitaxel", 17_684, 4_421, [2444, 4200, 3672, 3564, 3804]),
        ("vorinostat", 17_848, 4_462, [2668, 3492, 3920, 3900, 3868]),
    ],
)
def test_every_published_name_parses(condition: str, files: int, fields: int, per_plate: list[int]) -> None:
    with gzip.open(PUBLISHED_IMAGES / f"inventory_{condition}.tsv.gz", "rt") as inventory:
        rows = list(csv.DictReader(inventory, delimiter="\t"))
    names = [parse_image_name(row["crate_path"].rsplit("/", 1)[-1]) for row in rows]
    assert len(rows) == files
    for row, name in zip(rows, names, strict=True):
        assert name is not None
        assert name.condition == condition
        assert (name.plate, name.treatment_label, name.well) == (row["plate"], row["treatment"], row["well"])
        assert (f"R{name.region}", f"z{name.z:02d}", name.channel) == (row["region"], row["z"], row["color"])
        assert name.kind == "channel"
    assert len({name.field_id for name in names if name}) == fields
    plates = Counter(name.plate_number for name in names if name)
    assert [plates[plate] for plate in range(1, 6)] == per_plate
    assert len({name.plate_well for name in names if name}) == 471


def test_a_name_is_taken_apart_and_its_field_normalised() -> None:
    name = parse_image_name("B2AI_3_Paclitaxel_C2_R1_z01_green.jpg")
    assert name is not None
    assert (name.plate, name.plate_number, name.treatment_label, name.condition) == (
        "B2AI_3", 3, "Paclitaxel", Condition.PACLITAXEL,
    )  # fmt: skip
    assert (name.well, name.well_row, name.well_column, name.region, name.z) == ("C2", "C", 2, 1, 1)
    assert (name.channel, name.kind) == ("green", "channel")
    assert name.field_id == "B2AI_3_paclitaxel_C2_R1_z01"


def test_the_alpha_of_2024_has_no_z() -> None:
    name = parse_image_name("B2AI_1_untreated_A1_R1_blue.jpg")
    assert name is not None
    assert (name.z, name.field_id) == (None, "B2AI_1_untreated_A1_R1")


def test_a_composite_belongs_to_its_field_and_to_no_channel() -> None:
    name = parse_image_name("B2AI_1_Vorinostat_A1_R1_z00_blue_red_green.jpg")
    assert name is not None
    assert (name.kind, name.channel, name.field_id) == ("composite", None, "B2AI_1_vorinostat_A1_R1_z00")


def test_an_unknown_treatment_gives_no_field() -> None:
    name = parse_image_name("B2AI_1_Cisplatin_A1_R1_z00_red.jpg")
    assert name is not None
    assert (name.treatment_label, name.condition, name.field_id) == ("Cisplatin", None, None)


@pytest.mark.parametrize(
    "file_name",
    [
        "",
        "image.jpg",
        "B2AI_3_Paclitaxel_C2_R1_z01_green.png",
        "B2AI_3_Paclitaxel_C2_R1_z01_green.jpg.bak",
        "B2AI_3_Paclitaxel_C2_R1_z01_green.JPG",
        "B2AI_3_Paclitaxel_C2_R1_z01.jpg",
        "B2AI_3_Paclitaxel_C2_R1_z1_green.jpg",
        "B2AI_3_Paclitaxel_C02_R1_z01_green.jpg",
        "B2AI_3_Paclitaxel_C13_R1_z01_green.jpg",
        "B2AI_3_Paclitaxel_I2_R1_z01_green.jpg",
        "B2AI_3_Paclitaxel_C2_R01_z01_green.jpg",
        "B2AI_3_Paclitaxel_C2_R1_z01_purple.jpg",
        "B2AI_3_Paclitaxel_C2_R1_z01_green.jpg\n",
        " B2AI_3_Paclitaxel_C2_R1_z01_green.jpg",
        "B2AI_\u0663_Paclitaxel_C2_R1_z01_green.jpg",  # an Arabic-Indic digit
        "B2AI_3__C2_R1_z01_green.jpg",
        "paclitaxel/B2AI_3_Paclitaxel_C2_R1_z01_green.jpg",
    ],
)
def test_other_names_are_not_guessed(file_name: str) -> None:
    assert parse_image_name(file_name) is None


def test_fields_are_ordered_by_number_not_by_text() -> None:
    texts = ["B2AI_10_x_A1_R1", "B2AI_2_x_B1_R1", "B2AI_2_x_A10_R1", "B2AI_2_x_A2_R10", "B2AI_2_x_A2_R9_z01",
             "B2AI_2_x_A2_R9_z00", "B2AI_2_x_A2_R9"]  # fmt: skip
    names = [name for text in texts if (name := parse_field_name(text))]
    assert [texts.index(f"{n.plate}_x_{n.well}_R{n.region}{'' if n.z is None else f'_z{n.z:02d}'}")
            for n in sorted(names, key=lambda n: n.sort_key)] == [6, 5, 4, 3, 2, 1, 0]  # fmt: skip


NAMES = st.builds(
    "B2AI_{}_{}_{}{}_R{}{}".format,
    st.integers(0, 9999),
    st.sampled_from(CONDITIONS),
    st.sampled_from("ABCDEFGH"),
    st.integers(1, 12),
    st.integers(0, 9999),
    st.just("") | st.integers(0, 99).map("_z{:02d}".format),
)


@given(field=NAMES, channel=st.sampled_from(CHANNELS))
def test_what_is_written_is_read(field: str, channel: str) -> None:
    name = parse_image_name(f"{field}_{channel}.jpg")
    assert name is not None
    assert (name.field_id, name.channel) == (field, channel)
    assert parse_field_id(field).sort_key == name.sort_key


@given(st.text() | st.from_regex(r"B2AI_.{0,4}_.{0,12}_.{0,3}_R.{0,3}_z.{0,3}_(red|green)\.jpg", fullmatch=True))
def test_no_name_is_too_strange(text: str) -> None:
    name = parse_image_name(text)
    if name is not None:
        assert "/" not in text
        assert name.condition is not None or name.field_id is None


@pytest.mark.parametrize("text", ["", "B2AI_1_Paclitaxel_A1_R1", "B2AI_1_cisplatin_A1_R1", "B2AI_01_paclitaxel_A1_R1"])
def test_only_ids_are_read_as_ids(text: str) -> None:
    with pytest.raises(ValueError, match="not the id of a field"):
        parse_field_id(text)
