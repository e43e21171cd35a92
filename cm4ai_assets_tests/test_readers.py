"""The tables as people's own tools read them, without this package: pandas, pyarrow, DuckDB, polars, dask.

pandas and `pyarrow.parquet` need one argument, `partitioning=None`; see docs/decisions/0014-parquet-folders.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import write_if_zip
from cm4ai_assets.settings import Settings
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

pytestmark = pytest.mark.timeout(400)  # the release that is read is made first

pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra: dev)")
dd = pytest.importorskip("dask.dataframe", reason="dask[dataframe] is not installed (extra: dev)")

TABLES = ("if_archive", "if_images", "if_antibodies", "if_fields", "if_tensors", "if_quality", "release_files")
CONDITIONS = (Condition.UNTREATED, Condition.PACLITAXEL)
OWN = [("condition", "==", "paclitaxel")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `tables` of a storage with two conditions of a release."""
    folder = tmp_path_factory.mktemp("readers")
    settings = Settings(storage=str(folder / "storage"), scratch=folder / "scratch", tensor_size=256)
    bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    for condition in CONDITIONS:
        path = folder / f"{condition}.zip"
        write_if_zip(path, condition=condition, fields=8)
        bench.store_as_release(path, condition)
        (outcome,) = bench.run(RELEASE, condition, selection="group:images")
        assert outcome.succeeded, outcome.failure
    return folder / "storage" / "tables"


def _polars(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder)


READERS: dict[str, Callable[[Path], Any]] = {
    "pandas": lambda folder: pandas.read_parquet(folder, partitioning=None),
    "pyarrow.parquet": lambda folder: pq.read_table(folder, partitioning=None).to_pandas(),
    "pyarrow.dataset": lambda folder: ds.dataset(folder).to_table().to_pandas(),
    "pyarrow.dataset, hive": lambda folder: ds.dataset(folder, partitioning="hive").to_table().to_pandas(),
    "DuckDB": lambda folder: duckdb.sql(f"SELECT * FROM read_parquet('{folder}/**/*.parquet')").df(),
    "DuckDB, hive": lambda folder: duckdb.sql(
        f"SELECT * FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    ).df(),
    "polars": lambda folder: _polars(folder).to_pandas(),
    "dask": lambda folder: dd.read_parquet(folder).compute(),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_folder_is_read_whole(folders: Path, reader: Callable[[Path], Any], table: str) -> None:
    expected = pl.concat([pl.read_parquet(p, hive_partitioning=False) for p in (folders / table).rglob("*.parquet")])
    found = reader(folders / table)
    assert len(found) == expected.height
    assert set(found.columns) == set(expected.columns)
    assert set(found["release"].astype(str)) == {RELEASE}
    if "condition" in expected.columns:
        assert set(found["condition"].astype(str)) == set(CONDITIONS)


FILTERED: dict[str, Callable[[Path], Any]] = {
    "pandas": lambda folder: pandas.read_parquet(folder, partitioning=None, filters=OWN),
    "pyarrow.parquet": lambda folder: pq.read_table(folder, partitioning=None, filters=OWN),
    "pyarrow.dataset": lambda folder: ds.dataset(folder, partitioning="hive").to_table(
        filter=ds.field("condition") == "paclitaxel"
    ),
    "DuckDB": lambda folder: duckdb.sql(
        f"SELECT * FROM read_parquet('{folder}/**/*.parquet') WHERE condition = 'paclitaxel'"
    ).pl(),
    "polars": lambda folder: pl.scan_parquet(folder).filter(condition="paclitaxel").collect(),
    "dask": lambda folder: dd.read_parquet(folder, filters=OWN).compute(),
}


@pytest.mark.parametrize("reader", FILTERED.values(), ids=FILTERED)
def test_a_folder_is_read_in_part(folders: Path, reader: Callable[[Path], Any]) -> None:
    assert len(reader(folders / "if_fields")) == 8


def test_a_single_file_needs_no_argument_and_says_what_it_is(folders: Path) -> None:
    path = folders / "if_fields" / f"release={RELEASE}" / "condition=paclitaxel" / "data.parquet"
    for frame in (pandas.read_parquet(path), pq.read_table(path).to_pandas()):
        assert set(frame["condition"].astype(str)) == {"paclitaxel"}


def test_without_the_argument_pandas_still_says_what_the_documents_say(folders: Path) -> None:
    """If this fails, a new pyarrow unites the two types: the argument can be dropped from the documents."""
    for read in (pandas.read_parquet, pq.read_table):
        with pytest.raises(pa.ArrowTypeError, match="Unable to merge: Field release has incompatible types"):
            read(folders / "if_fields")
