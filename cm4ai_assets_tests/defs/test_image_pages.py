"""Pages of images at the size of a published condition: 4,421 fields, statistics made up, pixels taken from four."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import fsspec
import numpy as np
import polars as pl
import pytest
from PIL import Image

from cm4ai_assets.defs.images import pages
from cm4ai_assets.drawing import LIMIT
from cm4ai_assets.images.quality import statistics
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.images.tensors import Product
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import StoreRecord, open_array
from cm4ai_assets.tables.images import CHANNELS

FIELDS = 4421
PIXELS = 2048 * 2048


@pytest.fixture(scope="module")
def quality() -> pl.DataFrame:
    """As most published images are: nearly all of the pixels at the lowest levels."""
    counts = np.zeros(256, np.uint32)
    counts[[0, 1, 40, 255]] = 3_000_000, 1_000_000, 94_304, 100_000
    one = statistics(counts, 0.3, full_level=255)
    row = {name: getattr(one, name) for name in one.__slots__ if name != "histogram"}
    frame = pl.DataFrame({"histogram": [counts.tolist()]}, schema={"histogram": pl.List(pl.UInt32)})
    return pl.DataFrame({
        "field_id": [f"F{n // 4}" for n in range(4 * FIELDS)],
        "channel": list(CHANNELS) * FIELDS,
        "colour": list(CHANNELS) * FIELDS,
    }).with_columns(**{name: pl.lit(value) for name, value in row.items()}).with_columns(
        frame["histogram"].new_from_index(0, 4 * FIELDS)
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tensor of four fields."""
    folder = tmp_path_factory.mktemp("tensor")
    writer = StoreWriter(folder / "t.zarr", 64)
    for seed in range(4):
        planes = np.random.default_rng(seed).integers(0, 200, (4, 64, 64), dtype=np.uint8)
        writer.append([chunk for plane in planes for chunk in compress(plane)])
    writer.finish(source_sha256="ab" * 32, digest="", failures={})
    return folder


@pytest.fixture(scope="module")
def array(folder: Path) -> Any:
    return open_array(fsspec.filesystem("file"), str(folder / "t.zarr"))


def pictures(value: Any) -> list[Image.Image]:
    found = [base64.b64decode(data) for data in re.findall(r"base64,([^)]+)[)]", value.md_str)]
    assert found
    assert all(len(data) <= LIMIT for data in found)
    return [Image.open(io.BytesIO(data)) for data in found]


def test_intensities_of_a_whole_condition_are_summed_and_drawn(
    quality: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    plot = pages.intensity_plot
    monkeypatch.setattr(pages, "intensity_plot", lambda shown, title: drawn.update(shown) or plot(shown, title=title))
    page = pages.of_quality(quality)
    assert {channel: int(counts.sum()) for channel, counts in drawn.items()} == dict.fromkeys(CHANNELS, FIELDS * PIXELS)
    assert all(counts[0] == FIELDS * 3_000_000 > 2**32 for counts in drawn.values())
    (picture,) = pictures(page["intensities"])
    assert picture.size == (720, 300)
    assert page["per_channel"].md_str.count("4421") == 3 * len(CHANNELS)  # images, saturated, of confirmed colour


def test_the_page_of_fields_counts_all_and_shows_some(array: Any) -> None:
    fields = pl.DataFrame({
        "field_id": [f"B2AI_{1 + n % 5}_paclitaxel_A{1 + n % 12}_R{n}_z01" for n in range(FIELDS)],
        "tensor_index": [n % 4 if n < 3000 else None for n in range(FIELDS)],
        "defects": [[] if n < 3000 else ["other_colour"] for n in range(FIELDS)],
        "antibody_id": ["HPA000001"] * FIELDS,
        "plate": ["B2AI_1"] * FIELDS,
        "well": [f"A{1 + n % 12}" for n in range(FIELDS)],
    }, schema_overrides={"defects": pl.List(pl.String())})  # fmt: skip
    page = pages.of_fields(fields, array)
    assert (page["fields_in_tensor"], page["fields_left_out"], page["wells"]) == (3000, 1421, 12)
    assert "1421" in page["defects"].md_str
    assert pictures(page["contact_sheet"])


def test_a_blurred_image_stands_beside_a_sharp_one_with_both_measures(folder: Path) -> None:
    tables = {
        "if_fields": {"field_id": ["bad", "good"], "antibody_id": ["A", "A"], "tensor_index": [0, 3]},
        "if_quality": {
            "field_id": ["bad", "good"], "channel": ["red", "red"], "focus": [0.012, 0.5], "is_empty": [False, False],
        },
        "if_tensors": {"path": ["t.zarr"]},
    }  # fmt: skip
    store = SimpleNamespace(
        table=lambda name, _: pl.LazyFrame(tables[name]),
        fs=fsspec.filesystem("file"),
        address=lambda path: f"{folder}/{path}",
    )
    blurred = pl.DataFrame({"field_id": ["bad"], "channel": ["red"], "focus": [0.012], "median_focus": [0.4]})
    page = pages.of_blurred(blurred, cast("Store", store), Partition("2026-06-v2.0", "paclitaxel"))
    caption = "| bad red: focus 0.012 | good red, same protein: focus 0.5 |"
    assert page["compared_1"].md_str.startswith(caption)  # type: ignore[union-attr]
    assert [picture.size for picture in pictures(page["compared_1"])] == [(64, 64)] * 2


def test_the_page_of_a_tensor_shows_channels_and_says_sizes_in_words(array: Any) -> None:
    record = StoreRecord("ab" * 32, 64, 4, "cd" * 32, (4_000_000_000,))
    product = cast("Product", SimpleNamespace(record=record, path="t.zarr", images=0, reused=True))
    store = cast("Store", SimpleNamespace(location=lambda path: path))
    fields = pl.DataFrame({"field_id": [f"B2AI_1_paclitaxel_A1_R{n}_z01" for n in range(4)], "tensor_index": range(4)})
    page = pages.of_tensor(product, store, fields, array)
    assert page["size"] == "4.00 GB"
    (picture,) = pictures(page["channels_shown"])
    assert picture.size[0] in {5 * 132 - 4, (5 * 132 - 4) // 2}  # made smaller where noise does not fit
