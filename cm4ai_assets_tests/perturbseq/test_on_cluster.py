"""The pass over counts on a Dask cluster of separate processes: the bytes of the threads, whatever happens to it."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cm4ai_assets.cluster.connection import Cluster, connect
from cm4ai_assets.cluster.workers import Terms, make
from cm4ai_assets.errors import ClusterError, ConfigurationError
from cm4ai_assets.perturbseq import kernel, passes
from cm4ai_assets.perturbseq.groups import Groups, read_groups
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.perturbseq.on_cluster import ClusterWorkers, Matrix, Parts
from cm4ai_assets.perturbseq.parts import small
from cm4ai_assets.perturbseq.passes import PassProgress
from cm4ai_assets.perturbseq.profiles import Source, make_store
from cm4ai_assets.perturbseq.sources import File, OwnFile, StoredFile
from cm4ai_assets.sandbox.h5ad import write_h5ad
from cm4ai_assets.sandbox.perturbseq import Experiment
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.profiles import ProfilesRecord
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.perturbseq.files import replace
from cm4ai_assets_tests.servers.dask_cluster import DaskCluster, Launcher, dask_cluster

pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")

ONE_TILE = 1
TILES = 16
WIDE = Experiment(cells=300, genes=TILES * passes.TILE - 10, targets=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def running(dask_launcher: Launcher, folder: Path) -> Iterator[DaskCluster]:
    with dask_cluster(dask_launcher, folder) as started:
        yield started


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> Store:
    return Store(str(folder / "storage"), scratch=tmp_path / "scratch")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of many stripes, by genes."""
    path = tmp_path_factory.mktemp("wide") / "cells.h5ad"
    write_h5ad(path, WIDE, layout="csc", counts="X", compression="gzip")
    return path


def source_at(path: Path, file: File | None = None) -> Source:
    file = file or OwnFile.at(path, "cells.h5ad")
    return Source(file.label, "ab" * 32, lambda: H5ad(path, label=file.label), file.unchanged, file=file)


@dataclass(frozen=True)
class Bench:
    """A cluster, and a file of a test's own: of another date, so that its tasks are none of another test's."""

    cluster: DaskCluster
    store: Store
    path: Path
    folder: Path

    def connect(self) -> AbstractContextManager[Cluster]:
        return connect(self.cluster.address, self.store)

    def made(self, name: str = "cluster", *, file: File | None = None, **options: Any) -> ProfilesRecord:
        """Its profiles, below a folder; by the cluster, if nothing else is said."""
        options = {"stripe_bytes": ONE_TILE, "connect": self.connect, **options}
        target, source = self.folder / name, source_at(self.path, file)
        return make_store(source, target / "store", target / "checkpoints", {"doi": "doi:x"}, **options)

    def alter(self, change: Callable[[h5py.File], None]) -> None:
        """Change something in the file."""
        with h5py.File(self.path, "r+") as file:
            change(file)

    def contents(self, name: str = "cluster") -> dict[str, str]:
        """The files of the store that was made, by their digest."""
        return contents(self.folder / name)


@pytest.fixture
def bench(running: DaskCluster, store: Store, wide: Path, tmp_path: Path) -> Bench:
    shutil.copyfile(wide, tmp_path / "mine.h5ad")
    return Bench(running, store, tmp_path / "mine.h5ad", tmp_path)


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "store").rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def expected(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What threads make of it."""
    target = tmp_path_factory.mktemp("expected")
    make_store(source_at(wide), target / "store", target / "checkpoints", {"doi": "doi:x"})
    return contents(target)


@pytest.fixture
def not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this process reads no values."""
    monkeypatch.setattr(StoredMatrix, "blocks", lambda *_, **__: pytest.fail("read by this process"))


def at(stripes: int, action: Callable[[], object]) -> Callable[[PassProgress], None]:
    """A listener to progress that does something once, after so many stripes."""
    seen: list[PassProgress] = []

    def listen(progress: PassProgress) -> None:
        seen.append(progress)
        if len(seen) == stripes:
            action()

    return listen


def fall() -> None:
    raise KeyboardInterrupt


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


HERE = Path("/proc/self/cwd")
"""A path that leads to another folder in each process, as one that names a disk does on each machine."""


@pytest.fixture
def apart(
    dask_launcher: Launcher, bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Bench, Path]]:
    """A cluster without workers, a file where only this process sees it; and where a worker would have it."""
    if not HERE.exists():
        pytest.skip("This system has no /proc/self/cwd")
    (bench.folder / "theirs").mkdir()
    monkeypatch.chdir(bench.folder)
    with dask_cluster(dask_launcher, folder, workers=0) as cluster:
        theirs = bench.folder / "theirs" / "mine.h5ad"
        yield Bench(cluster, bench.store, HERE / "mine.h5ad", bench.folder), theirs


def _absent(source: Path, target: Path) -> None:
    """Nothing is copied."""


def _dated(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    os.utime(target, ns=(1, source.stat().st_mtime_ns + 1))


def _cut(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes()[:-1])
    os.utime(target, ns=(1, source.stat().st_mtime_ns))


@pytest.mark.parametrize(
    ("copy", "found"),
    [
        (_absent, "does not exist"),
        (_dated, r"was changed last at \S+ \S+\d{9} UTC instead of \S+ \S+\d{9} UTC"),
        (_cut, r"has [\d,]+ bytes instead of [\d,]+"),
    ],
)
@pytest.mark.parametrize("when", ["before", "late"])
def test_a_worker_that_does_not_see_the_file_is_named(
    apart: tuple[Bench, Path],
    copy: Callable[[Path, Path], None],
    found: str,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench, theirs = apart
    copy(bench.path, theirs)
    bench.cluster.add_worker(TESTS_FOLDER=str(theirs.parent))
    who = rf"The worker tcp://\S+ of the cluster {bench.cluster.address}"
    if when == "late":  # as one that comes after all others were looked at
        monkeypatch.setattr(ClusterWorkers, "require_file", lambda _: None)
        who = "A worker of the cluster"
    with pytest.raises(
        ConfigurationError,
        match=rf"^{who} does not see the h5ad that CM4AI_H5AD names: on \S+, {bench.path} {found}\. Let every[^\n]*$",
    ):
        bench.made()
    assert bench.contents() == {}


def test_a_copy_of_the_same_date_is_the_same_file(apart: tuple[Bench, Path], expected: dict[str, str]) -> None:
    bench, theirs = apart
    shutil.copy2(bench.path, theirs)
    bench.cluster.add_worker(TESTS_FOLDER=str(theirs.parent))
    bench.made()
    assert bench.contents() == expected


def test_a_copy_that_changes_meanwhile_ends_the_pass(
    apart: tuple[Bench, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the worker can see that: it does the task again, and then says on which machine."""
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)
    bench, theirs = apart
    shutil.copy2(bench.path, theirs)
    bench.cluster.add_worker(TESTS_FOLDER=str(theirs.parent))
    with pytest.raises(
        ConfigurationError, match=rf"on \S+, {bench.path} was changed last at 1970-01-01 00:00:00\.0000"
    ):
        bench.made(progress=at(3, lambda: os.utime(theirs, ns=(1, 1))))


def test_a_worker_of_other_software_adds_nothing_up(dask_launcher: Launcher, bench: Bench, folder: Path) -> None:
    file = OwnFile.at(bench.path, "cells.h5ad")
    with (
        dask_cluster(dask_launcher, folder, workers=1) as other,
        connect(other.address, bench.store) as cluster,
    ):
        workers = ClusterWorkers(cluster, file, "X")
        other.workers[0].kill()
        other.add_worker(TESTS_OTHER_NUMPY="1.0.0")  # comes after the look at the workers
        with pytest.raises(ConfigurationError, match=r"A worker of the cluster has numpy 1\.0\.0 instead of"):
            workers.totals([(0, 64)], WIDE.cells)


@pytest.mark.parametrize(
    ("target", "name", "message"),
    [
        (kernel, "arithmetic", r"\(on \S+\) computes other logarithms than this process"),
        (Groups, "digest", "reads other groups of cells from cells.h5ad"),
    ],
)
def test_a_worker_that_computes_otherwise_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, target: object, name: str, message: str
) -> None:
    monkeypatch.setattr(target, name, (lambda _: "other") if target is kernel else "other")
    with pytest.raises(ConfigurationError, match=message):
        bench.made()


def test_what_is_sent_names_neither_the_storage_nor_its_passwords(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-send")
    terms = Terms((("numpy", "2.1"),), "id")
    recipe = Parts(Matrix(StoredFile("ab" * 32, "cells.h5ad", 7), "X"), "cd" * 32, "ef" * 32)
    sent = pickle.dumps((make, terms, recipe, ((0, 64),)))
    assert not re.search(rb"do-not-send|://|/tmp|storage_options", sent)


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


def test_the_digest_of_logarithms_tells_the_last_digit() -> None:
    logs = kernel.logarithms(np.array([100.0, 2000.0]), 10_000.0, 2.0**-30)
    other = logs.copy()
    other[1, 2] = np.nextafter(other[1, 2], 2)
    assert kernel.arithmetic(logs) == kernel.arithmetic(logs.copy()) != kernel.arithmetic(other)
