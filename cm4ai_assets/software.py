"""The software and the machine that a process runs on, as a record of what it makes states them.

Belongs here: facts that decide whether a result can be made again: version, commit, installed distributions, processor.
Does not belong here: where they are recorded (`storage.makings`). The name of the machine and of its user are nobody's
business and stand nowhere.
"""

from __future__ import annotations

import hashlib
import io
import platform
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, metadata, version
from pathlib import Path

from cm4ai_assets.settings import PROJECT

NAME = "cm4ai_assets"
_SECONDS = 10
_DECIDING = (
    *("numpy", "opencv-python-headless", "imagecodecs", "simplejpeg", "numba", "google-crc32c"),
    "distributed",  # whose processes speak to one another
)


@dataclass(frozen=True)
class Software:
    """What made something.

    Attributes:
        version: Version of this package.
        commit: The git commit of a checkout; None for an installed package, or where git does not say.
        modified: The checkout had changes that are in no commit; None where that is not known.
        python: Version of Python.
        environment: SHA-256 of `environment()`.
        source: SHA-256 of `source()`; None where that was not kept.
        machine: Processor architecture, such as x86_64.
        system: Operating system, such as Linux.
    """

    version: str
    commit: str | None
    modified: bool | None
    python: str
    environment: str
    machine: str
    system: str
    source: str | None = None


def package_version() -> str:
    """The version of this package."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "(from a checkout)"


def addresses() -> tuple[str, ...]:
    """Where this package says that it is available: its project URLs and its home page; none if it says nothing."""
    try:
        stated = metadata(NAME)
    except PackageNotFoundError:
        return ()
    urls = (one.partition(",")[2].strip() for one in stated.get_all("Project-URL") or ())
    return tuple(dict.fromkeys([*urls, *(stated.get_all("Home-page") or ())]))


@cache
def environment() -> str:
    """The installed distributions, one a line as `name==version`, sorted: the lock file of this process."""
    installed = {f"{one.metadata['Name']}=={one.version}" for one in distributions() if one.metadata["Name"]}
    return "".join(f"{line}\n" for line in sorted(installed, key=str.lower))


@cache
def source() -> bytes:
    """This package's own files as a ZIP: what ran, be it in a commit or not. The same files give the same bytes."""
    package, packed = Path(__file__).parent, io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(package.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(f"{NAME}/{path.relative_to(package).as_posix()}")  # of no date
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    return packed.getvalue()


@cache
def parts() -> Mapping[str, str]:
    """What decides the bytes that this process makes of images, each part with its version.

    Of this package that is a digest of its own files, be they in a commit or not. Processes that agree in all of it
    make the same bytes, and may share the work on one product.
    """
    package, own = Path(__file__).parent, hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        data = path.read_bytes()
        own.update(f"{path.relative_to(package).as_posix()} {len(data)} ".encode() + data)
    minor = ".".join(platform.python_version_tuple()[:2])
    return {"Python": minor, NAME: own.hexdigest()[:16], **{name: _version(name) for name in _DECIDING}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@cache
def running() -> Software:
    """The software of this process; looked up once."""
    commit = _git("rev-parse", "HEAD") if (PROJECT / ".git").exists() else None
    return Software(
        version=package_version(),
        commit=commit,
        modified=None if commit is None else _is_modified(),
        python=platform.python_version(),
        environment=hashlib.sha256(environment().encode()).hexdigest(),
        machine=platform.machine(),
        system=platform.system(),
        source=hashlib.sha256(source()).hexdigest(),
    )


def _is_modified() -> bool | None:
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)


def _git(*words: str) -> str | None:
    """What git says of the checkout; None where it says nothing."""
    try:
        said = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(PROJECT), *words],  # noqa: S607 - the one on the path
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
