"""Opening what is published, as a scientist does."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import polars as pl
import pyarrow.dataset as ds
import pytest
import zarr

from cm4ai_assets import open_release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import (
    ConfigurationError,
    NotMaterializedError,
    SelectionError,
    TensorStoreError,
    UnknownReleaseError,
    UnknownTreatmentError,
)
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import write_if_zip
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

FIELDS = 8


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("access")
    write_if_zip(folder / "if.zip", condition=Condition.UNTREATED, fields=FIELDS)
    settings = Settings(storage=str(folder / "storage"), scratch=folder / "scratch", tensor_size=256)
    bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    bench.store_as_release(folder / "if.zip", Condition.UNTREATED)
    (outcome,) = bench.run(RELEASE, "untreated", selection="group:images")
    assert outcome.succeeded, outcome.failure
    return folder / "storage"


def test_the_newest_release_is_opened_lazily(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", str(storage))
    release = open_release()
    assert release.key == RELEASE
    assert release.conditions == (Condition.UNTREATED,)
    assert isinstance(release.table("if_fields"), pl.LazyFrame)
    tensor = release.tensors("CTRL")
    assert tensor.shape == (FIELDS, 4, 256, 256)
    assert tensor.dtype == np.uint8
    assert tensor[0, 2, :16, :16].shape == (16, 16)
    assert [channel["name"] for channel in tensor.attrs["channels"]] == ["red", "green", "blue", "yellow"]


def test_what_is_not_there_says_how_to_get_it(storage: Path, tmp_path: Path) -> None:
    with pytest.raises(NotMaterializedError, match="cm4ai materialize --release latest"):
        open_release(storage=str(tmp_path))
    with pytest.raises(UnknownReleaseError, match=r"Known: 2026-06-v2\.0"):
        open_release("2025-06-v2.1", storage=str(storage))
    with pytest.raises(UnknownReleaseError, match="is not a release key"):
        open_release("newest", storage=str(storage))
    release = open_release(storage=str(storage))
    with pytest.raises(NotMaterializedError, match="publishes no files of that kind"):
        release.tensors("paclitaxel")
    with pytest.raises(UnknownTreatmentError):
        release.tensors("aspirin")
    with pytest.raises(NotMaterializedError, match=r"splits of 2026-06-v2.0 is not materialized"):
        release.table("splits")


def test_polars_duckdb_and_pyarrow_read_the_same_rows_without_this_package(storage: Path) -> None:
    files = f"{storage}/tables/if_fields/**/*.parquet"
    by_polars = pl.scan_parquet(files, hive_partitioning=True).select(pl.len()).collect().item()
    by_arrow = ds.dataset(f"{storage}/tables/if_fields", partitioning="hive").to_table().num_rows
    by_duckdb = duckdb.sql(f"SELECT count(*) FROM read_parquet('{files}', hive_partitioning = true)").fetchall()
    assert by_polars == by_arrow == FIELDS
    assert by_duckdb == [(FIELDS,)]


def test_zarr_reads_the_store_without_this_package(storage: Path) -> None:
    path = open_release(storage=str(storage)).table("if_tensors").collect()["path"].item()
    array = zarr.open_array(storage / path, path="image", mode="r")
    assert array.shape == (FIELDS, 4, 256, 256)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("parent_has_read", [False, True])
def test_a_loader_reads_the_same_however_its_workers_start(
    storage: Path, method: str, *, parent_has_read: bool
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    release = open_release(storage=str(storage))
    dataset = release.torch(conditions=["untreated"], with_controls=True)
    assert len(dataset) == FIELDS
    if parent_has_read:
        assert dataset[0]["image"].shape == (4, 256, 256)
        release.table("if_fields").collect()
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=3, num_workers=2, multiprocessing_context=method, shuffle=False, timeout=60
    )
    batches = list(loader)
    images = torch.cat([batch["image"] for batch in batches]).numpy()
    assert np.array_equal(images, release.tensors("untreated")[:])
    assert [name for batch in batches for name in batch["field_id"]] == (
        release.table("if_fields").sort("tensor_index").collect()["field_id"].to_list()
    )


def test_controls_come_only_on_request_and_a_condition_counts_once(storage: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    release = open_release(storage=str(storage))
    controls = release.table("if_fields").filter("is_control").collect()["field_id"].to_list()
    assert controls, "the sandbox has control wells"
    plain = release.torch(conditions=["untreated", "control", "CTRL"])
    assert len(plain) == FIELDS - len(controls)
    assert not {item.field_id for item in plain.items} & set(controls)
    assert len(release.torch(with_controls=True)) == FIELDS
    with pytest.raises(NotMaterializedError, match="splits"):
        release.torch(split="train")
    with pytest.raises(NotMaterializedError, match=r"of paclitaxel of 2026-06-v2\.0 is not there"):
        release.torch(conditions=["untreated", "paclitaxel"])


def test_rows_of_another_release_are_not_read_from_this_one(storage: Path) -> None:
    release = open_release(storage=str(storage))
    fields = release.fields(with_controls=True)
    assert len(release.loader(fields, conditions="untreated", batch_size=1)) == FIELDS
    with pytest.raises(SelectionError, match=rf"rows of 2025-10-v1\.1, and not of {RELEASE}\. Open that release"):
        release.loader(fields.with_columns(release=pl.lit("2025-10-v1.1")))
    assert list(release.loader(labels="condition", batch_size=1).source.labels) == ["condition"]
    with pytest.raises(SelectionError, match="conditions is an empty list"):
        release.loader(conditions=[])


def test_a_renamed_release_lends_its_pixels_to_the_loader(storage: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    store = open_release(storage=str(storage)).store
    renamed = Partition("2026-06-v2.1")
    frame = store.table("release_files", Partition(RELEASE)).with_columns(
        release=pl.lit(renamed.release), version=pl.lit("2.1"), label=pl.lit("other-name.zip")
    )
    with store.stage_table("release_files", renamed, frame.collect()) as staged:
        store.publish_table(staged)
    release = open_release(renamed.release, storage=str(storage))
    assert release.shared == {"untreated": RELEASE}
    assert len(release.torch(with_controls=True)) == FIELDS
    store.remove("tables/release_files/release=2026-06-v2.1")


def test_a_tensor_that_lost_a_shard_is_refused_and_not_read_as_zeros(storage: Path) -> None:
    release = open_release(storage=str(storage))
    shard = storage / release.table("if_tensors").collect()["path"].item() / "image" / "c" / "0" / "0" / "0" / "0"
    aside = shard.rename(shard.with_name("aside"))
    try:
        with pytest.raises(TensorStoreError, match=r"incomplete: image/c/0/0/0/0 is missing"):
            release.tensors("untreated")
    finally:
        aside.rename(shard)
    assert release.tensors("untreated")[0].max() > 0


def test_chosen_fields_are_what_is_loaded(storage: Path) -> None:
    release = open_release(storage=str(storage))
    chosen = release.fields(condition="untreated").sample(3, seed=1)
    loader = release.loader(chosen, batch_size=2, shuffle="none", labels=["condition"], tensors=False)
    batches = list(loader)
    assert [name for batch in batches for name in batch["field_id"]] == chosen["field_id"].to_list()
    assert batches[1]["condition_label"].tolist() == [0]
    tensor = release.tensors("untreated")
    assert np.array_equal(batches[1]["image"][0], tensor[chosen["tensor_index"][2]])
    assert len(list(release.loader(conditions=["CTRL"], batch_size=1))) == release.fields(condition="CTRL").height
    with pytest.raises(SelectionError, match="No field is left to load"):
        release.loader(chosen, conditions=["paclitaxel"])
    with pytest.raises(NotMaterializedError, match="splits of 2026-06-v2"):
        release.loader(chosen, split="train")


def test_a_smaller_size_is_computed_or_stored_with_the_same_pixels(storage: Path) -> None:
    release = open_release(storage=str(storage))

    def images(*, stored: bool) -> np.ndarray:
        loader = release.loader(size=64, batch_size=FIELDS, shuffle="none", with_controls=True, tensors=False)
        (reader,) = loader.source._readers.values()
        assert (reader.edge, reader.size) == ((64, 64) if stored else (256, 64))
        return next(iter(loader))["image"]

    computed = images(stored=False)
    (path,) = release.store_level(64)
    assert path.startswith("tensors/if_levels/")
    assert np.array_equal(images(stored=True), computed)
    assert np.array_equal(images(stored=True), zarr.open_array(storage / path, path="image", mode="r")[:])
    release.store.remove(path)
    with pytest.raises(ConfigurationError, match="100 does not divide the edge length 256"):
        release.loader(size=100)
