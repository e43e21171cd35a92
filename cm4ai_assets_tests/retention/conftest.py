"""The small release in which every table has a row, of which things are taken away here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.lineage.world import build


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with two registered releases: one with every table, and one with the same images and a lock alone."""
    folder = tmp_path_factory.mktemp("retention")
    build(folder)
    return folder / "storage"


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    """A copy of it, to be altered."""
    shutil.copytree(whole, tmp_path / "storage")
    for path in (tmp_path / "storage").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
