"""The main job, `verify` and the loader with the storage on an object store: a local S3 server.

The requests of each are counted, and may not become more than `LIMITS` says: docs/several-machines.md states them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from cm4ai_assets import cli, open_release
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.rebuilding import rebuild
from cm4ai_assets.lineage.trace import trace_thing
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import Settings
from cm4ai_assets_tests.defs.conftest import FIELDS, RELEASE, Workbench
from cm4ai_assets_tests.storage.s3 import WatchedServer, refusing, watched_s3_server

pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")

PATH = "key:release_files or group:images"
ONE_FILE = "key:if_archive"

LIMITS = {
    "register": {"LIST": 3, "GET": 20, "PUT": 20},
    "materialize": {"LIST": 10, "GET": 325, "PUT": 56, "HEAD": 60},
    "again": {"LIST": 3, "GET": 170, "PUT": 6, "HEAD": 20},
    "verify": {"LIST": 13, "GET": 230, "PUT": 25, "HEAD": 22},
    "open": {"LIST": 1, "GET": 1},
    "batch": {"LIST": 5, "GET": 21, "HEAD": 16},
}
"""The most requests by what is done, of a release with eight fields of one condition."""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, WatchedServer]]:
    with watched_s3_server() as (bucket, server):
        yield bucket, server


@pytest.fixture(scope="module")
def made(
    archive: SandboxServer,
    served: tuple[str, WatchedServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Workbench:
    folder, (bucket, server) = tmp_path_factory.mktemp("s3"), served
    settings = Settings.served_by(archive.url, storage=f"{bucket}/storage", scratch=folder / "scratch", tensor_size=256)
    bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    with counting(server, "register"):
        bench.register_offered()
    with counting(server, "materialize"):
        outcomes = bench.run(RELEASE, "untreated", selection=PATH)
    assert [outcome.failure for outcome in outcomes if not outcome.succeeded] == []
    failed = [c for outcome in outcomes for c in outcome.checks if not c.passed and c.blocking]
    assert failed == []
    return bench


@contextmanager
def counting(server: WatchedServer, what: str) -> Iterator[None]:
    """Count the requests of a block under a name of `LIMITS`, and see that they are within it."""
    server.requests.clear()
    yield
    counted = server.requests.by_operation()
    over = {name: n for name, n in counted.items() if n > LIMITS[what].get(name, 0)}
    assert over == {}, f"{what}: {dict(counted)}"


def test_everything_stands_under_the_layout_of_the_contract(made: Workbench) -> None:
    store = made.platform.store
    assert not store.is_local
    assert store.exists(f"tables/if_fields/release={RELEASE}/condition=untreated/data.parquet")
    rooms = {path.split("/")[0] for path in store.find("")}
    assert {"blobs", "registry", "tables", "tensors"} <= rooms
    assert not any(path.endswith(".new") for path in store.find(""))


def test_what_is_published_is_verified(
    made: Workbench,
    served: tuple[str, WatchedServer],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", made.platform.settings.storage)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path))
    with counting(served[1], "verify"):
        assert cli.main(["verify"]) == cli.DONE, capsys.readouterr().out
    assert " 0 problems" in capsys.readouterr().out


def test_rows_addresses_and_files_are_traced(made: Workbench) -> None:
    store = made.platform.store
    trace = open_release(RELEASE, storage=made.platform.settings.storage).trace("if_tensors", 1, verify=True)
    (file,) = trace.files
    assert trace.subject.stored is not None
    address = store.location(trace.subject.stored.path)
    assert address.startswith("s3://")
    assert trace_thing(store, address).files == (file,)
    assert {step.name.split(" ")[1] for step in trace_thing(store, str(file.file_id)).made} >= {"if_fields", "if_cells"}
    assert len({making.run_id for making in trace.runs}) >= 1
    assert trace.held
    assert [one for one in trace.held if one.problems] == []


def test_tensors_are_read_and_loaded(made: Workbench) -> None:
    release = open_release(RELEASE, storage=made.platform.settings.storage)
    tensor = release.tensors("untreated")
    assert tensor.shape == (FIELDS, 4, 256, 256)
    assert np.asarray(tensor[0]).any()
    torch_data = pytest.importorskip("torch.utils.data", reason="torch is not installed (extra: torch)")
    dataset = release.torch(conditions=["untreated"])
    batches = list(torch_data.DataLoader(dataset, batch_size=3))
    assert sum(len(batch["field_id"]) for batch in batches) == len(dataset)
    assert batches[0]["image"].shape == (3, 4, 256, 256)


def test_a_batch_is_one_request_a_field(made: Workbench, served: tuple[str, WatchedServer]) -> None:
    with counting(served[1], "open"):
        release = open_release(RELEASE, storage=made.platform.settings.storage)
    with counting(served[1], "batch"):
        loader = release.loader(conditions=["untreated"], batch_size=4, prefetch=1)
        assert len(next(iter(loader))["field_id"]) == 4
    fields = served[1].requests.of(r"GET .*\.zarr/image/c/")
    assert len(fields) <= len(loader.source) + 1  # and the index of the one shard


def test_a_second_run_reuses_the_tensor(made: Workbench, served: tuple[str, WatchedServer]) -> None:
    before = made.platform.store.find("tensors")
    with counting(served[1], "again"):
        outcomes = made.run(RELEASE, "untreated", selection="key:if_fields or key:if_tensors or key:if_quality")
    assert all(outcome.succeeded for outcome in outcomes)
    assert made.platform.store.find("tensors") == before


def test_another_instance_is_rebuilt_from_it(made: Workbench) -> None:
    store = made.platform.store
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, made.platform.registry)
        rebuilt = list(rebuild(made.defs, instance, store))
    assert [one.failure for one in rebuilt if one.failure] == []
    assert {"if_fields", "if_tensors", "if_cells"} <= {table for one in rebuilt for table in one.tables}


def test_fields_are_exported_from_it(made: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", made.platform.settings.storage)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    words = ["--format", "webdataset", "--condition", "untreated", "-o", str(tmp_path / "out")]
    assert cli.main(["export", "--release", RELEASE, *words]) == cli.DONE
    assert list((tmp_path / "out").rglob("*.tar"))


def test_what_is_damaged_is_found_withdrawn_and_made_again(
    made: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = made.platform.store
    path = f"tables/if_antibodies/release={RELEASE}/condition=untreated/data.parquet"
    whole = store.read(path)
    store.staging.publish_bytes(whole[:-1] + b"x", path)
    monkeypatch.setenv("CM4AI_STORAGE", made.platform.settings.storage)
    assert cli.main(["withdraw", path]) == cli.DONE, capsys.readouterr().err
    assert not store.exists(path)
    (outcome,) = made.run(RELEASE, "untreated", selection="key:if_antibodies")
    assert outcome.succeeded, outcome.failure
    assert store.read(path) == whole


def test_no_local_copy_is_left(made: Workbench) -> None:
    scratch = made.platform.settings.scratch
    stored = sum(made.platform.store.sizes("blobs/sha256").values())
    assert sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file()) < stored / 100


@pytest.fixture
def hurried(served: tuple[str, WatchedServer], monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedServer]:
    """The server, before a platform whose patience is scaled to a second or two."""
    from cm4ai_assets.storage import s3  # noqa: PLC0415 - an extra

    for name in ("PATIENCE", "FIRST_WAIT", "LONGEST_WAIT"):
        monkeypatch.setattr(s3, name, getattr(s3, name) / 40)
    yield served[1]
    served[1].faults.clear()


def test_a_minute_of_slow_down_during_a_run_is_waited_out(
    made: Workbench, hurried: WatchedServer, archive: SandboxServer
) -> None:
    minute = time.monotonic() + 60 / 40
    hurried.faults.append(refusing(503, "SlowDown", until=lambda: time.monotonic() > minute))
    archive.clear_log()
    (outcome,) = made.run(RELEASE, "vorinostat", selection=ONE_FILE)
    assert outcome.succeeded, outcome.failure
    assert len(downloads(archive)) == 1


def test_a_run_without_its_storage_fails_readably_and_fetches_nothing_twice(
    made: Workbench, hurried: WatchedServer, archive: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cm4ai_assets.storage.s3.PATIENCE", 0.5)
    before, stored = made.platform.store.find("tables"), made.platform.blobs.all()
    hurried.faults.append(refusing(503, "SlowDown", until=lambda: False, where="(PUT|BEGIN|PART) .*blobs/sha256"))
    archive.clear_log()
    (outcome,) = made.run(RELEASE, "paclitaxel", selection=ONE_FILE)
    assert not outcome.succeeded
    assert "503 SlowDown" in outcome.failure
    assert "See that the server of CM4AI_STORAGE" in outcome.failure
    assert made.platform.store.find("tables") == before
    assert made.platform.blobs.all() == stored
    assert len(downloads(archive)) == 1
    hurried.faults.clear()
    (outcome,) = made.run(RELEASE, "paclitaxel", selection=ONE_FILE)
    assert outcome.succeeded, outcome.failure
    assert len(downloads(archive)) == 1
    assert len(made.platform.blobs.all()) == len(stored) + 1


def downloads(archive: SandboxServer) -> list[str]:
    """The requests for bytes of files that an archive has answered."""
    return [one.path for one in archive.log if "/access/datafile/" in one.path and one.method == "GET"]
