"""An archive of one's own, and a storage and an instance with one condition's ZIP in them, copied for each test."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets_tests.operate.runbook.daemon import Daemon
from cm4ai_assets_tests.operate.runbook.operating import CONDITION, MAKE, TOKEN, Operator, use
from cm4ai_assets_tests.operate.sections import Followed


@pytest.fixture(scope="session")
def archive(sandbox: Path) -> Iterator[SandboxServer]:
    with SandboxServer(sandbox, token=TOKEN) as server:
        yield server


@pytest.fixture(scope="session")
def made(archive: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage and an instance with one ZIP in them, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        use(patch, archive, folder)
        words = shlex.split(f"{MAKE} --condition {CONDITION} --select if_archive")[1:]
        assert cli.main(words) == cli.DONE
    return folder


@pytest.fixture
def home_and_storage(made: Path, tmp_path: Path) -> Path:
    """A copy of the storage and the instance."""
    return Path(shutil.copytree(made, tmp_path / "one", symlinks=True))


@pytest.fixture
def operator(
    archive: SandboxServer,
    home_and_storage: Path,
    section: Followed,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Operator]:
    """Someone with a copy of all of that; the archive is as it was afterwards."""
    use(monkeypatch, archive, home_and_storage)
    monkeypatch.chdir(home_and_storage.parent)
    offered = archive._archive
    archive.clear_log()
    yield Operator(home_and_storage, archive, section, monkeypatch, capsys)
    archive.faults.clear()
    archive._archive = offered
    archive.publish_until(None)


@pytest.fixture
def daemon(operator: Operator) -> Daemon:
    """What a daemon would write down in the operator's instance."""
    return Daemon(operator)
