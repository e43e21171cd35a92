"""What the runbook says mends what it is for: a fault on a small storage, then the commands of its section, literally.

Faults that other tests provoke are named with them in `contract.test_runbook`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import service_variables
from cm4ai_assets.transfer import acquire
from cm4ai_assets_tests.operate.sections import commands

RELEASE = "2026-06-v2.0"


@dataclass
class Operator:
    """Someone who reads a section and types what it says, in a shell with the settings of one installation."""

    folder: Path
    published: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    def types(self, command: str, **shown: str) -> int:
        """Give one line. Releases are made as far as a test needs; what stands for a name becomes that name."""
        for word, here in {"KEY": RELEASE, **shown}.items():
            command = re.sub(rf"\b{word}\b", lambda _, here=here: here, command)
        if command.startswith("cm4ai materialize"):
            command += " --condition paclitaxel --select if_archive"
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.patch.setenv(name, self._shell(f"printf %s {value}"))
            return cli.DONE
        if not command.startswith("cm4ai "):
            self._shell(command)
            return cli.DONE
        return cli.main(shlex.split(command)[1:])

    def follows(self, anchor: str, **shown: str) -> None:
        """Give each command of a section, in order; all but the search for damage end well."""
        lines = commands(anchor)
        assert lines
        for line in lines:
            assert self.types(line, **shown) in ({cli.FAILED} if line == "cm4ai verify" else {cli.DONE}), line

    def fails(self, command: str, anchor: str, status: int = cli.FAILED) -> str:
        self.capture.readouterr()
        assert self.types(command) == status
        message = self.capture.readouterr().err
        assert f"See docs/runbook.md#{anchor}\n" in message
        assert "Traceback" not in message
        return message

    def _shell(self, line: str) -> str:
        return subprocess.run(
            ["/bin/sh", "-ec", line], capture_output=True, text=True, check=True, cwd=self.folder
        ).stdout


MAKE = "cm4ai materialize --release latest"


@pytest.fixture(scope="module")
def published(sandbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of one's own, which can be damaged: the newest release."""
    return Path(shutil.copytree(sandbox, tmp_path_factory.mktemp("published") / "archive"))


@pytest.fixture(scope="module")
def archive(published: Path) -> Iterator[SandboxServer]:
    with SandboxServer(published) as server:
        yield server


@pytest.fixture(scope="module")
def made(archive: SandboxServer, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage and an instance with one archive in them, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        _settings(patch, archive, folder)
        words = shlex.split(f"{MAKE} --condition paclitaxel --select if_archive")[1:]
        assert cli.main(words) == cli.DONE
    return folder


def _settings(patch: pytest.MonkeyPatch, archive: SandboxServer, folder: Path) -> None:
    for name, value in service_variables(archive.url).items():
        patch.setenv(name, value)
    patch.setenv("CM4AI_STORAGE", str(folder / "storage"))
    patch.setenv("CM4AI_SCRATCH", str(folder / "scratch"))
    patch.setenv("DAGSTER_HOME", str(folder / "home"))


@pytest.fixture
def operator(
    request: pytest.FixtureRequest, made: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Operator:
    shutil.copytree(made, tmp_path / "one", symlinks=True)
    _settings(monkeypatch, request.getfixturevalue("archive"), tmp_path / "one")
    monkeypatch.chdir(tmp_path)
    return Operator(tmp_path / "one", published, monkeypatch, request.getfixturevalue("capsys"))


def _flip(path: Path) -> bytes:
    content = path.read_bytes()
    middle = len(content) // 2
    path.chmod(0o600)
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    return content


def _blob(operator: Operator) -> Path:
    stored = [path for path in (operator.storage / "blobs" / "sha256").rglob("*") if path.is_file()]
    return max(stored, key=lambda path: path.stat().st_size)


def test_stored_bytes_damaged(operator: Operator) -> None:
    blob = _blob(operator)
    (table,) = (operator.storage / "tables" / "if_archive").rglob("*.parquet")
    _flip(blob)
    _flip(table)
    assert blob.name in operator.fails(MAKE, "stored-bytes-damaged")
    operator.follows("stored-bytes-damaged", DIGEST=blob.name, PATH=str(table.relative_to(operator.storage)))
    assert operator.types("cm4ai verify") == cli.DONE


def test_wrong_bytes(operator: Operator) -> None:
    """The archive hands out other bytes than it lists, and then the right ones again."""
    blob = _blob(operator)
    served = next(
        path
        for path in operator.published.rglob("*")
        if path.is_file() and path.stat().st_size == blob.stat().st_size and path.read_bytes() == blob.read_bytes()
    )
    shutil.rmtree(operator.storage / "blobs")
    right = _flip(served)
    try:
        assert "digest_and_size" in operator.fails(MAKE, "wrong-bytes")
    finally:
        served.write_bytes(right)
    assert [path for path in (operator.folder / "scratch" / "quarantine").rglob("*") if path.is_file()]
    operator.follows("wrong-bytes")
    assert operator.types("cm4ai verify") == cli.DONE


def test_disk_full(operator: Operator) -> None:
    shutil.rmtree(operator.storage / "blobs")
    with pytest.MonkeyPatch.context() as full:
        full.setattr(acquire, "RESERVE", 1 << 60)
        operator.fails(MAKE, "disk-full")
    operator.follows("disk-full")


def test_not_writable(operator: Operator) -> None:
    shutil.rmtree(operator.storage / "blobs")
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("CM4AI_SCRATCH", "/proc/none")
        operator.fails(MAKE, "not-writable")
    operator.follows("not-writable")


def test_release_record(operator: Operator) -> None:
    (operator.storage / "registry" / "releases" / f"{RELEASE}.json").write_text("no record")
    operator.fails("cm4ai releases", "release-record")
    operator.follows("release-record")
    assert operator.types("cm4ai releases") == cli.DONE


def test_wrong_storage(operator: Operator) -> None:
    shutil.copytree(operator.storage, operator.folder / "other")
    (operator.folder / "other" / "registry" / "storage.json").unlink()
    operator.patch.setenv("CM4AI_STORAGE", str(operator.folder / "other"))
    operator.fails(MAKE, "wrong-storage", cli.WRONG_USE)
    operator.follows("wrong-storage")
    assert operator.types("cm4ai releases") == cli.DONE


def test_instance_lost(operator: Operator) -> None:
    home = operator.folder / "home"
    for path in home.rglob("*.db"):
        path.write_bytes(b"this was a database " * 500)
    operator.fails(MAKE, "instance-lost")
    operator.follows("instance-lost")
    operator.capture.readouterr()
    assert operator.types("cm4ai rebuild") == cli.DONE
    assert "0 tables recorded" in operator.capture.readouterr().out
    assert (operator.folder / "home.damaged").is_dir()
