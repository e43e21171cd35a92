"""Evidence as it is read: statistics of columns, schemas of files, documents, environments, and what is damaged."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.lineage.delivered import delivered
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.publication.readiness.gathering import delivered_evidence, published_evidence
from cm4ai_assets.publication.readiness.summary import summarized
from cm4ai_assets.storage.layout import Partition, environment_path
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Column, Table
from cm4ai_assets.tables.publication import CROISSANT, DATASHEET_REPORT, DERIVED_CRATE
from cm4ai_assets_tests.publication.readiness_twins import KEY, SOFTWARE, Documents, Release, items

HERE = Partition(KEY)
TABLE = Table(
    name="t", description="A table.", partitioning=Partitioning.RELEASE, key=("id",),
    own_columns=(
        Column("id", pl.Int64(), "Id."),
        Column("share", pl.Float64(), "A share.", nullable=True),
        Column("name", pl.String(), "A name.", nullable=True),
        Column("kind", pl.String(), "A kind.", allowed=("a", "b")),
        Column("when", pl.Date(), "A day.", nullable=True),
        Column("flags", pl.List(pl.String()), "Flags."),
    ),
)  # fmt: skip


def rows(**changed: pl.Series) -> pl.LazyFrame:
    frame = pl.DataFrame({
        "id": [1, 2, 3, 4], "share": [0.5, 1.5, None, 1.0], "name": ["x", "x", None, "y"], "kind": ["a", "b", "a", "a"],
        "when": [date(2026, 1, 1), None, date(2026, 2, 1), None], "flags": [["p"], [], [], ["p", "q"]],
    })  # fmt: skip
    return frame.with_columns(**changed).lazy()


def test_every_column_is_described_by_numbers_that_fit_its_type() -> None:
    found = summarized(TABLE, f"untreated|{KEY}", rows())
    assert (found.rows, found.name) == (4, "t/untreated")
    assert found.unclean == {}
    columns = {one["name"]: one for one in found.as_json()["columns"]}
    assert columns["share"] == {
        "name": "share", "dtype": "Float64", "values": 3, "missing": 1, "unclean": 0, "least": 0.5, "greatest": 1.5,
        "mean": 1.0, "deviation": 0.5,
    }  # fmt: skip
    assert (columns["id"]["mean"], columns["id"]["greatest"]) == (2.5, 4)
    assert (columns["name"]["distinct"], columns["name"]["missing"]) == (3, 1)
    assert columns["kind"]["frequencies"] == {"a": 3, "b": 1}
    assert (columns["when"]["least"], columns["when"]["greatest"]) == ("2026-01-01", "2026-02-01")
    assert set(columns["flags"]) == {"name", "dtype", "values", "missing", "unclean"}
    assert [one["id"] for one in found.examples] == [1, 2, 3]
    assert json.loads(json.dumps(found.as_json()))["examples"][0]["flags"] == ["p"]


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        (pl.Series("share", [0.5, float("nan"), None, 1.0]), "share"),
        (pl.Series("share", [0.5, float("inf"), None, 1.0]), "share"),
        (pl.Series("name", ["x", "NA", None, "y"]), "name"),
        (pl.Series("name", ["x", "-999", None, "y"]), "name"),
    ],
)
def test_a_value_that_means_a_missing_one_is_counted(changed: pl.Series, column: str) -> None:
    assert summarized(TABLE, KEY, rows(**{column: changed})).unclean == {column: 1}


def test_no_treatment_is_an_answer_and_no_missing_value() -> None:
    assert summarized(TABLE, KEY, rows(name=pl.Series("name", ["None", "", None, "y"]))).unclean == {}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    for name, frame in Release().frames().items():
        put(made, name, frame)
    for document in (CROISSANT, DERIVED_CRATE, DATASHEET_REPORT):
        with made.stage_document(document, HERE, Documents().files()[document.name]) as staged:
            made.publish_document(staged)
    return made


def put(store: Store, name: str, frame: pl.DataFrame) -> None:
    with store.stage_table(name, HERE, frame) as staged:
        store.publish_table(staged)


def test_what_is_stored_is_what_is_graded(store: Store) -> None:
    published = published_evidence(store, KEY)
    found = delivered_evidence(store, KEY, delivered(store, KEY), published)
    assert {one.name for one in found.items} == {
        "release_files", "crate_entities", "crate_edges", "release_datasheet"}  # fmt: skip
    assert {name: sorted(files) for name, files in found.documents.items()} == {
        "croissant": ["croissant.json"], "derived_crate": ["ro-crate-metadata.json"],
        "datasheet_report": ["datasheet.yaml", "index.html"],
    }  # fmt: skip
    assert set(found.differing.values()) == {""}
    assert {one.table for one in found.summaries} == {one.name for one in found.items}
    assert (found.altered, found.sampled) == ((), 4 + 4)
    assert (found.splits.height, found.leaks) == (0, None)
    assert published.files.height == 2


def test_a_file_with_other_columns_differs_from_its_schema(store: Store) -> None:
    frame = store.table("crate_edges", HERE).collect()
    put(store, "crate_edges", frame.drop("relation").with_columns(target_index=pl.lit("0"), colour=pl.lit("red")))
    found = delivered_evidence(store, KEY, delivered(store, KEY), published_evidence(store, KEY))
    assert found.differing["tables/crate_edges/release=2026-06-v2.0/data.parquet"] == "relation, target_index, colour"


def test_a_nullable_column_that_an_older_file_lacks_is_no_difference(store: Store) -> None:
    frame = store.table("crate_entities", HERE).collect()
    put(store, "crate_entities", frame.drop("run_by"))
    found = delivered_evidence(store, KEY, delivered(store, KEY), published_evidence(store, KEY))
    assert set(found.differing.values()) == {""}


def test_documents_that_are_damaged_or_gone_are_named_and_not_read(store: Store) -> None:
    root = Path(store.root)
    crate = store.document(DERIVED_CRATE, HERE)
    (root / crate.entry).write_bytes(b"{}")
    (root / store.document(CROISSANT, HERE).entry).unlink()
    found = delivered_evidence(store, KEY, delivered(store, KEY), published_evidence(store, KEY))
    assert set(found.documents) == {"datasheet_report"}
    assert set(found.altered) == {
        "derived_crate/ro-crate-metadata.json was altered",
        "croissant/croissant.json is missing",
    }


def test_an_environment_counts_while_its_list_is_stored_and_is_what_its_name_says(store: Store) -> None:
    text = "polars==2.1\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    making = items()[0].making
    assert making is not None
    made = replace(making, software=replace(SOFTWARE, environment=digest))
    own = [replace(one, making=made) for one in delivered(store, KEY)]
    place = Path(store.root) / environment_path(digest)
    published = published_evidence(store, KEY)
    assert delivered_evidence(store, KEY, own, published).environments == frozenset()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    assert delivered_evidence(store, KEY, own, published).environments == {digest}
    place.write_text("polars==9\n")
    assert delivered_evidence(store, KEY, own, published).environments == frozenset()
