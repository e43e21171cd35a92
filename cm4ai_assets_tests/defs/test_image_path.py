"""The image path, from the served archive to tensors, through Dagster."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import socket
import zipfile
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cm4ai_assets.access import Release, open_release
from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.images.decode import PlaneDecoder
from cm4ai_assets.lineage.delivered import delivered
from cm4ai_assets.platform import Platform
from cm4ai_assets.references import Kind
from cm4ai_assets.sandbox import SandboxServer, plates
from cm4ai_assets.sandbox import cells as painted
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.file_digests import FileDigests
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.nuclei import open_labels, read_labels
from cm4ai_assets.storage.sharding import ShardFiles
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets.verification import verify
from cm4ai_assets_tests.cells.painting import f1, matches
from cm4ai_assets_tests.defs.conftest import FIELDS, RELEASE, Workbench

PATH = "key:release_files or key:release_changes or group:images"
PLANE = {"red": 0, "green": 1, "blue": 2, "yellow": 0}


@pytest.fixture(scope="module")
def outcomes(bench: Workbench) -> list[Outcome]:
    assert RELEASE in bench.register_offered()
    return bench.run(RELEASE, selection=PATH)


@pytest.fixture(scope="module")
def storage(bench: Workbench, outcomes: list[Outcome]) -> Path:
    assert all(outcome.succeeded for outcome in outcomes), [outcome.failure for outcome in outcomes]
    return Path(bench.platform.store.root)


def test_one_run_makes_the_lock_and_one_each_condition(outcomes: list[Outcome], storage: Path) -> None:
    assert [str(outcome.partition) for outcome in outcomes] == [RELEASE, *(f"{c}|{RELEASE}" for c in Condition)]
    assert all(not outcome.unmade for outcome in outcomes)
    assert {"if_archive", "if_images", "if_antibodies", "if_fields", "if_tensors", "if_quality", "if_cells"} <= set(
        outcomes[1].made
    )


def test_the_storage_says_which_run_made_what_of_what(outcomes: list[Outcome], bench: Workbench, storage: Path) -> None:
    store, runs = bench.platform.store, {outcome.partition: outcome.run_id for outcome in outcomes}
    found = delivered(store, RELEASE)
    assert {one.kind for one in found} == {Kind.TABLE, Kind.TENSOR, Kind.NUCLEI}
    digests = {one.path: one.digest for one in found}
    for one in found:
        assert one.making is not None, one.path
        assert one.making.run_id == runs[one.partition]
        assert (one.making.asset, one.making.partition, one.making.digest) == (one.name, one.partition, one.digest)
        assert one.making.started is not None
        assert one.making.started <= one.making.ended
        for given in one.making.inputs:
            assert given.digest == digests.get(given.path, given.path.rsplit("/", 1)[-1]), given
    (fields,) = (one for one in found if one.name == "if_fields" and one.partition.condition == "paclitaxel")
    assert fields.making is not None
    where = f"release={RELEASE}/condition=paclitaxel"
    upstream = {given.path for given in fields.making.inputs if not given.path.startswith("blobs/")}
    assert upstream == {f"tables/{name}/{where}/data.parquet" for name in ("if_archive", "if_images", "if_antibodies")}
    (zipped,) = (given for given in fields.making.inputs if given.path.startswith("blobs/"))
    assert zipped.digest == store.table("if_archive", fields.partition).collect()["sha256"].item()


def test_blocking_checks_ran_and_passed_for_each_partition(outcomes: list[Outcome], storage: Path) -> None:
    for outcome in outcomes[1:]:
        evaluated = {(check.asset_key.path[-1], check.check_name): check for check in outcome.checks}
        for name in ("digest_and_size", "zip_safe", "schema"):
            assert evaluated["if_archive", name].passed
        assert evaluated["if_tensors", "tensor_matches_images"].passed
        assert evaluated["if_cells", "cells_match_labels"].passed
        for name in ("cells_per_field", "fields_with_cells", "cells_plausible", "cells_whole"):
            assert ("if_cells", name) in evaluated
        assert {check.partition for check in outcome.checks} == {str(outcome.partition)}


def test_every_pixel_of_a_field_is_the_area_average_of_the_published_plane(bench: Workbench, storage: Path) -> None:
    release = open_release(RELEASE, storage=str(storage))
    for condition in release.conditions:
        fields = release.table("if_fields").filter(pl.col("condition") == str(condition)).collect()
        images = release.table("if_images").filter(pl.col("condition") == str(condition), pl.col("kind") == "channel")
        members = {(row["field_id"], row["channel"]): row["member"] for row in images.collect().iter_rows(named=True)}
        blob = bench.platform.store.table("if_archive", Partition(RELEASE, condition)).collect()["path"].item()
        tensor = release.tensors(condition)
        assert tensor.shape == (fields["tensor_index"].count(), 4, 1024, 1024)
        stored = fields.filter(pl.col("tensor_index").is_not_null())
        with zipfile.ZipFile(storage / blob) as archive:
            for field_id, row in stored.select("field_id", "tensor_index").rows()[:3]:
                for place, channel in enumerate(CHANNELS):
                    with Image.open(io.BytesIO(archive.read(members[field_id, channel]))) as image:
                        plane = np.asarray(image)[:, :, PLANE[channel]]
                    expected = np.rint(plane.reshape(1024, 2, 1024, 2).mean(axis=(1, 3)))
                    assert np.array_equal(tensor[row, place], expected), (field_id, channel)


def test_nuclei_of_the_published_images_are_those_that_were_painted(storage: Path) -> None:
    release = open_release(RELEASE, storage=str(storage))
    for condition in release.conditions:
        cells = release.cells(condition, size=256)
        by_field = {cells.table["field_id"][n]: int(cells.table["tensor_index"][n]) for n in range(len(cells))}
        labels = open_labels(release.store.fs, release.store.address(cells.table["path"][0]))
        results = []
        for field in plates.fields_of(condition, FIELDS, 1):
            field_id = field.stem.replace(plates.LABELS[condition], str(condition))
            if field_id in by_field:
                found = read_labels(labels, by_field[field_id])
                results.append(matches(painted.nuclei(field, 1, 1024), found))
        assert len(results) == cells.fields.filter(pl.col("nuclei") > 0).height
        assert f1(results) >= 0.9, (condition, results)
        assert cells[0].shape == (4, 256, 256)
        assert cells.mask(0).any()


def test_strays_and_composites_are_seen_and_become_no_field(storage: Path) -> None:
    release = open_release(RELEASE, storage=str(storage))
    images = release.table("if_images").filter(pl.col("condition") == "paclitaxel").collect()
    strays = images.filter(pl.col("defects").list.contains("other_condition"), pl.col("kind") == "channel")
    assert strays["image_condition"].to_list() == ["untreated"] * 4
    assert images.filter(pl.col("kind") == "composite").height > 0
    fields = release.table("if_fields").filter(pl.col("condition") == "paclitaxel").collect()
    assert fields.height == FIELDS
    assert not set(strays["field_id"]) & set(fields["field_id"])


def test_every_table_names_its_dataset_and_licence(storage: Path) -> None:
    files = sorted((storage / "tables").rglob("*.parquet"))
    assert files
    for path in files:
        metadata = pq.read_metadata(path).metadata
        if "release=" in str(path):
            assert metadata[b"doi"].startswith(b"doi:10.5072/"), path
            assert metadata[b"license"] == b"CC BY-NC-SA 4.0", path


def test_every_tensor_store_names_the_dataset_and_licence_it_was_made_for(bench: Workbench, storage: Path) -> None:
    store = bench.platform.store
    lock = store.table("release_files", Partition(RELEASE)).collect()
    groups = sorted((storage / "tensors").glob("*/*.zarr/zarr.json"))
    assert groups
    for group in groups:
        stated = json.loads(group.read_text())["attributes"]["first_published_in"]
        assert stated == {"doi": lock["doi"][0], "version": lock["version"][0], "license": "CC BY-NC-SA 4.0"}


def test_no_check_of_a_partition_gives_a_number_that_would_be_plotted(outcomes: list[Outcome]) -> None:
    shown = [check.metadata for outcome in outcomes for check in outcome.checks]
    assert any("counts" in metadata for metadata in shown)
    for metadata in shown:
        assert not [v for v in metadata.values() if isinstance(v, dg.IntMetadataValue | dg.FloatMetadataValue)]


def test_a_raw_asset_tells_where_its_bytes_come_from(bench: Workbench, storage: Path) -> None:
    event = bench.instance.get_latest_materialization_event(dg.AssetKey("if_archive"))
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    assert str(told["doi"].value).startswith("doi:10.5072/")
    assert {"file_id", "sha256", "published_digest", "size", "source", "landing_page", "license"} <= told.keys()
    assert isinstance(told["file_id"], dg.TextMetadataValue)  # Dagster would plot a number
    data = (storage / "blobs" / "sha256" / str(told["sha256"].value)[:2] / str(told["sha256"].value)).read_bytes()
    assert hashlib.sha256(data).hexdigest() == told["sha256"].value
    assert f"MD5:{hashlib.md5(data).hexdigest()}" == told["published_digest"].value


def test_pages_show_pictures_and_counts(bench: Workbench, storage: Path) -> None:
    graph = bench.defs.resolve_asset_graph()
    shown = {}
    for name in ("if_fields", "if_quality", "if_tensors"):
        event = bench.instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event is not None
        assert event.asset_materialization is not None
        shown[name] = event.asset_materialization.metadata
        assert "dagster/row_count" in shown[name]
        assert "dagster/column_schema" in graph.get(dg.AssetKey(name)).metadata
        assert graph.get(dg.AssetKey(name)).owners
    assert str(shown["if_fields"]["contact_sheet"].value).startswith("![fields of view")
    assert "data:image/webp;base64," in str(shown["if_fields"]["contact_sheet"].value)
    assert "data:image/png;base64," in str(shown["if_quality"]["intensities"].value)
    assert shown["if_tensors"]["images_per_second"].value
    assert "decoded again from the ZIP by Pillow" in str(shown["if_tensors"]["audit"].value)
    # Words in a picture cannot be searched.
    on_sheet = str(shown["if_fields"]["contact_sheet_shows"].value).split(", ")
    tables = [bench.platform.store.table("if_fields", Partition(RELEASE, one)).collect() for one in CONDITIONS]
    assert set(on_sheet) in [set(fields["field_id"]) for fields in tables]
    assert set(str(shown["if_tensors"]["channels_shown_of"].value).split(", ")) < set(on_sheet)


def test_materializing_again_fetches_nothing_decodes_nothing_and_writes_the_same_bytes(
    bench: Workbench, archive: SandboxServer, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _stored(storage)
    archive.clear_log()
    work: list[str] = []
    for kind, method in (
        (PlaneDecoder, "plane"), (ShardFiles, "append"), (Store, "publish_tree"), (BlobStore, "add"),
        (BlobStore, "_read_whole"),
    ):  # fmt: skip
        monkeypatch.setattr(kind, method, lambda *_, name=f"{kind.__name__}.{method}", **__: work.append(name))
    present, read_whole = FileDigests.present, list[str]()
    monkeypatch.setattr(
        FileDigests,
        "present",
        lambda self, path, *more, **named: read_whole.append(path) or present(self, path, *more, **named),
    )
    again = bench.run(RELEASE, "paclitaxel", selection=PATH)
    assert work == []
    assert not [path for path in read_whole if path.startswith("blobs/")], "acquisition has read it"
    assert [outcome.succeeded for outcome in again] == [True, True]
    assert _stored(storage) == before
    assert not [record for record in archive.log if "/access/datafile/" in record.path]
    event = bench.instance.get_latest_materialization_event(dg.AssetKey("if_tensors"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["images_decoded"].value == 0


def _stored(storage: Path) -> dict[Path, bytes]:
    """Every stored file but the notes of when something was last read again, and of which run made it."""
    notes = {"verified", "makings"}
    files = (path for path in storage.rglob("*") if path.is_file() and not notes & set(path.parts))
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in files}


def test_with_everything_stored_no_socket_is_opened(
    bench: Workbench, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []

    def refuse(_: socket.socket, address: object) -> None:
        opened.append(address)
        raise AssertionError(f"a socket to {address} was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    outcomes = bench.run(RELEASE, "paclitaxel", selection="group:images")
    assert [outcome.succeeded for outcome in outcomes] == [True], [outcome.failure for outcome in outcomes]
    assert opened == []


def test_a_tensor_made_again_has_the_same_bytes(bench: Workbench, storage: Path) -> None:
    store = bench.platform.store
    row = store.table("if_tensors", Partition(RELEASE, "untreated")).collect().row(0, named=True)
    folder = storage / row["path"]
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    assert [
        o.succeeded
        for o in bench.run(RELEASE, "untreated", selection="key:if_fields or key:if_tensors or key:if_quality")
    ] == [True]
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_verify_finds_nothing_wrong_and_then_finds_each_flipped_bit(bench: Workbench, storage: Path) -> None:
    assert [item for item in verify(bench.platform.store, release=RELEASE) if item.problems] == []
    row = bench.platform.store.table("if_tensors", Partition(RELEASE, "vorinostat")).collect().row(0, named=True)
    shard = next(path for path in (storage / row["path"]).rglob("*") if path.is_file() and path.suffix != ".json")
    blob = bench.platform.store.table("if_archive", Partition(RELEASE, "vorinostat")).collect()["path"].item()
    for path, what in ((shard, "tensor"), (storage / blob, "blob")):
        whole = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        damaged = [item for item in verify(bench.platform.store, release=RELEASE) if item.problems]
        path.write_bytes(whole)
        assert len(damaged) == 1
        assert damaged[0].what.startswith(what)


def test_the_whole_path_works_on_storage_that_is_not_local(
    archive: SandboxServer, tmp_path: Path, storage: Path
) -> None:
    settings = Settings.served_by(
        archive.url, storage=f"memory://{tmp_path.name}", scratch=tmp_path / "scratch", tensor_size=1024
    )
    remote = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    remote.register_offered()
    outcomes = remote.run(RELEASE, "paclitaxel", selection=PATH)
    assert [outcome.succeeded for outcome in outcomes] == [True, True], [outcome.failure for outcome in outcomes]
    assert [item for item in verify(remote.platform.store) if item.problems] == []
    here, there = open_release(RELEASE, storage=str(storage)), Release(RELEASE, remote.platform.store)
    assert np.array_equal(there.tensors("paclitaxel")[2], here.tensors("paclitaxel")[2])
    wanted = here.table("if_fields").filter(condition="paclitaxel").collect()
    assert there.table("if_fields").collect().equals(wanted)
    assert [path for path in (tmp_path / "scratch" / ".staging").iterdir() if path.is_dir()] == []
