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
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, metadata, version
from pathlib import Path

from cm4ai_assets.settings import PROJECT, is_checkout

NAME = "cm4ai_assets"
_SECONDS = 10
_LOOKING = threading.Lock()
_NO_TAG = "0.0.0"
_DECIDING = (
    *("numpy", "opencv-python-headless", "imagecodecs", "simplejpeg", "numba", "h5py", "google-crc32c"),
    "distributed",  # whose processes speak to one another
)


@dataclass(frozen=True)
class Software:
    """What made something.

    Attributes:
        version: Version of this package, `package_version()`.
        commit: The git commit of a checkout; None for an installed package, whose version leads to it, or where git
            does not say.
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


@cache
def package_version() -> str:
    """The version of this package: the newest tag, and how many commits ago that was; 0.0.0 where no tag is known.

    Of a checkout that is asked of git, because an editable installation keeps the version of the day it was made. The
    rule is the one by which a wheel has its version (`setuptools_scm` in pyproject.toml).
    """
    if _commit() is not None:
        return _version_of_checkout()
    try:
        return version(NAME)
    except PackageNotFoundError:
        return _NO_TAG


def _version_of_checkout(project: Path = PROJECT) -> str:
    """Such as 0.3.0, or 0.3.0.post12+gabcdef012 twelve commits later."""
    described = _git("describe", "--tags", "--long", "--abbrev=9", "--match", "v[0-9]*", project=project)
    if described is None:
        since, node = _git("rev-list", "--count", "HEAD", project=project), _git("rev-parse", "HEAD", project=project)
        described = f"v{_NO_TAG}-{since}-g{(node or '')[:9]}"
    tag, since, node = described.rsplit("-", 2)
    return tag[1:] if since == "0" else f"{tag[1:]}.post{since}+{node}"


def _commit() -> str | None:
    return _git("rev-parse", "HEAD") if is_checkout() and (PROJECT / ".git").exists() else None


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
    stated = (one.metadata for one in distributions())  # read anew at each look: once for each
    installed = {f"{one['Name']}=={one['Version']}" for one in stated if one["Name"]}
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
    """What decides the bytes that this process makes of images and counts, each part with its version.

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


def running() -> Software:
    """The software of this process; looked up once, however many threads ask."""
    with _LOOKING:
        return _running()


def look_ahead() -> None:
    """Look up `running()` in a thread of its own: it packs this package and asks git, beside what loads meanwhile."""
    threading.Thread(target=running, name="software", daemon=True).start()


@cache
def _running() -> Software:
    commit = _commit()
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


def _git(*words: str, project: Path = PROJECT) -> str | None:
    """What git says of the checkout; None where it says nothing."""
    try:
        said = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(project), *words],  # noqa: S607 - the one on the path
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
