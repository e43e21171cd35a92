from __future__ import annotations

import dataclasses
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest
import zarr
from PIL import Image

from cm4ai_assets.images.audit import TensorAudit, _sample, array_problems, audit_tensor, reference_plane
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.images.decode import PlaneDecoder
from cm4ai_assets.images.pixels import run_pass
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage.tensors import DIMENSIONS, StoreRecord, open_array, tensor_digest

LOCAL = fsspec.filesystem("file")
SHA256 = "ab" * 32


@dataclasses.dataclass
class Made:
    """A tensor with its tables, as they stand before the audit."""

    archive: Any
    store: Path
    record: StoreRecord
    fields: pl.DataFrame
    quality: pl.DataFrame

    def audit(self, **options: Any) -> TensorAudit:
        given = {
            "source": self.archive.source,
            "members": self.archive.members,
            "fields": self.fields,
            "quality": self.quality,
        }
        return audit_tensor(open_array(LOCAL, str(self.store)), self.record, **given | options)


def make(archive: Any, target: Path, *, edge: int, source_edge: int) -> Made:
    result = run_pass(
        archive.source,
        archive.members,
        archive.plans,
        target,
        edge=edge,
        source_edge=source_edge,
        source_sha256=SHA256,
    )
    kept = [plan.field_id for plan in archive.plans if plan.field_id not in result.record.failures]
    index = {field_id: n for n, field_id in enumerate(kept)}
    fields = pl.DataFrame(
        {
            "field_id": [plan.field_id for plan in archive.plans],
            "tensor_index": [index.get(plan.field_id) for plan in archive.plans],
        },
        schema_overrides={"tensor_index": pl.Int32},
    )
    return Made(archive, result.tensor_path, result.record, fields, pl.read_parquet(result.quality_path))


@pytest.fixture
def made(painted_fields: Callable[..., Any], zip_of: Callable[..., Any], tmp_path: Path) -> Made:
    fields = painted_fields(20)
    fields["B2AI_1_paclitaxel_A1_R4_z01"]["blue"] = b"no image"
    return make(zip_of(fields), tmp_path / "out", edge=32, source_edge=64)


def rewrite(made: Made, pixels: np.ndarray) -> None:
    """Other pixels in the store, without an error in its format."""
    shutil.rmtree(made.store)
    writer = StoreWriter(made.store, pixels.shape[-1])
    for field in pixels:
        writer.append([chunk for plane in field for chunk in compress(np.ascontiguousarray(plane))])
    writer.finish(source_sha256=SHA256, digest=made.record.digest, failures=made.record.failures)


def test_published_images_pass(real_fields: dict[str, Any], zip_of: Callable[..., Any], tmp_path: Path) -> None:
    renamed = {name.replace("Paclitaxel", "paclitaxel"): channels for name, channels in real_fields.items()}
    made = make(zip_of(renamed), tmp_path / "out", edge=1024, source_edge=2048)
    audit = made.audit(sample=3)
    assert audit.passed, audit.summary
    assert (audit.rows, len(audit.sampled), audit.planes) == (6, 3, 12)


def test_a_sound_tensor_passes(made: Made) -> None:
    audit = made.audit()
    assert audit.passed, audit.summary
    assert (audit.rows, audit.planes, audit.problems) == (19, 24, ())
    assert audit.sampled[0] == "B2AI_1_paclitaxel_A1_R1_z01"
    assert audit.sampled[-1] == "B2AI_1_paclitaxel_A1_R20_z01"
    assert audit.summary.startswith("19 rows are the fields that the tables name")


def test_the_sample_can_be_repeated_and_varied(made: Made) -> None:
    assert made.audit(seed=1).sampled == made.audit(seed=1).sampled
    assert len({made.audit(seed=seed).sampled for seed in range(4)}) > 1
    assert made.audit(sample=100).planes == 19 * 4


def test_the_first_and_the_last_field_are_always_decoded_again(made: Made) -> None:
    """A shift shows at the ends first. By chance a larger sample may hold them too, one of two cannot."""
    assert made.audit(sample=2).sampled == ("B2AI_1_paclitaxel_A1_R1_z01", "B2AI_1_paclitaxel_A1_R20_z01")
    assert made.audit(sample=0).sampled == made.audit(sample=2).sampled
    assert len(made.audit(sample=5).sampled) == 5


def test_a_plane_whose_digest_is_not_that_of_the_table_is_found(made: Made) -> None:
    """Even where the digests of the table add up to the tensor's: then both were made from other pixels."""
    digests = made.quality["pixel_sha256"].to_list()
    digests[0] = "00" * 32
    made.quality = made.quality.with_columns(pl.Series("pixel_sha256", digests))
    stored = made.quality.filter(pl.col("tensor_index").is_not_null())["pixel_sha256"]
    made.record = dataclasses.replace(made.record, digest=tensor_digest(stored))
    (problem,) = made.audit().problems
    assert problem == "B2AI_1_paclitaxel_A1_R1_z01 red (row 0): its digest is not that of if_quality"


def test_no_fields_is_no_problem(zip_of: Callable[..., Any], tmp_path: Path) -> None:
    empty = make(zip_of({}), tmp_path / "out", edge=32, source_edge=64)
    assert empty.audit().passed


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_the_reference_is_equal_to_the_pass_and_made_by_other_code(paint: Callable[..., bytes], factor: int) -> None:
    data = paint("yellow", edge=256)
    plane = PlaneDecoder(256).plane(data, "yellow")
    assert np.array_equal(reference_plane(data, "yellow", 256 // factor), area_average(plane, 256 // factor))


def test_an_image_of_another_kind_has_no_reference() -> None:
    target = io.BytesIO()
    Image.new("L", (64, 64)).save(target, "JPEG")
    with pytest.raises(ValueError, match="reads it as L"):
        reference_plane(target.getvalue(), "red", 64)


def test_a_few_bright_pixels_of_another_colour_are_enough_against_the_dark_of_a_field() -> None:
    rgb = np.zeros((256, 256, 3), np.uint8)
    rgb[96:112, 96:112, 0] = 200
    target = io.BytesIO()
    Image.fromarray(rgb).save(target, "JPEG", quality=95, subsampling=0)
    assert reference_plane(target.getvalue(), "red", 128).max() > 150
    with pytest.raises(ValueError, match="painted in red, not in green"):
        reference_plane(target.getvalue(), "green", 128)


def test_shifted_rows_are_found(made: Made) -> None:
    rewrite(made, np.roll(open_array(LOCAL, str(made.store))[:], 1, axis=0))
    audit = made.audit()
    assert not audit.passed
    assert len(audit.problems) == audit.planes == 24
    assert "pixels differ from 'paclitaxel/red/" in audit.summary
    assert audit.summary.endswith("and 19 more")


def test_swapped_channels_are_found(made: Made) -> None:
    rewrite(made, open_array(LOCAL, str(made.store))[:][:, [0, 2, 1, 3]])
    assert len(made.audit().problems) == 12


def test_one_grey_level_in_one_pixel_is_found(made: Made) -> None:
    pixels = open_array(LOCAL, str(made.store))[:]
    pixels[18, 3, 31, 31] ^= 1
    rewrite(made, pixels)
    (problem,) = made.audit().problems
    assert problem.startswith("B2AI_1_paclitaxel_A1_R20_z01 yellow (row 18): 1 of 1,024 pixels differ")


def test_a_damaged_chunk_is_found(made: Made) -> None:
    shard = made.store / "image/c/0/0/0/0"
    damaged = bytearray(shard.read_bytes())
    damaged[10] ^= 1
    shard.write_bytes(damaged)
    assert "cannot be compared" in made.audit().summary


def test_another_digest_in_the_table_is_found(made: Made) -> None:
    made.quality = made.quality.with_columns(pl.col("pixel_sha256").str.replace(r"^.", "0"))
    assert made.audit().problems == ("the pixel digests of if_quality do not add up to the digest of the tensor",)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda made: setattr(made, "fields", made.fields.reverse()), "not 0 to 18 in its own order"),
        (lambda made: setattr(made, "fields", made.fields.head(15)), "if_fields numbers 14 rows"),
        (lambda made: setattr(made, "quality", made.quality.reverse()), "does not name the four channels"),
        (lambda made: setattr(made, "quality", made.quality.head(40)), "does not name the four channels"),
        (
            lambda made: setattr(made, "fields", made.fields.with_columns(tensor_index=pl.int_range(pl.len()))),
            "that the pass left out, e.g. B2AI_1_paclitaxel_A1_R4_z01",
        ),
        (lambda made: setattr(made, "record", dataclasses.replace(made.record, n_fields=18)), "the array's shape"),
        (lambda made: setattr(made, "record", dataclasses.replace(made.record, edge=64)), "the array's edge: 32"),
        (
            lambda made: setattr(made, "record", dataclasses.replace(made.record, source_sha256="00" * 32)),
            "the array's source_sha256",
        ),
        (lambda made: setattr(made, "record", dataclasses.replace(made.record, version=1)), "pixel_code_version"),
    ],
)
def test_tables_that_do_not_fit_are_found(made: Made, spoil: Callable[[Made], None], told: str) -> None:
    spoil(made)
    audit = made.audit()
    assert not audit.passed
    assert any(told in problem for problem in audit.problems), audit.problems


def test_an_array_of_another_channel_order_is_found(made: Made) -> None:
    metadata = made.store / "image" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"green"', '"blue"', 1))
    assert any("the array's channels: " in problem for problem in made.audit().problems)


def test_an_array_from_another_plane_of_the_images_is_found(made: Made) -> None:
    metadata = made.store / "image" / "zarr.json"
    metadata.write_text(re.sub(r'"source_plane": ?2', '"source_plane": 1', metadata.read_text(), count=1))
    assert any("the array's source planes: " in problem for problem in made.audit().problems)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"dtype": "uint16"}, "dtype: uint16, not uint8"),
        ({"dimension_names": ("field", "channel", "x", "y")}, "dimensions: ('field', 'channel', 'x', 'y')"),
        ({"dimension_names": None}, "dimensions: (), not"),
        ({"chunks": (2, 1, 32, 32)}, "fields and channels per chunk: (2, 1), not (1, 1)"),
        ({"chunks": (1, 4, 32, 32)}, "fields and channels per chunk: (1, 4), not (1, 1)"),
    ],
)
def test_an_array_of_another_form_is_found(made: Made, other: dict[str, Any], told: str) -> None:
    whole = open_array(LOCAL, str(made.store))
    form = {"shape": whole.shape, "dtype": "uint8", "chunks": (1, 1, 32, 32), "dimension_names": DIMENSIONS}
    attributes = whole.attrs.asdict()
    assert list(array_problems(zarr.create_array({}, **form, attributes=attributes), made.record)) == []
    (problem,) = array_problems(zarr.create_array({}, **form | other, attributes=attributes), made.record)
    assert told in problem


def test_other_archives_have_other_fields_decoded_again(made: Made) -> None:
    """Else a fault in the fields that are never looked at would never be seen."""
    large = dataclasses.replace(made.record, n_fields=4421)
    samples = {tuple(_sample(dataclasses.replace(large, source_sha256=one * 64), 6, 0)) for one in "abcdef"}
    assert len(samples) == 6
    assert {(sample[0], sample[-1]) for sample in samples} == {(0, 4420)}


def test_an_image_that_cannot_be_read_again_is_a_problem_and_no_end(made: Made) -> None:
    first = made.quality["member"][0]
    members = [
        dataclasses.replace(one, crc32=one.crc32 ^ 1) if one.name == first else one for one in made.archive.members
    ]
    (problem,) = made.audit(members=members).problems
    assert f"cannot be compared with {first!r}" in problem


@pytest.mark.parametrize("other", [1, 4], ids=["another channel", "another field"])
def test_a_row_made_from_another_image_is_found(made: Made, other: int) -> None:
    first, second = made.quality["member"][0], made.quality["member"][other]
    made.quality = made.quality.with_columns(pl.col("member").replace({first: second}))
    assert "which names another field or channel" in made.audit().summary


def test_a_sampled_image_that_is_painted_in_another_colour_is_found(
    made: Made, paint: Callable[..., bytes], zip_of: Callable[..., Any]
) -> None:
    """Even if the pass let it through and everything else agrees."""
    fields = {name: dict(channels) for name, channels in made.archive.jpegs.items()}
    first = fields["B2AI_1_paclitaxel_A1_R1_z01"]
    first["red"], first["blue"] = first["blue"], first["red"]
    problems = made.audit(source=(other := zip_of(fields, name="swapped.zip")).source, members=other.members).problems
    assert [problem.split(": ", 2)[::2] for problem in problems] == [
        ["B2AI_1_paclitaxel_A1_R1_z01 red (row 0)", "it is painted in blue, not in red"],
        ["B2AI_1_paclitaxel_A1_R1_z01 blue (row 0)", "it is painted in red, not in blue"],
    ]


def test_every_stored_plane_has_its_colour_not_only_the_sample(made: Made) -> None:
    place = made.quality["field_id"].to_list().index("B2AI_1_paclitaxel_A1_R7_z01")
    colours = made.quality["colour"].to_list()
    assert set(colours) == {"red", "green", "blue", "yellow"}
    colours[place], colours[place + 1] = None, "grey"  # nothing against these
    made.quality = made.quality.with_columns(pl.Series("colour", colours, pl.String()))
    assert made.audit().passed
    colours[place + 1] = "blue"
    made.quality = made.quality.with_columns(pl.Series("colour", colours, pl.String()))
    (problem,) = made.audit().problems
    assert problem.startswith("1 planes are painted in another channel's colour, e.g. B2AI_1_paclitaxel_A1_R7_z01")


def test_a_row_made_from_an_unknown_image_is_found(made: Made) -> None:
    made.quality = made.quality.with_columns(pl.col("member").str.replace("^paclitaxel/", "elsewhere/"))
    assert "which is not in the ZIP" in made.audit().summary
