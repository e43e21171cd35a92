"""What several test packages share: where the real inputs are, a store of one's own, and an embedded archive."""

from __future__ import annotations

from pathlib import Path

import filelock
import pytest

from cm4ai_assets.sandbox import build
from cm4ai_assets.storage.store import Store

SHARED = Path(__file__).resolve().parents[2] / "shared"
SANDBOX_FIELDS = 8


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real inputs beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the real inputs (../shared beside the checkout) are not here")
    return SHARED


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """An embedded archive with eight fields per condition, built once for all test processes. Only to be read."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "sandbox"
    with filelock.FileLock(f"{folder}.lock"):
        build(folder, fields=SANDBOX_FIELDS)  # finds what another process has built
    return folder
