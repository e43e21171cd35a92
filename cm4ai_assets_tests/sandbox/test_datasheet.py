"""The sandbox's datasheet has what the real one has: its size, its defects, and claims that do not hold."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from cm4ai_assets.archives.datasheets import added_datasheet
from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.crates.datasheet_claims import listed_files
from cm4ai_assets.sandbox import datasheet
from cm4ai_assets.sandbox.build import DATASHEETS


@pytest.fixture(scope="module")
def text(sandbox: Path) -> bytes:
    data = added_datasheet(str(sandbox / DATASHEETS), datasheet.RELEASE)
    assert data is not None
    return data


@pytest.fixture(scope="module")
def table(text: bytes) -> pl.DataFrame:
    return datasheet_table([Document("d4d.yaml", "d4d", text)], release=datasheet.RELEASE)


def test_it_is_as_long_as_the_real_one_and_as_broken(text: bytes, table: pl.DataFrame) -> None:
    assert 9_000 < len(text) < 20_000
    assert text.startswith(b"=== YAML Fixing Applied ===\n")
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(text)
    found = dict(table["deviations"].explode().drop_nulls().value_counts().iter_rows())
    assert {"banner", "quoted", "yes_no_text", "unknown_slot", "missing_slot", "wrong_type", "wrong_pattern"} <= set(
        found
    )
    assert found["quoted"] >= 10
    assert found["wrong_type"] >= 40
    assert "unparsed" not in found
    quoted = table.filter(pl.col("deviations").list.contains("quoted"))
    assert quoted["detail"].str.contains("YAML refuses").sum() == 3


def test_it_lists_a_part_of_the_files_under_names_of_the_version_before(table: pl.DataFrame) -> None:
    (listed,) = listed_files(table).values()
    assert len(listed) == 10
    assert [one.name for one in listed[:3]] == [
        f"cm4ai-ifimages-mda-mb-468-{condition}.zip" for condition in ("paclitaxel", "untreated", "vorinostat")
    ]
    assert [one.digest("md5") is None for one in listed].count(True) == 1
