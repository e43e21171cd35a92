"""The pass: the same bytes whatever the layout, the stripes or a kill; and nothing is made of a damaged matrix."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from cm4ai_assets.perturbseq import matrix, passes
from cm4ai_assets.perturbseq.groups import read_groups, stated_depths
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError, H5adError
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.perturbseq.passes import Pass, PassProgress
from cm4ai_assets.perturbseq.profiles import make_store
from cm4ai_assets_tests.perturbseq.files import altered, made, replace, source_of, written

ONE_TILE = 1  # a budget of one byte gives stripes of one tile of genes


@pytest.fixture(scope="module")
def expected(csc: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    folder = tmp_path_factory.mktemp("expected")
    record = made(csc, folder)
    return record.digest, (folder / "store" / "targets.parquet").read_bytes()


@pytest.mark.parametrize("layout", ["csc", "csr", "dense"])
@pytest.mark.parametrize("stripe_bytes", [None, ONE_TILE])
def test_every_layout_and_stripe_gives_the_same_bytes(
    expected: tuple[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    stripe_bytes: int | None,
) -> None:
    monkeypatch.setattr(matrix, "BLOCK_ENTRIES", 1 << 21 if stripe_bytes is None else 1500)
    record = made(written(tmp_path / "cells.h5ad", layout=layout), tmp_path, stripe_bytes=stripe_bytes)
    assert (record.digest, (tmp_path / "store" / "targets.parquet").read_bytes()) == expected
    assert record.readings == (3 if stripe_bytes and layout != "csc" else 1)
    assert record.depths_from == "obs/total_counts"


def test_counts_in_a_layer_give_the_same_bytes(expected: tuple[str, bytes], tmp_path: Path) -> None:
    record = made(written(tmp_path / "cells.h5ad", counts="layers/counts"), tmp_path)
    assert (record.digest, record.counts_in) == (expected[0], "layers/counts")
    assert "X (dense): " in record.evidence
    assert "are no integers" in record.evidence


@pytest.mark.parametrize(("layout", "cuts"), [("csc", (0, 64, 128, 150)), ("csr", (0, 150))])
def test_stripes_by_genes_are_narrow_enough_for_many_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, cuts: tuple[int, ...]
) -> None:
    """Of a file by cells each stripe is a reading of its own, whose sums may be as wide as memory allows."""
    monkeypatch.setattr(passes, "STRIPE_GENES", 64)
    with H5ad(written(tmp_path / "cells.h5ad", layout=layout)) as h5ad:
        assert passes.stripes_of(StoredMatrix(h5ad, "X"), read_groups(h5ad)) == cuts


KILLED = """
import os, signal, sys
from pathlib import Path
from cm4ai_assets.perturbseq import matrix
from cm4ai_assets.perturbseq.profiles import make_store
from cm4ai_assets_tests.perturbseq.files import source_of
matrix.BLOCK_ENTRIES = 1500
blocks = 0
def progress(_):
    global blocks
    blocks += 1
    if blocks == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
make_store(source_of(Path(sys.argv[1])), Path(sys.argv[2]) / "store", Path(sys.argv[2]) / "checkpoints", {{}},
           progress, save_seconds=0, stripe_bytes={stripe})
"""


@pytest.mark.parametrize("kill", [("csc", 12, ONE_TILE), ("csr", 12, None), ("csr", 30, ONE_TILE)])
def test_a_killed_pass_goes_on_and_gives_the_same_bytes(
    expected: tuple[str, bytes], csc: Path, csr: Path, tmp_path: Path, kill: tuple[str, int, int | None]
) -> None:
    layout, after, stripe = kill
    path = csc if layout == "csc" else csr
    code = KILLED.format(after=after, stripe=stripe)
    killed = subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "store" / "zarr.json").exists()
    seen: list[PassProgress] = []
    record = make_store(
        source_of(path), tmp_path / "store", tmp_path / "checkpoints", {}, seen.append, stripe_bytes=stripe
    )
    assert (record.digest, (tmp_path / "store" / "targets.parquet").read_bytes()) == expected
    whole = seen[-1].stored * (3 if layout == "csr" and stripe else 1)
    assert seen[-1].read < whole * 0.9, "it began anew"


def test_a_checkpoint_of_another_file_is_not_taken_up(csc: Path, tmp_path: Path) -> None:
    calls: list[PassProgress] = []

    def fall(progress: PassProgress) -> None:
        calls.append(progress)
        if len(calls) == 2:  # in the second stripe: the first is in the checkpoint
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_store(source_of(csc), tmp_path / "a", tmp_path / "c", {}, fall, save_seconds=0, stripe_bytes=ONE_TILE)
    assert (tmp_path / "c" / "of_obs" / "state.npz").exists()
    seen: list[PassProgress] = []
    other = source_of(csc, fingerprint="another date")
    make_store(other, tmp_path / "b", tmp_path / "c", {}, seen.append, stripe_bytes=ONE_TILE)
    assert seen[-1].read == seen[-1].stored


def test_a_damaged_checkpoint_is_begun_anew(expected: tuple[str, bytes], csc: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "of_obs"
    folder.mkdir(parents=True)
    (folder / "state.npz").write_bytes(b"PK\x03\x04 torn")
    assert made(csc, tmp_path).digest == expected[0]


def test_a_file_that_changes_under_the_reader_ends_the_pass(csc: Path, tmp_path: Path) -> None:
    calls = 0

    def unchanged() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise H5adDamagedError("cells.h5ad changed while it was read.")

    with pytest.raises(H5adDamagedError, match="changed while it was read"):
        make_store(source_of(csc, unchanged=unchanged), tmp_path / "store", tmp_path / "c", {})
    assert not (tmp_path / "store" / "zarr.json").exists()


def _set(name: str, at: int, value: float) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file["X"][name][at] = value

    return change


def _floats(value: float) -> Callable[[h5py.File], None]:
    """One value deep in the matrix; the samples do not see it."""

    def change(file: h5py.File) -> None:
        file["X/data"][12_345] = value

    return change


def _negative_index(file: h5py.File) -> None:
    file["X/indices"][12_345] = -1


def _index_beyond(file: h5py.File) -> None:
    file["X/indices"][12_345] = 500


def _twice(file: h5py.File) -> None:
    file["X/indices"][12_345] = file["X/indices"][12_344]


def _falling(file: h5py.File) -> None:
    file["X/indptr"][7] = file["X/indptr"][9]


def _short(file: h5py.File) -> None:
    file["X/indptr"][150] = file["X/indptr"][149]


def _fewer_indices(file: h5py.File) -> None:
    replace(file["X"], "indices", file["X/indices"][:-5])


def _fewer_cells(file: h5py.File) -> None:
    file["X"].attrs["shape"] = (499, 150)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples that see the first values only, as those of a large file see few."""
    monkeypatch.setattr(matrix.StoredMatrix, "sample", lambda self: self._values[:50])


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_negative_index, r"X: gene \w+ has an index -1, out of 500"),
        (_index_beyond, r"X: gene \w+ has an index 500, out of 500"),
        (_twice, r"X: gene \w+ has the index \d+ twice"),
        (_falling, r"X: indptr decreases after line 7"),
        (_short, r"X: indptr goes from 0 to [\d,]+, the values from 0 to"),
        (_fewer_indices, r"X has [\d,]+ values and [\d,]+ indices"),
        (_fewer_cells, r"X has 499 cells, obs has 500 rows"),
        (_floats(float("nan")), r"X: gene \w+, cell \d+: nan is no count: it is not a number"),
        (_floats(-3), r"X: gene \w+, cell \d+: -3.0 is no count: it is negative"),
        (_floats(1.5), r"1.5 is no count: it is no integer"),
        (_floats(float("inf")), r"inf is no count"),
    ],
)
def test_a_damaged_matrix_is_named_and_nothing_is_made(
    csc: Path, tmp_path: Path, change: Callable[[h5py.File], None], message: str
) -> None:
    path = altered(csc, tmp_path / "cells.h5ad", change)
    with pytest.raises(H5adError, match=message):
        made(path, tmp_path)
    assert not (tmp_path / "store" / "zarr.json").exists()


def test_a_link_to_another_file_is_not_followed(csc: Path, tmp_path: Path) -> None:
    """A layer that would come first by its name, and lies in another file."""

    def change(file: h5py.File) -> None:
        file["layers/counts"] = h5py.ExternalLink(str(csc), "X")

    record = made(altered(csc, tmp_path / "cells.h5ad", change), tmp_path)
    assert record.counts_in == "X"
    assert "counts is a link, perhaps to another file" in record.evidence


def test_parts_that_are_links_are_not_followed(csc: Path, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["X/data"]
        file["X/data"] = h5py.ExternalLink(str(csc), "X/data")

    with pytest.raises(H5adError, match=r"holds no raw counts: .* is a link"):
        made(altered(csc, tmp_path / "cells.h5ad", change), tmp_path)


def _reverse_a_gene(file: h5py.File) -> None:
    first, last = file["X/indptr"][3], file["X/indptr"][4]
    for name in ("data", "indices"):
        file["X"][name][first:last] = file["X"][name][first:last][::-1]


def test_unsorted_indices_change_nothing_and_are_noted(expected: tuple[str, bytes], csc: Path, tmp_path: Path) -> None:
    record = made(altered(csc, tmp_path / "cells.h5ad", _reverse_a_gene), tmp_path)
    assert (record.digest, record.unsorted) == (expected[0], 1)


def _sums(path: Path, folder: Path) -> np.ndarray:
    with H5ad(path) as h5ad:
        groups, stated = read_groups(h5ad), stated_depths(h5ad)
        assert stated is not None
        return Pass(StoredMatrix(h5ad, "X"), groups, stated[1], folder, {}).run().of_targets(0, len(groups.targets))


def _reverse_every_gene(file: h5py.File) -> None:
    starts = file["X/indptr"][:]
    for name in ("data", "indices"):
        values = file["X"][name][:]
        file["X"][name][:] = np.concatenate([values[a:b][::-1] for a, b in pairwise(starts)])


def test_sums_are_exact_in_whatever_order_they_are_added(csc: Path, tmp_path: Path) -> None:
    """To the last of 53 bits: rounded logarithms and squares leave room for all cells of a group."""
    forward = _sums(csc, tmp_path / "forward")
    backward = _sums(altered(csc, tmp_path / "cells.h5ad", _reverse_every_gene), tmp_path / "backward")
    assert forward.tobytes() == backward.tobytes()


def _reverse_with_a_repeat(file: h5py.File) -> None:
    _reverse_a_gene(file)
    first = file["X/indptr"][3]
    file["X/indices"][first + 5] = file["X/indices"][first]


def test_a_repeat_among_unsorted_indices_is_seen(csc: Path, tmp_path: Path) -> None:
    with pytest.raises(H5adDamagedError, match="has a place twice"):
        made(altered(csc, tmp_path / "cells.h5ad", _reverse_with_a_repeat), tmp_path)


@pytest.mark.parametrize("column", ["gRNA", "gene_target"])
def test_a_file_without_guides_or_targets_is_refused(csc: Path, tmp_path: Path, column: str) -> None:
    def change(file: h5py.File) -> None:
        del file["obs"][column]
        order = [one for one in file["obs"].attrs["column-order"] if one != column]
        file["obs"].attrs["column-order"] = order

    with pytest.raises(H5adEncodingError, match=f"no column {column} in obs"):
        made(altered(csc, tmp_path / "cells.h5ad", change), tmp_path)


def test_a_file_of_which_no_cell_names_a_target_is_refused(csc: Path, tmp_path: Path) -> None:
    """A table without rows would take the place of a good one."""

    def change(file: h5py.File) -> None:
        file["obs/gene_target/codes"][:] = -1

    with pytest.raises(H5adEncodingError, match="500 cells, and none of them names a target in gene_target"):
        made(altered(csc, tmp_path / "cells.h5ad", change), tmp_path)


def test_depths_that_the_matrix_contradicts_are_not_used(
    expected: tuple[str, bytes], csc: Path, tmp_path: Path
) -> None:
    def change(file: h5py.File) -> None:
        file["obs/total_counts"][7] = 3

    record = made(altered(csc, tmp_path / "cells.h5ad", change), tmp_path)
    assert record.digest == expected[0]
    assert (record.cells_of_other_depth, record.readings) == (1, 2)
    assert record.depths_from == "the matrix itself, not obs/total_counts"


@pytest.mark.parametrize("layout", ["csc", "csr", "dense"])
def test_depths_that_obs_does_not_state_are_counted(expected: tuple[str, bytes], tmp_path: Path, layout: str) -> None:
    def change(file: h5py.File) -> None:
        for name in ("total_counts", "n_UMI_counts"):
            replace(file["obs"], name, np.full(500, -1.0))

    path = altered(written(tmp_path / "whole.h5ad", layout=layout), tmp_path / "cells.h5ad", change)
    record = made(path, tmp_path)
    assert (record.digest, record.depths_from, record.readings) == (expected[0], "the matrix itself", 2)
