"""Profiles and responders against scanpy, which reads the whole file into memory: the same numbers to 1e-6."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata
import fsspec
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.storage.profiles import STATISTICS, open_statistic
from cm4ai_assets_tests.perturbseq.files import made

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import scanpy as sc


@pytest.fixture(scope="module")
def store(csc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scanpy")
    made(csc, folder)
    return folder / "store"


@pytest.fixture(scope="module")
def targets(store: Path) -> pl.DataFrame:
    return pl.read_parquet(store / "targets.parquet").sort("tensor_index")


@pytest.fixture(scope="module")
def adata(csc: Path, targets: pl.DataFrame) -> anndata.AnnData:
    whole = anndata.read_h5ad(csc)
    whole.X = whole.X.astype(np.float64)
    kept = whole[whole.obs["gene_target"].isin(targets["target"].to_list())].copy()
    kept.layers["logs"] = kept.X.copy()
    sc.pp.normalize_total(kept, target_sum=1e4, layer="logs")
    sc.pp.log1p(kept, layer="logs")
    return kept


def _ours(store: Path) -> dict[str, np.ndarray]:
    fs = fsspec.filesystem("file")
    return {name: open_statistic(fs, str(store), name)[:] for name in STATISTICS}


def test_profiles_are_those_of_scanpy(store: Path, targets: pl.DataFrame, adata: anndata.AnnData) -> None:
    ours, names = _ours(store), targets["target"].to_list()
    counts = sc.get.aggregate(adata, by="gene_target", func=["mean", "var", "count_nonzero"])[names]
    logs = sc.get.aggregate(adata, by="gene_target", func=["mean", "var"], layer="logs")[names]
    cells = targets["n_cells"].to_numpy()[:, None]
    reference = {
        "mean": counts.layers["mean"],
        "variance": counts.layers["var"],
        "detected": counts.layers["count_nonzero"] / cells,
        "log_mean": logs.layers["mean"],
        "log_variance": logs.layers["var"],
    }
    many = cells[:, 0] > 1
    for name, theirs in reference.items():
        np.testing.assert_allclose(ours[name][many], np.asarray(theirs)[many], rtol=1e-6, atol=1e-12, err_msg=name)


def test_responders_are_those_of_scanpy(targets: pl.DataFrame, adata: anndata.AnnData) -> None:
    tested = targets.filter(pl.col("n_responding").is_not_null())
    adata = adata[adata.obs["gene_target"].isin([*tested["target"], "NTC"])].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.tl.rank_genes_groups(
            adata, "gene_target", layer="logs", reference="NTC", method="t-test", corr_method="benjamini-hochberg"
        )
    assert tested.height == 12
    assert tested["n_responding"].sum() > 30
    for row in tested.iter_rows(named=True):
        found = sc.get.rank_genes_groups_df(adata, group=row["target"]).query("pvals_adj <= 0.05")
        found = found[found["names"] != row["gene"]]
        assert (int((found["scores"] > 0).sum()), int((found["scores"] < 0).sum())) == (row["n_up"], row["n_down"])
        strongest = found.iloc[np.argsort(-found["scores"].abs().to_numpy(), kind="stable")]["names"].head(10)
        assert row["strongest"] == strongest.to_list()
