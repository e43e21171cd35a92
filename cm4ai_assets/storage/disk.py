"""Local files that survive a crash: written whole or not at all, and on the disk when it is said so.

Belongs here: fsync, atomic writes, and what a failing disk means. Does not belong here: where files stand.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from cm4ai_assets.errors import Cm4aiError, NoSpaceError, ScratchError

RESERVE = 256 * 1024 * 1024
"""Bytes left free on every filesystem: a full disk stops more than a download."""


_SETTINGS: Final = "CM4AI_SCRATCH and CM4AI_STORAGE"
_REMEDY: Final = f"{_SETTINGS} must be folders that can be written."

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# As polars, HDF5 and Python itself state an error of the operating system: "(os error 28)", "errno = 28", "[Errno 28]".
_STATED: Final = re.compile(r"\b(?:os error|errno)\W{1,3}(\d+)\b", re.IGNORECASE)


@contextmanager
def typed_disk_errors(path: Path, *, remedy: str = _REMEDY) -> Iterator[None]:
    """Turn what the operating system says about a disk into our errors, also where a library only passes its words on.

    Args:
        path: What is read and written.
        remedy: What a person can do where it cannot be.
    """
    try:
        yield
    except Cm4aiError:  # says already what it is; some are errors of the operating system too
        raise
    except Exception as error:
        if found := _FULL.intersection(_numbers(error)):
            raise NoSpaceError(
                f"The disk of {path} is full: {os.strerror(min(found))}.",
                remedy="Free some space and try again; what has arrived is kept and not fetched twice.",
            ) from error
        if not isinstance(error, OSError):
            raise
        raise ScratchError(
            f"{path} cannot be used: {error.strerror or error}.",
            remedy=remedy,
        ) from error


def _numbers(error: Exception) -> list[int]:
    """The operating system's numbers of an error: its own, or those that its text states."""
    if isinstance(error, OSError) and error.errno is not None:
        return [error.errno]
    return [int(number) for number in _STATED.findall(str(error))]


def fsync_file(path: Path) -> None:
    """See that the bytes of a file are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(path: Path) -> None:
    """See that the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder with its parents, and see that their names are on the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        fsync_folder(folder.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that its name only ever means all of it."""
    with _written_beside(path, data) as partial:
        partial.replace(path)
    fsync_folder(path.parent)


def create_whole(path: Path, data: bytes) -> None:
    """Write a small file under a name that nothing has, whole; of several processes that try, one succeeds.

    Raises:
        FileExistsError: The name is taken.
    """
    with _written_beside(path, data) as partial:
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links here: the name is still taken in one step, but a crash may leave it empty
            _write_durably(path, data, "xb")
    fsync_folder(path.parent)


def is_temporary(name: str) -> bool:
    """A file under this name is still being written, or was when its process was killed."""
    return name.endswith(".new")


@contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """The bytes on the disk under a temporary name beside `path`; gone at the end unless it was renamed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.new")
    try:
        _write_durably(partial, data, "wb")
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _write_durably(path: Path, data: bytes, mode: Literal["wb", "xb"]) -> None:
    with path.open(mode) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def place(source: Path, target: Path) -> None:
    """Move a file to its final name, which only ever means all of it; across filesystems by way of a copy beside it."""
    with typed_disk_errors(target.parent):
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
            try:
                shutil.copyfile(source, partial)
                fsync_file(partial)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
        fsync_folder(target.parent)


def require_space(needs: Mapping[Path, int], *, reserve: int = RESERVE, named_by: str = _SETTINGS) -> None:
    """See that there is room for so many bytes in each folder, added up per filesystem, and a reserve.

    `named_by` is where a person named the folders.

    Raises:
        NoSpaceError: There is not; the message says how much is missing and where.
    """
    devices: dict[int, tuple[Path, int]] = {}
    for folder, need in needs.items():
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        device = existing.stat().st_dev
        devices[device] = (existing, devices.get(device, (existing, 0))[1] + need)
    for place, need in devices.values():
        free = shutil.disk_usage(place).free
        if need and free < need + reserve:
            raise NoSpaceError(
                f"{need:,} bytes are to be written to {place}, of which a reserve of {reserve:,} is kept free, and"
                f" {free:,} are free.",
                remedy=f"Free {need + reserve - free:,} bytes, or let {named_by} name another place.",
            )
