"""A cluster for the tests of one module, and its storage. Fixtures, for every test package that has passes there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.servers.dask_cluster import DaskCluster, Launcher, dask_cluster


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
