"""Knock-down, its interval, the agreement of guides and flags: against numpy, and against what is planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.perturbseq.knockdown import NONE_SEEN_95
from cm4ai_assets.sandbox.h5ad import write_h5ad
from cm4ai_assets.sandbox.perturbseq import Experiment
from cm4ai_assets_tests.perturbseq.files import altered, made

MANY = Experiment(cells=4000, genes=60, targets=10)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "cells.h5ad"
    write_h5ad(path, MANY, compression="gzip")
    return path


@pytest.fixture(scope="module")
def rows(path: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return _rows(path, tmp_path_factory.mktemp("rows"))


def _rows(path: Path, folder: Path) -> pl.DataFrame:
    made(path, folder)
    return pl.read_parquet(folder / "store" / "targets.parquet")


@pytest.fixture(scope="module")
def adata(path: Path) -> anndata.AnnData:
    whole = anndata.read_h5ad(path)
    whole.X = whole.X.astype(np.float64)
    return whole


def _left(adata: anndata.AnnData, cells: np.ndarray, gene: str) -> float:
    """Counts seen over those expected from the controls of each batch, cell by cell."""
    counts = np.asarray(adata[:, gene].X.todense()).ravel()
    depth = np.asarray(adata.X.sum(axis=1)).ravel()
    controls = (adata.obs["gene_target"] == "NTC").to_numpy()
    expected = 0.0
    for batch in adata.obs["batch"].unique():
        here = (adata.obs["batch"] == batch).to_numpy()
        expected += depth[cells & here].sum() * counts[controls & here].sum() / depth[controls & here].sum()
    return float(counts[cells].sum() / expected)


def test_knockdown_is_what_its_definition_says(rows: pl.DataFrame, adata: anndata.AnnData) -> None:
    for row in rows.filter(~pl.col("is_control")).iter_rows(named=True):
        cells = (adata.obs["gene_target"] == row["target"]).to_numpy()
        assert row["knockdown"] == pytest.approx(1 - _left(adata, cells, row["gene"]), rel=1e-9)
        for batch, knockdown, low, high in zip(
            row["batches"], row["batch_knockdown"], row["batch_low"], row["batch_high"], strict=True
        ):
            here = cells & (adata.obs["batch"] == batch).to_numpy()
            assert knockdown == pytest.approx(1 - _left(adata, here, row["gene"]), rel=1e-9)
            assert low < knockdown < high
        for guide, knockdown in zip(row["guides"], row["guide_knockdown"], strict=True):
            of_guide = cells & (adata.obs["gRNA"] == guide).to_numpy()
            assert knockdown == pytest.approx(1 - _left(adata, of_guide, row["gene"]), rel=1e-9)


def test_the_planted_knockdown_lies_in_the_interval(rows: pl.DataFrame) -> None:
    """For each target the mean over its guides, weighted by their cells; 95 % of intervals, of which nine here."""
    planted = dict(zip([guide.reindexed for guide in MANY.guides], MANY.remaining, strict=True))
    hits = 0
    for row in rows.filter(~pl.col("is_control")).iter_rows(named=True):
        left = np.average([planted[guide] for guide in row["guides"]], weights=row["guide_cells"])
        hits += row["knockdown_low"] <= 1 - left <= row["knockdown_high"]
        assert row["knockdown"] == pytest.approx(1 - left, abs=0.1)
    assert hits >= 8


def test_the_interval_is_that_of_resampled_cells(rows: pl.DataFrame, adata: anndata.AnnData) -> None:
    """The width of the interval against the bootstrap over cells, which knows nothing of its formula."""
    row = rows.filter(~pl.col("is_control")).row(3, named=True)
    rng = np.random.default_rng(1)
    counts = np.asarray(adata[:, row["gene"]].X.todense()).ravel()
    depth = np.asarray(adata.X.sum(axis=1)).ravel()
    batch = adata.obs["batch"].to_numpy()
    target, controls = (
        np.flatnonzero((adata.obs["gene_target"] == name).to_numpy()) for name in (row["target"], "NTC")
    )
    found = []
    for _ in range(400):
        one, other = rng.choice(target, len(target)), rng.choice(controls, len(controls))
        expected = sum(
            depth[one][batch[one] == b].sum()
            * counts[other][batch[other] == b].sum()
            / depth[other][batch[other] == b].sum()
            for b in np.unique(batch)
        )
        found.append(np.log(counts[one].sum() / expected))
    error = (np.log1p(-row["knockdown_low"]) - np.log1p(-row["knockdown_high"])) / (2 * 1.96)
    assert error == pytest.approx(np.std(found), rel=0.2)


def test_guides_of_one_target_agree_as_numpy_says(rows: pl.DataFrame, adata: anndata.AnnData) -> None:
    x = np.asarray(adata.X.todense(), dtype=np.float64)
    logs = np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4)
    controls = (adata.obs["gene_target"] == "NTC").to_numpy()
    expressed = (x[controls] > 0).mean(axis=0) >= 0.1
    base = logs[controls].mean(axis=0)
    row = rows.filter(~pl.col("is_control")).row(2, named=True)
    responses = []
    for guide in row["guides"]:
        cells = ((adata.obs["gRNA"] == guide) & (adata.obs["gene_target"] == row["target"])).to_numpy()
        response = logs[cells].mean(axis=0) - base
        response[row["gene_index"]] = 0
        responses.append(response[expressed])
    each = np.corrcoef(responses)[np.triu_indices(3, 1)]
    assert row["guide_agreement"] == pytest.approx(each.mean(), rel=1e-6)
    assert rows["guide_agreement"].drop_nulls().min() > 0.5, "the guides of a target move the same responders"


def _categories(file: h5py.File, name: str) -> list[str]:
    return [one.decode() for one in file["obs"][name]["categories"][:]]


def _without_own_counts(file: h5py.File) -> None:
    """No cell of the first target has a count of its gene."""
    targets = _categories(file, "gene_target")
    own = [one.decode() for one in file["var"][file["var"].attrs["_index"]][:]].index("SYN00001")
    cells = np.flatnonzero(file["obs/gene_target/codes"][:] == targets.index("SYN00001"))
    first, last = file["X/indptr"][own], file["X/indptr"][own + 1]
    values, places = file["X/data"][first:last], file["X/indices"][first:last]
    gone = np.isin(places, cells)
    totals = file["obs/total_counts"][:]
    totals[places[gone]] -= values[gone]
    file["obs/total_counts"][:] = totals
    values[gone] = 0
    file["X/data"][first:last] = values


def test_where_nothing_is_seen_the_interval_is_poissons(path: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    row = _rows(altered(path, tmp_path / "cells.h5ad", _without_own_counts), tmp_path).filter(target="SYN00001")
    before = rows.filter(target="SYN00001").row(0, named=True)
    found = row.row(0, named=True)
    assert (found["knockdown"], found["knockdown_high"], found["detected"]) == (1, 1, 0)
    seen = before["detected"] * before["n_cells"]
    assert 1 - found["knockdown_low"] == pytest.approx(NONE_SEEN_95 / (seen / (1 - before["knockdown"])), rel=0.6)


def _renamed(old: str, new: str, column: str = "gene_target") -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        names = _categories(file, column)
        names[names.index(old)] = new
        attributes = dict(file["obs"][column]["categories"].attrs)
        del file["obs"][column]["categories"]
        file["obs"][column].create_dataset("categories", data=names).attrs.update(attributes)

    return change


def test_without_controls_nothing_is_compared(path: Path, tmp_path: Path) -> None:
    rows = _rows(altered(path, tmp_path / "cells.h5ad", _renamed("NTC", "SCRAMBLED")), tmp_path)
    assert rows["knockdown"].null_count() == rows["n_responding"].null_count() == rows.height
    assert all("no_controls" in flags for flags in rows["flags"])


def test_a_target_that_is_not_measured_is_flagged(path: Path, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        _renamed("SYN00002", "NOGENE")(file)
        ids = file["obs/gene_target_ensembl_id"]
        ids["codes"][:] = -1

    row = _rows(altered(path, tmp_path / "cells.h5ad", change), tmp_path).filter(target="NOGENE").row(0, named=True)
    assert (row["gene"], row["knockdown"], row["flags"]) == (None, None, ["not_measured"])
    assert row["n_responding"] is not None, "its responders can be counted all the same"


def test_targets_without_cells_and_with_few_are_flagged(path: Path, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        codes, targets = file["obs/gene_target/codes"][:], _categories(file, "gene_target")
        nobody, few = targets.index("SYN00003"), targets.index("SYN00004")
        codes[codes == nobody] = -1
        codes[np.flatnonzero(codes == few)[9:]] = -1
        file["obs/gene_target/codes"][:] = codes

    rows = _rows(altered(path, tmp_path / "cells.h5ad", change), tmp_path)
    none, few = (rows.filter(target=name).row(0, named=True) for name in ("SYN00003", "SYN00004"))
    assert (none["n_cells"], none["tensor_index"], none["flags"]) == (0, None, ["no_cells"])
    assert (few["n_cells"], few["n_responding"], few["flags"]) == (9, None, ["few_cells"])
    assert few["knockdown"] is not None
