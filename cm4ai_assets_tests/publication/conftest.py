"""The release that the documents describe, laid out once for each test process."""

from __future__ import annotations

import pytest

from cm4ai_assets.access import Release
from cm4ai_assets_tests.publication.releases import described, few


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Two conditions with a store, splits, coverage and datasheets. Only to be read."""
    return described(tmp_path_factory.mktemp("described"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Four tables, of which descriptions are quickly made and read back. Only to be read."""
    return few(tmp_path_factory.mktemp("few"))
