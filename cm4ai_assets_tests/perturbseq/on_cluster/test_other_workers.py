"""Workers of a Dask cluster that see another file, have other software or compute otherwise add nothing up."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cm4ai_assets.cluster.connection import Cluster, connect
from cm4ai_assets.cluster.workers import Terms, make
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.perturbseq import kernel
from cm4ai_assets.perturbseq.groups import Groups
from cm4ai_assets.perturbseq.on_cluster import ClusterWorkers, Matrix, Parts
from cm4ai_assets.perturbseq.sources import OwnFile, StoredFile
from cm4ai_assets_tests.perturbseq.on_cluster.conftest import WIDE, Bench, at
from cm4ai_assets_tests.servers.dask_cluster import Launcher, dask_cluster

pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")

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


def test_the_digest_of_logarithms_tells_the_last_digit() -> None:
    logs = kernel.logarithms(np.array([100.0, 2000.0]), 10_000.0, 2.0**-30)
    other = logs.copy()
    other[1, 2] = np.nextafter(other[1, 2], 2)
    assert kernel.arithmetic(logs) == kernel.arithmetic(logs.copy()) != kernel.arithmetic(other)
