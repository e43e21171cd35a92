"""Perturbed genes through Dagster: from the sandbox's article and from a file of the operator's, and what refuses."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import fsspec
import h5py
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.perturbseq import passes
from cm4ai_assets.perturbseq.target_findings import OF_RECORD, OF_ROWS, library_covered
from cm4ai_assets.references import Kind
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.verification import verify
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench, together
from cm4ai_assets_tests.defs.test_perturbseq_archives import absence, bench_over
from cm4ai_assets_tests.perturbseq.files import altered, written

CHECKS = (*OF_RECORD, *OF_ROWS, library_covered)
MAY_2024, OCTOBER = "2024-05-v1.0", "2025-10-v1.1"
PATH = "key:release_files or key:figshare_files or key:perturb_targets"


def run(bench: Workbench, release: str = RELEASE, selection: str = PATH) -> Outcome:
    return together(one for one in bench.run(release, selection=selection) if one.partition.condition is None)


@pytest.fixture(scope="module")
def made(archive: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = bench_over(archive, tmp_path_factory.mktemp("targets"))
    assert run(bench, selection=f"{PATH} or key:guide_library").succeeded
    return bench


def test_cells_become_targets_and_profiles(made: Workbench) -> None:
    rows = made.platform.store.table("perturb_targets", Partition(RELEASE)).collect()
    assert rows.filter("is_control")["target"].to_list() == ["NTC"]
    assert rows.filter(pl.col("knockdown") > 0.3).height > 30
    assert rows["source"].unique().to_list() == ["KOLF_Pan_Genome_QC_Filtered.h5ad"]
    assert rows["license"].unique().to_list() == ["CC BY 4.0"]
    sha16 = rows["source_identity"][0].removeprefix("sha256 ")[:16]
    assert rows["path"].unique().to_list() == [f"tensors/perturb_targets/{sha16}-v{passes.CODE_VERSION}.zarr"]
    assert not (made.platform.settings.scratch / "counts").exists() or not list(
        (made.platform.settings.scratch / "counts").iterdir()
    )


def test_the_page_shows_pictures_and_evidence(made: Workbench) -> None:
    event = made.instance.get_latest_materialization_event(dg.AssetKey("perturb_targets"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert {"knock_down", "cells_per_target", "most_responding", "evidence", "counts_in", "profiles_sha256"} <= set(
        metadata
    )
    assert "non-negative integers" in str(metadata["evidence"].value)


def test_every_check_is_evaluated(made: Workbench) -> None:
    keys = [dg.AssetCheckKey(dg.AssetKey("perturb_targets"), one.__name__) for one in CHECKS]
    keys += [dg.AssetCheckKey(dg.AssetKey("perturb_targets"), name) for name in ("schema", "profiles_match_table")]
    found = made.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert set(found) == set(keys)
    passed = {key.name: record.event.asset_check_evaluation.passed for key, record in found.items() if record.event}  # type: ignore[union-attr]
    assert passed["counts_evident"]
    assert passed["library_covered"], "every target of the synthetic library has cells"
    assert passed["profiles_match_table"]


def test_a_scientist_opens_profiles_by_name(made: Workbench) -> None:
    release = Release(RELEASE, made.platform.store)
    profiles, rows = release.profiles(), release.table("perturb_targets").collect()
    assert profiles.shape == tuple(rows["shape"][0])
    assert (len(profiles), len(profiles.genes)) == profiles.shape
    name = rows.filter(pl.col("n_responding") > 0)["target"][0]
    index = rows.filter(target=name)["tensor_index"][0]
    assert profiles.targets[index] == name
    np.testing.assert_array_equal(profiles.of(name), profiles[index])
    assert profiles[2:4, :5].shape == (2, 5)
    mean = profiles.statistic("mean")[:]
    np.testing.assert_allclose(mean.sum(axis=1) * profiles.cells, rows.sort("tensor_index")["n_counts"], rtol=1e-5)


def test_profiles_are_an_anndata(made: Workbench, tmp_path: Path) -> None:
    profiles = Release(RELEASE, made.platform.store).profiles()
    adata = profiles.anndata()
    assert adata.shape == profiles.shape
    # From anndata 0.13 on X counts as the layer None.
    assert set(adata.layers) - {None} == {"mean", "variance", "log_variance", "detected"}
    assert adata.obs.loc["NTC", "is_control"]
    adata.write_h5ad(tmp_path / "profiles.h5ad")


def test_verify_reads_the_profiles_again_and_names_damage(made: Workbench) -> None:
    results = {one.what: one for one in verify(made.platform.store, release=RELEASE)}
    (mine,) = [one for what, one in results.items() if what.startswith(Kind.PROFILES)]
    assert not mine.problems
    store = Path(made.platform.store.location(mine.what.removeprefix("profiles ")))
    chunk = store / "log_mean" / "c" / "0" / "0"
    whole = chunk.read_bytes()
    try:
        chunk.write_bytes(bytes([whole[0]]) + bytes([whole[1] ^ 1]) + whole[2:])
        (mine,) = [one for one in verify(made.platform.store, release=RELEASE) if one.what.startswith(Kind.PROFILES)]
        assert "log_mean/c/0/0" in mine.problems[0]
        assert "materialize perturb_targets again" in mine.problems[0]
        with pytest.raises(ValueError, match=r"(?i)crc32c|checksum"):
            Release(RELEASE, made.platform.store).profiles()[0]
        opened = Release(RELEASE, made.platform.store).profiles()
        chunk.unlink()
        with pytest.raises(TensorStoreError, match=r"log_mean/c/0/0.* is missing|is incomplete"):
            opened[0]
        with pytest.raises(TensorStoreError, match="is incomplete"):
            Release(RELEASE, made.platform.store).profiles()
    finally:
        chunk.write_bytes(whole)


def test_another_release_of_the_same_file_reads_nothing_again(made: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a second pass")

    monkeypatch.setattr(passes.Pass, "run", never)
    assert run(made, OCTOBER).succeeded
    mine, its = (made.platform.store.table("perturb_targets", Partition(one)).collect() for one in (RELEASE, OCTOBER))
    assert mine["path"][0] == its["path"][0]


def test_a_release_without_perturb_seq_says_so(made: Workbench) -> None:
    run(made, MAY_2024, "key:release_files or key:perturb_targets")
    assert absence(made, "perturb_targets", MAY_2024) == f"Release {MAY_2024} publishes nothing of Perturb-seq."


def test_a_file_that_is_not_at_hand_is_named_with_its_remedy(archive: SandboxServer, tmp_path: Path) -> None:
    bench = bench_over(archive, tmp_path, perturbseq_bytes=0)
    run(bench)
    reason = absence(bench, "perturb_targets")
    assert "No h5ad of release" in reason
    assert "CM4AI_H5AD" in reason


def test_a_damaged_matrix_publishes_nothing(archive: SandboxServer, tmp_path: Path) -> None:
    def break_index(file: h5py.File) -> None:
        file["X/indices"][3] = 100_000

    path = altered(written(tmp_path / "whole.h5ad"), tmp_path / "mine.h5ad", break_index)
    bench = bench_over(archive, tmp_path, h5ad=path, perturbseq_bytes=0)
    outcome = run(bench)
    assert not outcome.succeeded
    assert "has an index 100,000, out of 500" in outcome.failure
    assert not bench.platform.store.has_table("perturb_targets", Partition(RELEASE))
    assert not bench.platform.store.find("tensors/perturb_targets")


def test_a_file_of_the_operators_that_changes_meanwhile_ends_the_step(
    archive: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "mine.h5ad")
    bench = bench_over(archive, tmp_path, h5ad=path, perturbseq_bytes=0)
    read = passes._Running._add

    def touching(self: passes._Running, *args: object, **more: object) -> None:
        os.utime(path, ns=(1, 1))
        read(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(passes._Running, "_add", touching)
    outcome = run(bench)
    assert not outcome.succeeded
    assert "changed while it was read" in outcome.failure
    assert not bench.platform.store.find("tensors/perturb_targets")
    monkeypatch.undo()
    assert run(bench).succeeded
    assert fsspec.filesystem("file").exists(bench.platform.store.location("tensors/perturb_targets"))
