"""Dataset, version and licence of what a table is made from, as the archive states them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import table
from cm4ai_assets.updates.credit import credit, licences

KEY = "2026-06-v2.0"
DOI = "doi:10.5072/FK2/A"
FILES = (
    ("if.zip", "if", "images", "untreated", "CC BY-NC-SA 4.0"),
    ("apms.zip", "apms", "package", "untreated", "CC0 1.0"),
    ("bait.zip", "apms", "package", "paclitaxel", None),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    record = ReleaseRecord(
        key="", doi=DOI, major=2, minor=0, title="June 2026 Data Release", published=date(2026, 6, 17), released=None,
        archive="http://127.0.0.1:9",
    )  # fmt: skip
    ReleaseRegistry(store).register([record])
    rows = [
        {
            "doi": DOI, "version": "2.0", "directory": "", "label": label, "file_id": number, "size": 10,
            "is_ingested": False, "access": "public", "modality": modality, "role": role, "file_condition": condition,
            "recognised_by": "test", "license": licence,
        }
        for number, (label, modality, role, condition, licence) in enumerate(FILES)
    ]  # fmt: skip
    with store.stage_table(
        "release_files", Partition(KEY), table("release_files").from_rows(rows, release=KEY)
    ) as file:
        store.publish_table(file)
    return store


@pytest.mark.parametrize(
    ("name", "condition", "licence"),
    [
        ("if_fields", "untreated", "CC BY-NC-SA 4.0"),
        ("apms_interactions", "untreated", "CC0 1.0"),
        ("apms_interactions", "paclitaxel", "not stated"),
        ("if_archive", "untreated", "CC BY-NC-SA 4.0"),
        ("release_changes", None, "CC BY-NC-SA 4.0, CC0 1.0, not stated"),
    ],
)
def test_a_table_has_the_licence_of_the_files_it_is_made_from(
    store: Store, name: str, condition: str | None, licence: str
) -> None:
    assert credit(store, name, Partition(KEY, condition)) == {"doi": DOI, "version": "2.0", "license": licence}


def test_a_table_without_a_release_has_none(store: Store) -> None:
    assert credit(store, "usage_metrics", Partition()) == {}


def test_the_file_itself_says_so(store: Store, tmp_path: Path) -> None:
    partition = Partition(KEY, "untreated")
    source = credit(store, "apms_interactions", partition)
    frame = table("apms_interactions").from_rows([], release=KEY, condition="untreated")
    with store.stage_table("apms_interactions", partition, frame, credit=source) as file:
        path = store.publish_table(file)
    metadata = pq.read_metadata(tmp_path / "storage" / path).metadata
    assert (metadata[b"doi"], metadata[b"license"]) == (DOI.encode(), b"CC0 1.0")


def test_licences_are_named_once_and_a_missing_one_is_said() -> None:
    assert licences([]) == "not stated"
    assert licences(["b", None, "a", "b"]) == "a, b, not stated"


def _inventory(store: Store, licence: str | None) -> None:
    rows = [{
        "accession": "MSV000101915", "path": "a.raw", "name": "a.raw", "collection": "", "kind": "raw_run",
        "is_folder": False, "source": "proxi", "replaces": [], "license": licence,
    }]  # fmt: skip
    frame = table("massive_files").from_rows(rows, release=KEY)
    with store.stage_table("massive_files", Partition(KEY), frame) as file:
        store.publish_table(file)


def _runs(*rows: tuple[str | None, int | None]) -> pl.DataFrame:
    return table("apms_runs").from_rows(
        [
            {"source_file": "runs.csv", "source_line": number, "accession": accession, "source_file_id": file_id,
             "defects": []}
            for number, (accession, file_id) in enumerate(rows)
        ],
        release=KEY, condition="untreated",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0"),
        ("https://creativecommons.org/licenses/by/4.0/, terms of our own", "CC BY 4.0, terms of our own"),
        (None, "not stated"),
    ],
)
def test_a_deposit_has_the_licence_that_the_crates_state(store: Store, stated: str | None, licence: str) -> None:
    _inventory(store, stated)
    partition = Partition(KEY, "untreated")
    runs = _runs(("MSV000101915", None))
    assert credit(store, "apms_runs", partition, runs)["license"] == licence
    files = store.table("massive_files", Partition(KEY)).collect()
    assert credit(store, "massive_files", Partition(KEY), files)["license"] == licence


def test_runs_have_the_licences_of_the_files_and_deposits_that_annotate_them(store: Store) -> None:
    partition = Partition(KEY, "untreated")
    both = _runs(("MSV000101915", None), ("MSV000101915", 0))
    assert credit(store, "apms_runs", partition, both)["license"] == "CC BY-NC-SA 4.0, not stated"
    _inventory(store, "https://creativecommons.org/publicdomain/zero/1.0/")
    assert credit(store, "apms_runs", partition, both)["license"] == "CC BY-NC-SA 4.0, CC0 1.0"
    assert credit(store, "apms_runs", partition, _runs((None, 0)))["license"] == "CC BY-NC-SA 4.0"
    assert credit(store, "apms_runs", partition, _runs(("MSV000100001", None)))["license"] == "not stated"
