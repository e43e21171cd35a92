"""The package as it is installed: built from a tag, used outside of the checkout, writing only where it says.

The wheel is built from the sdist, and stands in an environment of its own that sees the libraries of this one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import PROJECT, service_variables

pytest.importorskip("build", reason="build is not installed (extra: dev)")
pytest.importorskip("setuptools_scm", reason="setuptools-scm is not installed (extra: dev)")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (PROJECT / ".git").exists(), reason="this tree is no git checkout: no version, no list of files"
    ),
]

VERSION = "98.7.6"
_USED = """
import json, sys
from cm4ai_assets import settings, software, ui
try:
    ui.main(["--help"])
except SystemExit as ended:
    assert not ended.code
from dagster._core.workspace.load_target import WorkspaceFileTarget
(origin,) = WorkspaceFileTarget([str(settings.PACKAGE / "workspace.yaml")]).create_origins()
assert origin.loadable_target_origin.module_name == "cm4ai_assets.definitions"
from cm4ai_assets.definitions import defs
found = {"assets": len(defs.resolve_asset_graph().get_all_asset_keys()), "version": software.package_version(),
         "commit": software.running().commit, "from": str(settings.PACKAGE)}
print(json.dumps(found))
"""


def _run(words: list[str | Path], **others: object) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, **others)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def _tracked(folder: Path) -> set[str]:
    return set(_run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=folder).splitlines())


@dataclass(frozen=True)
class Built:
    sdist: set[str]
    wheel: set[str]
    wheel_path: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built from a clone that has the files of this tree as they are, committed and tagged."""
    folder = tmp_path_factory.mktemp("build")
    clone = folder / "clone"
    _run(["git", "clone", "--quiet", "--shared", PROJECT, clone])
    for name in {*_tracked(PROJECT), *_tracked(clone)}:
        (clone / name).unlink(missing_ok=True)
        if (PROJECT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, clone / name, follow_symlinks=False)
    own = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    _run([*own, "add", "--all"], cwd=clone)
    _run([*own, "commit", "--quiet", "--allow-empty", "--message", "as it is"], cwd=clone)
    _run([*own, "tag", f"v{VERSION}"], cwd=clone)
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, clone])
    sdist, wheel = folder / f"cm4ai_assets-{VERSION}.tar.gz", folder / f"cm4ai_assets-{VERSION}-py3-none-any.whl"
    with tarfile.open(sdist) as opened:
        packed = {one.name.partition("/")[2] for one in opened if not one.isdir()}
    return Built(packed, set(zipfile.ZipFile(wheel).namelist()), wheel)


@dataclass(frozen=True)
class Installed:
    bin: Path
    packages: Path
    home: Path
    env: dict[str, str]

    def runs(self, *words: str | Path) -> str:
        return _run([self.bin / words[0], *words[1:]], cwd=self.home, env=self.env)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    venv, home = tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("home")
    _run([sys.executable, "-m", "venv", "--without-pip", venv])
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(venv), "platbase": str(venv)}))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        venv / "bin/python",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    _run([*pip, built.wheel_path])
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    env = {"HOME": str(home), "PATH": f"{venv / 'bin'}:/usr/bin:/bin", "COLUMNS": "500"}
    return Installed(venv / "bin", packages, home, env)


def test_the_sdist_has_every_file_of_the_checkout(built: Built) -> None:
    assert {name for name in _tracked(PROJECT) if (PROJECT / name).exists()} <= built.sdist


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(built: Built) -> None:
    package = {name for name in _tracked(PROJECT) if name.startswith("cm4ai_assets/") and (PROJECT / name).exists()}
    assert {name for name in built.wheel if ".dist-info/" not in name} == package, "see package_data in setup.cfg"
    assert {"cm4ai_assets/dagster.yaml", "cm4ai_assets/workspace.yaml", "cm4ai_assets/py.typed"} <= built.wheel


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def untouched(installed: Installed) -> Iterator[None]:
    before = _files(installed.packages)
    yield
    assert _files(installed.packages) == before, "something was written beside the installed package"


@pytest.mark.usefixtures("untouched")
def test_ui_and_definitions_load_and_the_version_is_that_of_the_tag(installed: Installed) -> None:
    shown, _, found = installed.runs("python", "-c", _USED).strip().rpartition("\n")
    assert shown.startswith("usage: ")
    facts = json.loads(found)
    assert facts["assets"] > 30
    assert facts["from"] == str(installed.packages / "cm4ai_assets")
    assert (facts["version"], facts["commit"]) == (VERSION, None)
    assert installed.runs("cm4ai", "--version").strip() == VERSION


@pytest.mark.usefixtures("untouched")
def test_storage_and_instance_stand_in_the_users_folder(installed: Installed, sandbox: Path) -> None:
    assert installed.runs("cm4ai", "--help").startswith("usage: cm4ai")
    with SandboxServer(sandbox) as archive:
        installed.env.update(service_variables(archive.url))
        assert "2026-06-v2.0" in installed.runs("cm4ai", "releases", "--register")
    own = installed.home / ".local/share/cm4ai_assets"
    assert {path.name for path in own.iterdir()} == {"storage", ".dagster_home"}
    assert (own / ".dagster_home/dagster.yaml").samefile(installed.packages / "cm4ai_assets/dagster.yaml")
    assert (own / "storage/registry/storage.json").is_file()
    assert {path.name for path in installed.home.iterdir()} <= {".local", ".cache"}
