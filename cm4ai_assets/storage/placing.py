"""How a file gets under its final name on any filesystem: whole or not at all, and what stood there stays until then.

Belongs here: what a filesystem can do (local, atomic upload, conditional create), decided once, and the ways to place
bytes. Does not belong here: fsync and the local disk (`disk`), temporary folders (`staging`), paths (`layout`).
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

import filelock
import fsspec
from fsspec.implementations.local import LocalFileSystem

from cm4ai_assets.storage.disk import create_whole, fsync_file, make_folder, place, typed_disk_errors, write_whole

# Stores where an object appears under its key only once its upload is complete, so that no temporary name is needed,
# and where "create, but only if nothing stands there" is one request. Names of fsspec protocols.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
_CREATING = threading.Lock()


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """The filesystem is this machine's own: renames are atomic, and files can be opened by their paths."""
    return isinstance(fs, LocalFileSystem)


def is_object_store(fs: fsspec.AbstractFileSystem) -> bool:
    """An upload replaces an object in one step, and a conditional create is one request."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    return bool(protocols & _OBJECT_STORES)


def place_file(fs: fsspec.AbstractFileSystem, source: Path, target: str) -> None:
    """Make a local file appear under `target`, replacing what stands there. A local `source` may be moved.

    Where an upload can be seen half done, it goes to a name beside the target and is renamed: an upload that breaks
    off leaves what stood there. The rename is then as atomic as the filesystem's own.

    Raises:
        NoSpaceError: The local disk is full.
        ScratchError: A local folder cannot be written.
    """
    if is_local(fs):
        final = Path(target)
        with typed_disk_errors(final.parent):
            make_folder(final.parent)
            fsync_file(source)
            place(source, final)
        return
    if is_object_store(fs):
        fs.put_file(str(source), target)
        return
    fs.makedirs(_parent(target), exist_ok=True)
    partial = f"{target}.{secrets.token_hex(4)}.new"
    try:
        fs.put_file(str(source), partial)
        fs.mv(partial, target)
    finally:
        if fs.exists(partial):
            fs.rm_file(partial)


def move_file(fs: fsspec.AbstractFileSystem, source: str, target: str) -> None:
    """Make a file of a filesystem that is not local appear under `target` of the same one, replacing what stands there.

    At an object store it is copied there, without passing through this machine, and `source` stays.
    """
    if is_object_store(fs):
        fs.cp_file(source, target)
        return
    fs.makedirs(_parent(target), exist_ok=True)
    fs.mv(source, target)


def place_bytes(fs: fsspec.AbstractFileSystem, data: bytes, target: str) -> None:
    """Make a small file appear under `target`, whole, replacing what stands there."""
    if is_local(fs):
        with typed_disk_errors(Path(target).parent):
            make_folder(Path(target).parent)
            write_whole(Path(target), data)
        return
    if is_object_store(fs):
        fs.pipe_file(target, data)
        return
    fs.makedirs(_parent(target), exist_ok=True)
    partial = f"{target}.{secrets.token_hex(4)}.new"
    fs.pipe_file(partial, data)
    fs.mv(partial, target)


def create_bytes(fs: fsspec.AbstractFileSystem, data: bytes, target: str, *, locks: Path) -> None:
    """Make a small file appear under `target`, whole, only if nothing stands there; of two processes one succeeds.

    Locally a hard link decides, at an object store its conditional put. Any other filesystem has no such step: there a
    lock file in `locks` keeps the processes of this machine apart, and writers on two machines are not kept apart.

    Raises:
        FileExistsError: Something stands there, now or a moment before.
    """
    if is_local(fs):
        with typed_disk_errors(Path(target).parent):
            make_folder(Path(target).parent)
        create_whole(Path(target), data)
        return
    if is_object_store(fs):
        _create_object(fs, data, target)
        return
    fs.makedirs(_parent(target), exist_ok=True)
    locks.mkdir(parents=True, exist_ok=True)
    with _CREATING, filelock.FileLock(locks / "create.lock"):
        if fs.exists(target):
            raise FileExistsError(target)
        place_bytes(fs, data, target)


def _create_object(fs: fsspec.AbstractFileSystem, data: bytes, target: str) -> None:
    try:
        fs.pipe_file(target, data, mode="create")
    except FileExistsError:
        raise
    except OSError as error:  # how servers word a refusal differs; two writers at one moment get a conflict
        if not fs.exists(target):
            raise
        raise FileExistsError(target) from error


def _parent(target: str) -> str:
    return target.rsplit("/", 1)[0]
