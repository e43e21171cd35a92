"""One sandbox of eight fields per condition, built once, and a server over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cm4ai_assets.sandbox import SandboxServer, build
from cm4ai_assets.sandbox.catalog import Catalog


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sandbox") / "archive"
    build(directory, fields=8, seed=1)
    return directory


@pytest.fixture(scope="session")
def catalog(sandbox: Path) -> Catalog:
    return Catalog.load(sandbox)


@pytest.fixture
def server(sandbox: Path) -> Iterator[SandboxServer]:
    with SandboxServer(sandbox) as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url) as opened:
        yield opened
