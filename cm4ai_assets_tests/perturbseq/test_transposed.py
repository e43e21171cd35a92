"""Counts turned to stand by cells, and a loader of single cells over the result."""

from __future__ import annotations

import pickle
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

from cm4ai_assets.perturbseq import matrix
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError
from cm4ai_assets.perturbseq.transposed import SingleCells, by_cells
from cm4ai_assets_tests.perturbseq.files import altered


@pytest.mark.parametrize("stretch", [1 << 24, 5000])
def test_a_file_by_cells_holds_the_same(
    csc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    monkeypatch.setattr(matrix, "BLOCK_ENTRIES", 1500)
    by_cells(csc, tmp_path / "cells.h5ad", stretch=stretch)
    before, after = anndata.read_h5ad(csc), anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert after.X.format == "csr"
    assert after.X.has_sorted_indices
    assert (before.X.tocsr() != after.X).nnz == 0
    assert before.obs.equals(after.obs)
    assert before.var.equals(after.var)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad"]


def test_a_damaged_file_leaves_nothing(csc: Path, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["X/indices"][3] = 10_000

    damaged = altered(csc, tmp_path / "damaged.h5ad", change)
    with pytest.raises(H5adDamagedError, match="index out of 500"):
        by_cells(damaged, tmp_path / "cells.h5ad")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.h5ad"]


def test_single_cells_are_indexed_in_any_order(csc: Path, tmp_path: Path) -> None:
    by_cells(csc, tmp_path / "cells.h5ad")
    cells, whole = SingleCells(tmp_path / "cells.h5ad"), anndata.read_h5ad(csc).X.toarray()
    assert (len(cells), cells.shape) == (500, (500, 150))
    for rows in (np.array([7, 3, 4, 5, 499, 0, 3]), slice(10, 20), np.arange(500)):
        np.testing.assert_array_equal(cells[rows], whole[rows])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cells))[[1, 2]], whole[[1, 2]])
    with pytest.raises(H5adEncodingError, match="stands by genes, not by cells"):
        SingleCells(csc)


def test_single_cells_reach_a_loader(csc: Path, tmp_path: Path) -> None:
    """The example of docs/loading.md."""
    pytest.importorskip("torch", reason="torch is optional")
    scdataset = pytest.importorskip("scdataset", reason="scDataset is optional")
    from torch.utils.data import DataLoader  # noqa: PLC0415

    path = tmp_path / "by_cells.h5ad"
    by_cells(csc, path)
    dataset = scdataset.scDataset(
        SingleCells(path), scdataset.BlockShuffling(block_size=16), batch_size=32, fetch_factor=4
    )
    # Not forked: the process of the tests has threads of other tests, whose locks a fork would copy.
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="forkserver")
    seen = np.concatenate([np.asarray(batch) for batch in loader])
    whole = anndata.read_h5ad(csc).X.toarray()
    assert seen.shape == whole.shape
    assert sorted(map(bytes, seen)) == sorted(map(bytes, whole))
    assert not np.array_equal(seen, whole), "in another order"
