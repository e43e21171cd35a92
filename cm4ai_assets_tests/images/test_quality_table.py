from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from cm4ai_assets.images import quality_table
from cm4ai_assets.images.counting import histogram
from cm4ai_assets.images.quality import statistics
from cm4ai_assets.images.quality_table import QualityWriter
from cm4ai_assets.tables.images import IF_QUALITY


def write(path: Path, rows: int) -> None:
    writer = QualityWriter(path)
    for number in range(rows):
        plane = np.full((8, 8), number, np.uint8)
        writer.append(
            field_id=f"F{number}",
            channel="red",
            tensor_index=None if number % 3 == 0 else number,
            member=f"red/{number}.jpg",
            quality=statistics(histogram(plane), None if number % 2 else 0.5, full_level=254),
            colour="red",
            pixel_sha256="ab" * 32,
        )
    writer.finish()
    writer.close()


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 6, 12])
def test_rows_leave_memory_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(quality_table, "ROWS_PER_GROUP", 5)
    write(tmp_path / "q.parquet", rows)
    found = pl.read_parquet(tmp_path / "q.parquet")
    assert found["field_id"].to_list() == [f"F{number}" for number in range(rows)]
    assert found["maximum"].to_list() == list(range(rows))
    assert [counts.arg_max() for counts in found["histogram"]] == list(range(rows))
    assert found["focus"].null_count() == rows // 2
    metadata = pq.read_metadata(tmp_path / "q.parquet")
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert [size for size in sizes if size] == [5] * (rows // 5) + [rows % 5] * (rows % 5 > 0)


def test_the_columns_are_those_of_the_table(tmp_path: Path) -> None:
    write(tmp_path / "q.parquet", 2)
    own = {column.name: column.dtype for column in IF_QUALITY.own_columns}
    assert dict(pl.read_parquet_schema(tmp_path / "q.parquet")) == own


def test_what_was_not_finished_is_removed(tmp_path: Path) -> None:
    QualityWriter(tmp_path / "q.parquet").close()
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "q.parquet", 1)
    with pytest.raises(FileExistsError):
        QualityWriter(tmp_path / "q.parquet")
