from __future__ import annotations

from pathlib import Path

import pytest

from cm4ai_assets_tests.perturbseq.files import written


@pytest.fixture(scope="session")
def csc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small experiment as published: counts in X, by genes."""
    return written(tmp_path_factory.mktemp("csc") / "cells.h5ad")


@pytest.fixture(scope="session")
def csr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by cells."""
    return written(tmp_path_factory.mktemp("csr") / "cells.h5ad", layout="csr")
