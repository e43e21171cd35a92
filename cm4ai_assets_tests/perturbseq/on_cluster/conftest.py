"""What tests of the pass on a cluster share: a wide file, what threads make of it, and a bench of a test's own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import pytest

from cm4ai_assets.cluster.connection import Cluster, connect
from cm4ai_assets.perturbseq import passes
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.perturbseq.passes import PassProgress
from cm4ai_assets.perturbseq.profiles import Source, make_store
from cm4ai_assets.perturbseq.sources import File, OwnFile
from cm4ai_assets.sandbox.h5ad import write_h5ad
from cm4ai_assets.sandbox.perturbseq import Experiment
from cm4ai_assets.storage.profiles import ProfilesRecord
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.cluster.bench import folder, running, store
from cm4ai_assets_tests.servers.dask_cluster import DaskCluster

__all__ = ["folder", "running", "store"]  # fixtures, for these modules

ONE_TILE = 1
TILES = 16
WIDE = Experiment(cells=300, genes=TILES * passes.TILE - 10, targets=12)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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
