"""The pass over a tensor and the store it makes: once, the same on any number of threads, never half."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.cells import passes, products
from cm4ai_assets.cells.passes import CellsProgress, run_pass
from cm4ai_assets.cells.products import product_of
from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage import nuclei, tensors
from cm4ai_assets.storage.nuclei import CELLS_FILE, SEGMENTATION_VERSION, open_labels, read_labels
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.tables import table
from cm4ai_assets_tests.cells.conftest import CONDITION, DARK_FIELD, EDGE, FIELDS, PARTITION, Room
from cm4ai_assets_tests.cells.painting import f1, matches


def _made(room: Room, folder: Path, workers: int) -> dict[str, bytes]:
    reader = ShardReader(room.store.url, room.store.address(room.tensor))
    tensor = tensors.read_record(room.store.fs, room.store.address(room.tensor))
    run_pass(reader, tensor, folder, first_published_in={"doi": "doi:x"}, workers=workers)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_bytes_are_the_same_on_any_number_of_threads(room: Room, tmp_path: Path) -> None:
    assert _made(room, tmp_path / "one", 1) == _made(room, tmp_path / "three", 3)


def test_labels_are_the_painted_nuclei_and_rows_are_what_the_table_declares(shared_room: Room) -> None:
    cells = shared_room.store.table("if_cells", PARTITION).collect()
    assert table("if_cells").violations(cells) == []
    array = open_labels(shared_room.store.fs, shared_room.store.address(cells["path"][0]))
    assert (array.shape, array.dtype) == ((FIELDS, EDGE, EDGE), np.uint16)
    results = [matches(truth, read_labels(array, index)) for index, truth in enumerate(shared_room.truth)]
    assert f1(results) > 0.9
    for index in range(FIELDS):
        rows = cells.filter(pl.col("tensor_index") == index)
        assert rows["field_id"].unique().to_list() == (
            [] if index == DARK_FIELD else [shared_room.fields["field_id"][index]]
        )
        assert rows["cell"].to_list() == list(range(1, int(read_labels(array, index).max()) + 1))
    assert cells["segmentation_version"].unique().to_list() == [SEGMENTATION_VERSION]


def test_the_store_says_what_it_is_and_why_a_field_has_no_nucleus(bare_room: Room) -> None:
    with product_of(bare_room.store, bare_room.tensor, first_published_in={"doi": "doi:x"}) as product:
        record, fields = product.record, product.fields()
        group = json.loads(bare_room.store.fs.cat_file(f"{product.store_path}/{METADATA}"))
    assert product.path == f"tensors/if_cells/{record.source_sha256[:16]}-{EDGE}-v2-s{SEGMENTATION_VERSION}.zarr"
    assert group["attributes"]["first_published_in"] == {"doi": "doi:x"}
    assert "watershed" in record.algorithm
    assert fields["nuclei"].sum() == record.nuclei > 0
    assert fields.row(DARK_FIELD, named=True) | {"labels_sha256": ""} == {
        "tensor_index": DARK_FIELD, "nuclei": 0, "specks": 0, "level": 6, "reason": "dark", "labels_sha256": "",
    }  # fmt: skip
    assert fields["reason"].null_count() == FIELDS - 1


def test_a_second_release_reuses_what_is_there(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    first = room.publish_cells()
    monkeypatch.setattr(products, "run_pass", lambda *_, **__: pytest.fail("found again"))
    with product_of(room.store, room.tensor, first_published_in={}) as product:
        again = product.table(room.fields, release="2026-09-v1.0", condition=CONDITION)
        assert product.seconds is None
    assert again.drop("release").equals(first.drop("release"))


def test_what_was_not_published_is_gone_and_nothing_half_stands(bare_room: Room) -> None:
    with product_of(bare_room.store, bare_room.tensor, first_published_in={}) as product:
        path = product.path
    assert not bare_room.store.exists(path)
    assert not Path(product.store_path).exists()


def test_a_damaged_store_is_made_again(room: Room) -> None:
    before = room.publish_cells()
    path = Path(room.store.address(before["path"][0])) / CELLS_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with product_of(room.store, room.tensor, first_published_in={}) as product:
        assert product.seconds is not None
        product.publish()
    assert room.publish_cells().equals(before)


def test_nuclei_of_other_pixels_under_the_same_name_are_refused(room: Room) -> None:
    cells = room.publish_cells()
    group = Path(room.store.address(cells["path"][0])) / METADATA
    stated = json.loads(group.read_text())
    stated["attributes"]["cm4ai"]["tensor_digest"] = "0" * 64
    group.write_text(json.dumps(stated))
    room.store.digests.forget(cells["path"][0])
    with (
        pytest.raises(TensorStoreError, match="other pixels"),
        product_of(room.store, room.tensor, first_published_in={}),
    ):
        pass


def test_a_tensor_that_lost_a_shard_ends_the_pass_and_leaves_nothing(bare_room: Room) -> None:
    (Path(bare_room.store.address(bare_room.tensor)) / tensors.shard_key(1)).unlink()
    with (
        pytest.raises(TensorStoreError, match="incomplete"),
        product_of(bare_room.store, bare_room.tensor, first_published_in={}),
    ):
        pass
    assert bare_room.store.find("tensors/if_cells") == []


def test_a_shard_that_goes_away_meanwhile_ends_the_pass(
    bare_room: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(products.tensors, "require_complete", lambda *_: None)
    (Path(bare_room.store.address(bare_room.tensor)) / tensors.shard_key(1)).unlink()
    with (
        pytest.raises(TensorStoreError, match="missing"),
        product_of(bare_room.store, bare_room.tensor, first_published_in={}),
    ):
        pass
    assert bare_room.store.find("tensors/if_cells") == []
    assert list(tmp_path.rglob(f"nuclei/{METADATA}")) == []


def test_progress_ends_with_all_fields(bare_room: Room) -> None:
    seen: list[CellsProgress] = []
    with product_of(bare_room.store, bare_room.tensor, first_published_in={}, progress=seen.append) as product:
        assert (seen[-1].fields_done, seen[-1].fields_total) == (FIELDS, FIELDS)
        assert seen[-1].nuclei == product.record.nuclei


def test_a_lost_shard_of_labels_is_an_error_and_not_a_field_without_nuclei(room: Room) -> None:
    cells = room.publish_cells()
    address = room.store.address(cells["path"][0])
    array = open_labels(room.store.fs, address)
    (Path(address) / nuclei.NUCLEI.key(1)).unlink()
    with pytest.raises(TensorStoreError, match="nuclei/c/1/0/0 is missing"):
        read_labels(array, FIELDS - 1)
    with pytest.raises(TensorStoreError, match="incomplete"):
        nuclei.require_complete(room.store.fs, address)


def test_rows_stand_in_groups_whatever_fields_they_came_with() -> None:
    frames = [pl.DataFrame({"a": np.arange(size)}) for size in (60_000, 5_000, 1_000, 64_000, 1)]
    groups = list(passes._regrouped(frames))
    assert [group.height for group in groups] == [65_536, 64_465]
    assert pl.concat(groups).equals(pl.concat(frames))
    assert list(passes._regrouped([])) == []


def test_a_tensor_without_fields_has_a_store_without_rows(tmp_path: Path) -> None:
    tensor = tensors.StoreRecord("ab" * 32, EDGE, 0, tensors.tensor_digest([]), ())

    class _Nothing:
        n_fields, edge = 0, EDGE

        def read(self, index: int) -> tensors.Pixels:
            raise IndexError(index)

    record = run_pass(_Nothing(), tensor, tmp_path / "made", first_published_in={})
    assert (record.n_fields, record.nuclei) == (0, 0)
    assert table("if_cells").polars_schema["cell"] == pl.read_parquet(tmp_path / "made" / CELLS_FILE).schema["cell"]
