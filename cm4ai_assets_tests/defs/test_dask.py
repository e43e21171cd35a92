"""The image path of a release with its pixels and nuclei on a Dask cluster, and the counts of its screen: tables and
tensors of the threads, byte by byte, on a storage that machines share and on an object store.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.cells import products as cells
from cm4ai_assets.defs.perturbseq import inputs
from cm4ai_assets.defs.perturbseq.targets import source_of
from cm4ai_assets.images import tensors
from cm4ai_assets.images.fields import eligible_fields
from cm4ai_assets.perturbseq import passes, profiles
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import STAGING, Partition
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import FIRST_PUBLISHED_IN, open_array
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets.updates.credit import credit
from cm4ai_assets_tests.defs.conftest import FIELDS, RELEASE, Workbench, together
from cm4ai_assets_tests.defs.test_perturbseq_archives import bench_over
from cm4ai_assets_tests.perturbseq.files import written
from cm4ai_assets_tests.servers.dask_cluster import Launcher, dask_cluster
from cm4ai_assets_tests.storage.s3 import s3_server

pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")

PATH = "key:release_files or key:if_archive or key:if_images or key:if_antibodies or key:if_fields or key:if_cells"
COUNTS = "key:release_files or key:figshare_files or key:perturb_targets"
TABLES = ("tables/if_fields", "tables/if_tensors", "tables/if_quality", "tables/if_cells")


def made_by(settings: Settings) -> Workbench:
    bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    bench.register_offered()
    outcomes = bench.run(RELEASE, "untreated", selection=PATH)
    assert [outcome.failure for outcome in outcomes if not outcome.succeeded] == []
    assert [check for outcome in outcomes for check in outcome.checks if check.blocking and not check.passed] == []
    return bench


def contents(store: Store, *rooms: str) -> dict[str, str]:
    paths = [path for room in rooms for path in store.find(room)]
    return {path: hashlib.sha256(store.read(path)).hexdigest() for path in paths}


def undamaged(store: Store) -> bool:
    """Both stores are what was recorded of them."""
    stores = sorted({path.split(".zarr")[0] + ".zarr" for path in store.find("tensors") if ".zarr/" in path})
    return [store.digests.damage(path) for path in stores] == [[], []]


@pytest.fixture(scope="module")
def settings_in(archive: SandboxServer) -> Callable[..., Settings]:
    def settings(folder: Path, **others: str) -> Settings:
        stated = Settings.served_by(
            archive.url, storage=str(folder / "storage"), scratch=folder / "scratch", tensor_size=256
        )
        return replace(stated, **others)  # type: ignore[arg-type]

    return settings


@pytest.fixture(scope="module")
def by_threads(settings_in: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return made_by(settings_in(tmp_path_factory.mktemp("threads"))).platform


@pytest.fixture
def no_threads(by_threads: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no pass runs in this process."""
    for module in ("images.pixels", "cells.passes"):
        monkeypatch.setattr(f"cm4ai_assets.{module}.in_order", lambda *_, **__: pytest.fail("done by threads"))


@pytest.mark.usefixtures("no_threads")
def test_on_a_storage_that_the_machines_share(
    settings_in: Callable[..., Settings], by_threads: Platform, dask_launcher: Launcher, tmp_path: Path
) -> None:
    with dask_cluster(dask_launcher, tmp_path) as cluster:
        store = made_by(settings_in(tmp_path, executor=cluster.address)).platform.store
    made = contents(store, *TABLES, "tensors")
    assert {path.split("/")[1] for path in made} == {"if_fields", "if_tensors", "if_quality", "if_cells"}
    assert made == contents(by_threads.store, *TABLES, "tensors")
    assert undamaged(store)


@pytest.mark.usefixtures("no_threads")
def test_on_an_object_store(by_threads: Platform, dask_launcher: Launcher, tmp_path: Path) -> None:
    """The two passes alone; what is around them has nothing to do with the cluster."""
    pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
    pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")
    partition = Partition(RELEASE, "untreated")
    sha256 = by_threads.store.table("if_archive", partition).collect()["sha256"].item()
    plans = eligible_fields(by_threads.store.table("if_images", partition).collect())
    stated = {name: credit(by_threads.store, name, partition) for name in ("if_tensors", "if_cells")}
    with s3_server() as bucket:
        storage = f"{bucket}/storage"
        credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        settings = Settings(storage=storage, scratch=tmp_path / "scratch")
        with dask_cluster(dask_launcher, tmp_path, CM4AI_STORAGE=storage, **credentials) as cluster:
            there = Platform(replace(settings, executor=cluster.address))
            blob = Path(by_threads.store.address(by_threads.blobs.path(sha256)))
            there.blobs.add(blob, sha256, {})
            with there.open_zip(sha256) as source, tensors.product_of(
                there.store, source, read_directory(source).members, plans, source_sha256=sha256, edge=256,
                first_published_in=stated["if_tensors"], connect=there.cluster,
            ) as pixels:  # fmt: skip
                assert not there.store.find("tensors")
                assert open_array(pixels.fs, pixels.array_path).shape == (FIELDS, 4, 256, 256)
                pixels.publish()
            with cells.product_of(
                there.store, pixels.path, first_published_in=stated["if_cells"], connect=there.cluster
            ) as nuclei:
                nuclei.publish()
        assert contents(there.store, "tensors") == contents(by_threads.store, "tensors")
        assert undamaged(there.store)
        assert there.store.find(STAGING) == []
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_a_scheduler_that_does_not_answer_is_a_line_in_the_run(
    settings_in: Callable[..., Settings], tmp_path: Path
) -> None:
    bench = Workbench(Platform(settings_in(tmp_path, executor="tcp://127.0.0.1:9")), dg.DagsterInstance.ephemeral())
    bench.register_offered()
    outcomes = bench.run(RELEASE, "untreated", selection=PATH)
    (failure,) = {outcome.failure for outcome in outcomes if not outcome.succeeded}
    assert "The Dask scheduler tcp://127.0.0.1:9 does not answer within 5 s" in failure
    assert "CM4AI_EXECUTOR=threads" in failure
    assert not bench.platform.store.find("tensors")


def counted(bench: Workbench) -> dict[str, str]:
    """The table and the profiles that a run has made."""
    outcome = together(one for one in bench.run(RELEASE, selection=COUNTS) if one.partition.condition is None)
    assert outcome.succeeded, outcome.failure
    return contents(bench.platform.store, "tables/perturb_targets", "tensors")


@pytest.fixture(scope="module")
def counts_by_threads(archive: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = bench_over(archive, tmp_path_factory.mktemp("counts"))
    assert counted(bench)
    return bench


@pytest.fixture
def counts_elsewhere(counts_by_threads: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """What threads have made; from here on this process reads no values, and stripes are small."""
    monkeypatch.setattr(StoredMatrix, "blocks", lambda *_, **__: pytest.fail("read by this process"))
    monkeypatch.setattr(passes, "STRIPE_GENES", passes.TILE)
    return counts_by_threads


@pytest.mark.slow
def test_counts_of_a_stored_file(
    archive: SandboxServer, counts_elsewhere: Workbench, dask_launcher: Launcher, tmp_path: Path
) -> None:
    with dask_cluster(dask_launcher, tmp_path) as cluster:
        made = counted(bench_over(archive, tmp_path, executor=cluster.address))
    assert made == contents(counts_elsewhere.platform.store, "tables/perturb_targets", "tensors")
    assert any(path.endswith("log_mean/c/0/0") for path in made)


@pytest.mark.slow
def test_counts_of_a_file_of_the_operators(
    archive: SandboxServer, dask_launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "mine.h5ad")
    threads = counted(bench_over(archive, tmp_path / "threads", h5ad=path, perturbseq_bytes=0))
    monkeypatch.setattr(StoredMatrix, "blocks", lambda *_, **__: pytest.fail("read by this process"))
    with dask_cluster(dask_launcher, tmp_path) as cluster:
        own = bench_over(archive, tmp_path, h5ad=path, perturbseq_bytes=0, executor=cluster.address)
        assert counted(own) == threads


@pytest.mark.slow
def test_counts_on_an_object_store(counts_elsewhere: Workbench, dask_launcher: Launcher, tmp_path: Path) -> None:
    """The pass alone: workers read the h5ad by ranges from there."""
    pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
    pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")
    here = counts_elsewhere.platform
    file = inputs.near_matrix(here, RELEASE)
    assert file is not None
    sha256 = file.identity.removeprefix("sha256 ")
    (group,) = [path for path in here.store.find("tensors") if path.endswith(f".zarr/{METADATA}")]
    stated = json.loads(here.store.read(group))["attributes"][FIRST_PUBLISHED_IN]
    with s3_server() as bucket:
        storage = f"{bucket}/storage"
        credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        with dask_cluster(dask_launcher, tmp_path, CM4AI_STORAGE=storage, **credentials) as cluster:
            there = Platform(Settings(storage=storage, scratch=tmp_path / "scratch", executor=cluster.address))
            there.blobs.add(Path(here.store.address(here.blobs.path(sha256))), sha256, {})
            with profiles.product_of(
                there.store, source_of(file), scratch=tmp_path / "scratch", connect=there.cluster,
                first_published_in=stated,
            ) as product:  # fmt: skip
                product.publish()
        assert contents(there.store, "tensors") == contents(here.store, "tensors")


def test_counts_by_cells_stay_and_the_run_says_so(archive: SandboxServer, tmp_path: Path) -> None:
    path = written(tmp_path / "mine.h5ad", layout="csr")
    nobody = bench_over(archive, tmp_path, h5ad=path, perturbseq_bytes=0, executor="tcp://127.0.0.1:9")
    assert counted(nobody)
    said = [
        entry.user_message
        for run in nobody.instance.get_run_records()
        for entry in nobody.instance.all_logs(run.dagster_run.run_id)
    ]
    assert len([line for line in said if "mine.h5ad: X stands by cells: it is read on this machine" in line]) == 1
