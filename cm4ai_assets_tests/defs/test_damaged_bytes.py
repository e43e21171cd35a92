"""Stored bytes that were altered on the disk: every step that reads them refuses, and whole bytes heal everything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

PARTITION = Partition(RELEASE, "paclitaxel")
PIXELS = "key:if_fields or key:if_tensors or key:if_quality or key:if_cells"


@pytest.fixture(scope="module")
def made(bench: Workbench) -> Workbench:
    bench.register_offered()
    lock = "key:release_files or key:release_changes"
    outcomes = bench.run(RELEASE, "paclitaxel", selection=f"{lock} or group:images")
    assert all(outcome.succeeded for outcome in outcomes), [outcome.failure for outcome in outcomes]
    return bench


@contextmanager
def flipped(path: Path, at: int) -> Iterator[None]:
    """One bit of a file, and the right bytes put back afterwards."""
    whole = path.read_bytes()
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)
        path.chmod(mode)


def _zip(bench: Workbench) -> tuple[str, Path]:
    row = bench.platform.store.table("if_archive", PARTITION).collect().row(0, named=True)
    return row["sha256"], Path(bench.platform.store.root) / row["path"]


def _in_an_image(bench: Workbench, sha256: str) -> int:
    """A place in the middle of a published image that becomes part of a field."""
    members = bench.platform.store.table("if_quality", PARTITION).collect()["member"]
    with bench.platform.blobs.open(sha256) as source:
        member = next(one for one in read_directory(source).members if one.name == members[0])
    return member.header_offset + 60 + member.compressed_size // 2


def _tensor_files(bench: Workbench) -> dict[str, str]:
    root = Path(bench.platform.store.root)
    files = (path for path in (root / "tensors").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _failure(bench: Workbench, outcome: Outcome) -> str:
    """Why a run failed, by its event log: the errors of its steps with their causes."""
    assert not outcome.succeeded
    told = []
    for entry in bench.instance.all_logs(outcome.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        assert entry.dagster_event is not None
        error = entry.dagster_event.step_failure_data.error
        while error is not None:
            told.append(error.message)
            error = error.cause
    return " ".join(told)


def test_a_flipped_bit_of_a_zip_is_refused_and_named_and_the_right_bytes_give_the_same_tensor(made: Workbench) -> None:
    sha256, path = _zip(made)
    before = _tensor_files(made)
    fields = made.platform.store.table("if_fields", PARTITION).collect()
    store = made.platform.store
    for name in [name for name in before if ".zarr" in name]:
        store.remove(name.split(".zarr")[0] + ".zarr")
    with flipped(path, _in_an_image(made, sha256)):
        (outcome,) = made.run(RELEASE, "paclitaxel", selection="key:if_archive")
        assert sha256 in _failure(made, outcome)
        (outcome,) = made.run(RELEASE, "paclitaxel", selection=PIXELS)
        assert sha256 in _failure(made, outcome)
        assert "cm4ai withdraw" in _failure(made, outcome)
        assert not [name for name in _tensor_files(made) if ".zarr" in name]
    (outcome,) = made.run(RELEASE, "paclitaxel", selection=PIXELS)
    assert outcome.succeeded, outcome.failure
    assert _tensor_files(made) == before
    assert store.table("if_fields", PARTITION).collect().equals(fields)


def test_the_check_of_reused_bytes_says_that_they_were_read_again(made: Workbench) -> None:
    (outcome,) = made.run(RELEASE, "paclitaxel", selection="key:if_archive")
    (check,) = (check for check in outcome.checks if check.check_name == "digest_and_size")
    assert check.passed
    assert "read again now" in str(check.description)


@pytest.mark.parametrize("name", ["if_images", "if_antibodies"])
def test_a_step_that_reads_a_part_of_a_zip_refuses_a_flip_in_that_part(made: Workbench, name: str) -> None:
    sha256, path = _zip(made)
    with made.platform.blobs.open(sha256) as source:
        directory = read_directory(source)
    at = directory.offset + 50
    with flipped(path, at):
        (outcome,) = made.run(RELEASE, "paclitaxel", selection=f"key:{name}")
        assert sha256 in _failure(made, outcome)
    (outcome,) = made.run(RELEASE, "paclitaxel", selection=f"key:{name}")
    assert outcome.succeeded, outcome.failure


def test_a_flip_in_a_crate_or_an_annotation_file_changes_no_table(made: Workbench) -> None:
    selection = "key:crate_entities or key:crate_edges or key:release_datasheet"
    assert all(outcome.succeeded for outcome in made.run(RELEASE, selection=selection))
    store, root = made.platform.store, Path(made.platform.store.root)
    tables = {name: store.table(name, Partition(RELEASE)).collect() for name in ("crate_entities", "release_datasheet")}
    zips = {row["sha256"] for row in [store.table("if_archive", PARTITION).collect().row(0, named=True)]}
    refused = 0
    for path in sorted((root / "blobs" / "sha256").glob("*/*")):
        if path.name in zips:
            continue
        with flipped(path, path.stat().st_size // 2), pytest.raises(StoredBytesDamagedError):
            made.platform.blobs.verify(path.name)
        with flipped(path, path.stat().st_size // 2):
            outcomes = made.run(RELEASE, selection=selection)
            for outcome in outcomes:
                refused += not outcome.succeeded
                assert outcome.succeeded or path.name in _failure(made, outcome)
            for name, before in tables.items():
                assert store.table(name, Partition(RELEASE)).collect().equals(before), (path, name)
    assert refused


def test_the_failure_reaches_dagster_in_one_sentence(made: Workbench) -> None:
    _, path = _zip(made)
    with flipped(path, path.stat().st_size // 3):
        (outcome,) = made.run(RELEASE, "paclitaxel", selection="key:if_archive")
    (check,) = (check for check in outcome.checks if check.check_name == "digest_and_size")
    assert not check.passed
    assert "was altered after it was stored" in str(check.description)
    event = made.instance.get_latest_materialization_event(dg.AssetKey("if_archive"))
    assert event is not None


@pytest.mark.parametrize("name", ["if_images", "if_antibodies", "if_archive"])
def test_a_flip_in_a_table_that_a_step_reads_stops_the_step_and_names_the_table(made: Workbench, name: str) -> None:
    root = Path(made.platform.store.root)
    path = f"tables/{name}/release={RELEASE}/condition=paclitaxel/data.parquet"
    with flipped(root / path, (root / path).stat().st_size // 2):
        (outcome,) = made.run(RELEASE, "paclitaxel", selection=PIXELS)
        assert f"cm4ai withdraw {path}" in _failure(made, outcome)
        assert "if_fields" not in outcome.made


@pytest.mark.parametrize("name", ["zarr.json", "image/zarr.json", "statistics"])
def test_a_reused_tensor_whose_metadata_or_statistics_were_altered_is_made_again(made: Workbench, name: str) -> None:
    root, store = Path(made.platform.store.root), made.platform.store
    row = store.table("if_tensors", PARTITION).collect().row(0, named=True)
    quality = store.table("if_quality", PARTITION).collect()
    (statistics,) = (root / "tensors" / "if_quality").glob(f"{Path(row['path']).stem}.parquet")
    path = statistics if name == "statistics" else root / row["path"] / name
    before = _tensor_files(made)
    whole = path.read_bytes()
    at = whole.index(b'"green"') + 1 if b'"green"' in whole else len(whole) // 2
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    (outcome,) = made.run(RELEASE, "paclitaxel", selection=PIXELS)
    assert outcome.succeeded, outcome.failure
    assert _tensor_files(made) == before
    assert store.table("if_quality", PARTITION).collect().equals(quality)


def test_the_page_of_what_reads_parts_says_when_all_was_last_read(made: Workbench) -> None:
    pages, began = [], datetime.now(UTC)
    for _ in range(2):
        outcomes = made.run(RELEASE, "paclitaxel", selection="key:massive_files or key:apms_runs")
        assert all(outcome.succeeded for outcome in outcomes), [outcome.failure for outcome in outcomes]
        event = made.instance.get_latest_materialization_event(dg.AssetKey("apms_runs"))
        assert event is not None
        assert event.asset_materialization is not None
        pages.append(str(event.asset_materialization.metadata["verified"].value))
    assert "all of it" in pages[0]
    day = date.fromisoformat(pages[1].removeprefix("all of it on ")[:10])
    assert began.date() <= day <= datetime.now(UTC).date()
    assert "not again now" in pages[1]
