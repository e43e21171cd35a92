"""The main job, `verify` and the loader with the storage on an object store: a local S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from cm4ai_assets import cli, open_release
from cm4ai_assets.lineage.trace import trace_thing
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import Settings
from cm4ai_assets_tests.defs.conftest import FIELDS, RELEASE, Workbench
from cm4ai_assets_tests.storage.s3 import s3_server

pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")

PATH = "key:release_files or group:images"


@pytest.fixture(scope="module")
def made(archive: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("s3")
    with s3_server() as bucket:
        settings = Settings.served_by(
            archive.url, storage=f"{bucket}/storage", scratch=folder / "scratch", tensor_size=256
        )
        bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
        bench.register_offered()
        outcomes = bench.run(RELEASE, "untreated", selection=PATH)
        assert [outcome.failure for outcome in outcomes if not outcome.succeeded] == []
        failed = [c for outcome in outcomes for c in outcome.checks if not c.passed and c.blocking]
        assert failed == []
        yield bench


def test_everything_stands_under_the_layout_of_the_contract(made: Workbench) -> None:
    store = made.platform.store
    assert not store.is_local
    assert store.exists(f"tables/if_fields/release={RELEASE}/condition=untreated/data.parquet")
    rooms = {path.split("/")[0] for path in store.find("")}
    assert {"blobs", "registry", "tables", "tensors"} <= rooms
    assert not any(path.endswith(".new") for path in store.find(""))


def test_what_is_published_is_verified(
    made: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", made.platform.settings.storage)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path))
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


def test_a_second_run_reuses_the_tensor(made: Workbench) -> None:
    before = made.platform.store.find("tensors")
    outcomes = made.run(RELEASE, "untreated", selection="key:if_fields or key:if_tensors or key:if_quality")
    assert all(outcome.succeeded for outcome in outcomes)
    assert made.platform.store.find("tensors") == before
