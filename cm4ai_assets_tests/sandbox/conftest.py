"""A server over the sandbox that all test processes share, and what its catalogue says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.catalog import Catalog


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
