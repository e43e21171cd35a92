"""What several test packages share: where the real inputs are, and a store of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cm4ai_assets.storage.store import Store

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real inputs beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the real inputs (../shared beside the checkout) are not here")
    return SHARED


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
