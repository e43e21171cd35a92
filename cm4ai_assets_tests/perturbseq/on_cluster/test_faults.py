"""The pass over counts on a Dask cluster when processes die, a matrix is damaged, or a file changes meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import h5py
import pytest

from cm4ai_assets.cluster.connection import Cluster
from cm4ai_assets.errors import ClusterError
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.perturbseq.on_cluster import ClusterWorkers
from cm4ai_assets.perturbseq.passes import PassProgress
from cm4ai_assets_tests.perturbseq.on_cluster.conftest import TILES, Bench, at, fall

pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")


def test_the_work_of_a_killed_worker_is_done_by_others(
    bench: Bench, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)  # so that there is work left
    with bench.connect() as cluster:
        before = set(cluster.client.nthreads())
    bench.made(progress=at(5, bench.cluster.workers.pop(0).kill))
    with bench.connect() as cluster:
        assert len(set(cluster.client.nthreads()) & before) == len(before) - 1
    bench.cluster.add_worker()
    assert bench.contents() == expected


def test_a_run_whose_scheduler_is_killed_fails_and_goes_on_when_it_is_back(
    bench: Bench, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)
    with pytest.raises(ClusterError, match=r"scheduler tcp://127\.0\.0\.1:\d+ went away[^\n]*materialize again\.$"):
        bench.made(progress=at(5, bench.cluster.scheduler.kill), save_seconds=0)
    assert bench.contents() == {}
    for worker in bench.cluster.workers:
        worker.kill()
    bench.cluster.workers.clear()
    bench.cluster.start(3)
    seen: list[PassProgress] = []
    bench.made(progress=seen.append)
    assert bench.contents() == expected
    assert len(seen) <= TILES - 5, "what was taken and saved before was asked for again"


@pytest.mark.parametrize("ends", ["here", "there"])
def test_a_killed_pass_goes_on_here_or_there(bench: Bench, expected: dict[str, str], ends: str) -> None:
    """One form of checkpoints: what workers have added up, threads go on from, and the other way round."""
    first, second = (None, bench.connect) if ends == "there" else (bench.connect, None)
    with pytest.raises(KeyboardInterrupt):
        bench.made(progress=at(9, fall), save_seconds=0, connect=first)
    seen: list[PassProgress] = []
    bench.made(progress=seen.append, connect=second)
    assert bench.contents() == expected
    assert seen[-1].read < seen[-1].stored * 0.7, "it began anew"


def test_of_a_pass_that_was_broken_off_nothing_is_left_to_do(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.made(progress=at(2, fall))
    with bench.connect() as cluster:
        for _ in range(100):
            left = cluster.client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
            if not left:
                break
            time.sleep(0.1)
    assert left == []


def _set(at_value: int, value: float) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file["X/data"][at_value] = value

    return change


def _index(value: int) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file["X/indices"][12_345] = value

    return change


def _twice(file: h5py.File) -> None:
    file["X/indices"][12_345] = file["X/indices"][12_344]


def _reversed_with_a_repeat(file: h5py.File) -> None:
    first, last = file["X/indptr"][300], file["X/indptr"][301]
    places = file["X/indices"][first:last][::-1]
    places[5] = places[0]
    file["X/indices"][first:last] = places


def _two_bad_values(file: h5py.File) -> None:
    """In two stripes, of which the later one is the shorter: it is done first."""
    file["X/data"][12_345] = -3
    file["X/data"][len(file["X/data"]) - 1] = 1.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(12_345, float("nan")), "nan is no count"),
        (_set(12_345, -3), "-3.0 is no count"),
        (_set(12_345, 1.5), "1.5 is no count"),
        (_index(-1), "has an index -1, out of 300"),
        (_index(300), "has an index 300, out of 300"),
        (_twice, "twice"),
        (_reversed_with_a_repeat, "has a place twice"),
        (_two_bad_values, "-3.0 is no count"),
    ],
)
def test_a_damaged_matrix_is_named_as_by_threads(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[h5py.File], None], message: str
) -> None:
    monkeypatch.setattr(StoredMatrix, "sample", lambda self: self._values[:50])
    bench.alter(change)
    said = []
    for name, connected in (("threads", None), ("cluster", bench.connect)):
        with pytest.raises(H5adDamagedError, match=message) as raised:
            bench.made(name, connect=connected)
        said.append(str(raised.value))
        assert bench.contents(name) == {}
    assert said[0] == said[1]


def test_a_file_that_changes_meanwhile_ends_the_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)
    with pytest.raises(H5adDamagedError, match=r"mine\.h5ad changed while it was read\. Leave it as it is"):
        bench.made(progress=at(3, lambda: os.utime(bench.path, ns=(1, 1))))
    assert bench.contents() == {}


def test_a_file_that_changes_before_a_worker_opens_it_is_no_other_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = ClusterWorkers.require_file

    def look_and_change(workers: ClusterWorkers) -> None:
        look(workers)
        os.utime(bench.path, ns=(1, 1))

    monkeypatch.setattr(ClusterWorkers, "require_file", look_and_change)
    with pytest.raises(H5adDamagedError, match=r"mine\.h5ad changed while it was read"):
        bench.made()
