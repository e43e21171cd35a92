"""The small release in which every table has its origin, made once for each test process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.lineage.world import build


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Every table of the platform with a row, and the bytes behind it. Only to be read."""
    return build(tmp_path_factory.mktemp("lineage"))


@pytest.fixture
def copy(release: Release, tmp_path: Path) -> Release:
    """A copy of it, to be altered."""
    shutil.copytree(release.store.root, tmp_path / "storage")
    for path in (tmp_path / "storage").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return Release(release.key, Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch"))
