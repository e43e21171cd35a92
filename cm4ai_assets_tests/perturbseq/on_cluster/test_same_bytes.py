"""The pass over counts on a Dask cluster of separate processes: the bytes that threads make, whoever adds up."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cm4ai_assets.cluster.connection import Cluster
from cm4ai_assets.perturbseq import passes
from cm4ai_assets.perturbseq.groups import read_groups
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.perturbseq.parts import small
from cm4ai_assets.perturbseq.passes import PassProgress
from cm4ai_assets.perturbseq.profiles import make_store
from cm4ai_assets.perturbseq.sources import StoredFile
from cm4ai_assets.sandbox.h5ad import write_h5ad
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets_tests.perturbseq.files import replace
from cm4ai_assets_tests.perturbseq.on_cluster.conftest import ONE_TILE, TILES, WIDE, Bench, contents, source_at

pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")


@pytest.mark.usefixtures("not_here")
@pytest.mark.parametrize(("stripe_bytes", "stripes"), [(None, 1), (200_000, 6), (ONE_TILE, TILES)])
def test_workers_make_the_bytes_that_threads_make(
    bench: Bench, expected: dict[str, str], stripe_bytes: int | None, stripes: int
) -> None:
    seen: list[PassProgress] = []
    record = bench.made(progress=seen.append, stripe_bytes=stripe_bytes)
    assert bench.contents() == expected
    assert record.depths_from == "obs/total_counts"
    with H5ad(bench.path) as h5ad:
        matrix = StoredMatrix(h5ad, "X")
        cuts = passes.stripes_of(matrix, read_groups(h5ad), stripe_bytes)
    assert len(cuts) == stripes + 1
    assert [one.read for one in seen] == [matrix.stored_in(0, last) for last in cuts[1:]]
    assert {one.stored for one in seen} == {matrix.stored}


@pytest.mark.usefixtures("not_here")
def test_of_a_stored_file_workers_read_ranges(bench: Bench, expected: dict[str, str]) -> None:
    data = bench.path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    BlobStore(bench.store.fs, bench.store.root).add(bench.path, sha256, {"MD5": hashlib.md5(data).hexdigest()})
    bench.made(file=StoredFile(sha256, "cells.h5ad", len(data)))
    assert bench.contents() == expected


def test_no_more_is_under_way_than_the_workers_can_hold(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, taken, held, submit = [], list[PassProgress](), [], Cluster.made

    def counted(cluster: Cluster, *arguments: Any) -> Any:
        asked.append(arguments)
        held.append(len(asked) - len(taken))
        return submit(cluster, *arguments)

    monkeypatch.setattr(Cluster, "made", counted)
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)
    bench.made(progress=taken.append)
    assert len(asked) == TILES
    assert max(held) == 2 * 1 + 2


def test_two_coordinators_ask_for_the_same_tasks(
    bench: Bench, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, list[str]] = {"one": [], "other": [], "third": []}
    submit, barrier = Cluster.submit, threading.Barrier(2)

    def noted(cluster: Cluster, *arguments: Any, key: str) -> Any:
        keys[threading.current_thread().name].append(key)
        return submit(cluster, *arguments, key=key)

    def coordinate() -> None:
        if (name := threading.current_thread().name) != "third":
            barrier.wait(60)
        bench.made(name)

    monkeypatch.setattr(Cluster, "submit", noted)
    threads = [threading.Thread(target=coordinate, name=name) for name in keys]
    for thread in threads[:2]:
        thread.start()
    for thread in threads[:2]:
        thread.join(120)
    assert bench.contents("one") == bench.contents("other") == expected
    assert keys["one"] == keys["other"]
    assert len(set(keys["one"])) == TILES + 1, "the depths, and the stripes"
    os.utime(bench.path, ns=(1, 1))
    threads[2].start()
    threads[2].join(120)
    assert set(keys["third"]) & set(keys["one"]) == {keys["one"][0]}, "of another file only the depths are the same"


def _backwards(file: h5py.File) -> None:
    """Some genes of several stripes, one of which begins a stripe."""
    starts = file["X/indptr"][:]
    for gene in (3, 64, 65, 700):
        for name in ("data", "indices"):
            file["X"][name][starts[gene] : starts[gene + 1]] = file["X"][name][starts[gene] : starts[gene + 1]][::-1]


def test_indices_that_do_not_ascend_are_counted_as_by_threads(bench: Bench) -> None:
    bench.alter(_backwards)
    threads, there = bench.made("threads", connect=None), bench.made()
    assert (threads, threads.unsorted) == (there, 4)
    assert bench.contents() == bench.contents("threads")


def _another_depth(file: h5py.File) -> None:
    file["obs/total_counts"][7] = 3


def _no_depths(file: h5py.File) -> None:
    for name in ("total_counts", "n_UMI_counts"):
        replace(file["obs"], name, np.full(WIDE.cells, -1.0))


@pytest.mark.parametrize(("change", "others"), [(_another_depth, 1), (_no_depths, 0)])
def test_depths_are_proved_and_counted_by_workers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[h5py.File], None], others: int
) -> None:
    bench.alter(change)
    threads = bench.made("threads", connect=None)
    monkeypatch.setattr(StoredMatrix, "blocks", lambda *_, **__: pytest.fail("read by this process"))
    there = bench.made()
    assert there == threads
    assert (there.readings, there.cells_of_other_depth) == (2, others)
    assert bench.contents() == bench.contents("threads")


def test_what_stands_by_cells_stays_here_and_that_is_said(tmp_path: Path) -> None:
    path, said = tmp_path / "cells.h5ad", list[str]()
    write_h5ad(path, WIDE, layout="csr", counts="X", compression="gzip")
    make_store(
        source_at(path), tmp_path / "store", tmp_path / "checkpoints", {},
        connect=lambda: pytest.fail("the cluster was asked"), say=said.append,
    )  # fmt: skip
    assert contents(tmp_path)
    (line,) = said
    assert line.startswith("cells.h5ad: X stands by cells: it is read on this machine, not on the cluster of CM4AI_EXE")


@pytest.mark.parametrize(
    ("numbers", "dtype"),
    [
        ([], "uint8"),
        ([0, 255], "uint8"),
        ([0, 256], "uint16"),
        ([2**32 - 1], "uint32"),
        ([2.0**32], "float64"),
        ([-1, 3], "float64"),
        ([0.5], "float64"),
        ([np.nan, 1], "float64"),
        ([np.inf], "float64"),
    ],
)
def test_small_numbers_are_the_same_numbers(numbers: list[float], dtype: str) -> None:
    whole = np.array(numbers, np.float64)
    assert small(whole).dtype == dtype
    np.testing.assert_array_equal(small(whole).astype(np.float64), whole)
