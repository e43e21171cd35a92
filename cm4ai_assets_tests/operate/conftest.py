"""A served sandbox, the environment of one operator, the command as a process of its own, and tests of the runbook.

A test marked `mends("disk-full")` carries out that section: it fails where it leaves out something that the page says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import service_variables
from cm4ai_assets_tests.operate.sections import Followed

_FOLLOWED = pytest.StashKey[Followed]()


@pytest.fixture
def section(request: pytest.FixtureRequest) -> Followed:
    """The section that the test carries out."""
    marker = request.node.get_closest_marker("mends")
    assert marker, "mark the test with the section that it carries out"
    followed: Followed = request.node.stash.setdefault(_FOLLOWED, Followed(*marker.args))
    return followed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test of a section has done all of it, or has failed or was skipped before."""
    yield
    if item.get_closest_marker("mends"):
        assert _FOLLOWED in item.stash, "it does not look at its section"
        item.stash[_FOLLOWED].require_whole()


@pytest.fixture(scope="module")
def archive(sandbox: Path) -> Iterator[SandboxServer]:
    with SandboxServer(sandbox) as server:
        yield server


@dataclass
class Operator:
    """Someone at a terminal, with a storage and an instance of their own."""

    folder: Path
    environ: dict[str, str]

    @property
    def home(self) -> Path:
        return Path(self.environ["DAGSTER_HOME"])

    @property
    def storage(self) -> Path:
        return Path(self.environ["CM4AI_STORAGE"])

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cm4ai_assets.cli", *words], env={**self.environ, **environ}, cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **environ)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def operator(archive: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    environ = {
        **service_variables(archive.url),
        "CM4AI_STORAGE": str(tmp_path / "storage"),
        "CM4AI_SCRATCH": str(tmp_path / "scratch"),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "CM4AI_TENSOR_SIZE": "256",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Operator(tmp_path, {**os.environ, **environ})
