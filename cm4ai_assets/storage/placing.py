"""How a file gets under its final name on any filesystem: whole or not at all, and what stood there stays until then.

Belongs here: what a filesystem can do (local, atomic upload, conditional create), decided once, and the ways to place
bytes. Does not belong here: fsync and the local disk (`disk`), temporary folders (`staging`), paths (`layout`).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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


def is_s3(fs: fsspec.AbstractFileSystem) -> bool:
    """The filesystem is `s3.PatientS3`, which has ways of its own to ask and to place."""
    return is_object_store(fs) and hasattr(fs, "file_size")


def file_size(fs: fsspec.AbstractFileSystem, path: str) -> int | None:
    """Bytes of a file; None if there is none. At S3 one request; what stands below a path is not looked for."""
    if is_s3(fs):
        size: int | None = fs.file_size(path)
        return size
    try:
        # Not from a listing that the filesystem has cached: another process may have published meanwhile.
        fs.invalidate_cache(_parent(path))
        info = fs.info(path)
    except FileNotFoundError:
        return None
    return int(info["size"]) if info["type"] == "file" else None


def file_version(fs: fsspec.AbstractFileSystem, path: str) -> str | None:
    """Which version of a file stands, for `replace_bytes`; None if there is none, or no versions to ask for."""
    version: str | None = fs.file_version(path) if is_s3(fs) else None
    return version


def is_young(fs: fsspec.AbstractFileSystem, path: str, age: timedelta) -> bool:
    """The object was stored less than so long ago, perhaps by a writer on another machine; elsewhere never."""
    if not is_object_store(fs):
        return False
    stored: datetime = fs.modified(path)
    return datetime.now(UTC) - stored < age


def files_at(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, int]:
    """The file under a path, or every file below it, by its full path, with its size; empty if there is none."""
    return {at: int(info["size"] or 0) for at, info in listed_at(fs, path).items()}


def listed_at(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, dict[str, Any]]:
    """See `files_at`: with all that the filesystem's listing says of each.

    At an object store one listing does it, a request for each thousand files, whether the path is a file's or not.
    """
    path = path.rstrip("/")
    if is_object_store(fs) and "/" in path:
        parent, _, name = path.rpartition("/")
        listed = fs.find(parent, prefix=name, detail=True)
        found = {at: info for at, info in listed.items() if at == path or at.startswith(f"{path}/")}
    else:
        try:
            found = fs.find(path, detail=True)
        except FileNotFoundError:
            return {}
    return {str(at): info for at, info in sorted(found.items()) if info["type"] == "file"}


def modified_at(info: Mapping[str, Any]) -> datetime | None:
    """When a file was written, by whatever name its filesystem's listing has for it; None where it does not say."""
    stated = (info.get(name) for name in ("LastModified", "last_modified", "mtime", "created"))
    found = next((at for at in stated if isinstance(at, (datetime, int, float))), None)
    if not isinstance(found, datetime):
        return None if found is None else datetime.fromtimestamp(found, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def clock_of(fs: fsspec.AbstractFileSystem, root: str) -> datetime:
    """The time by the clock that dates the files of a filesystem: at S3 the server's, else that of this machine."""
    stated: datetime | None = fs.clock(root) if is_s3(fs) else None
    return stated or datetime.now(UTC)


def place_file(fs: fsspec.AbstractFileSystem, source: Path, target: str, *, sha256: str | None = None) -> None:
    """Make a local file appear under `target`, replacing what stands there. A local `source` may be moved.

    Where an upload can be seen half done, it goes to a name beside the target and is renamed: an upload that breaks
    off leaves what stood there. The rename is then as atomic as the filesystem's own.

    Args:
        fs: The filesystem.
        source: The file.
        target: Its name there.
        sha256: The digest that the bytes must have as they are sent; held where the filesystem can (S3).

    Raises:
        DigestMismatchError: They have not, and nothing was stored.
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
        held = {"sha256": sha256} if is_s3(fs) else {}
        fs.put_file(str(source), target, **held)
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


def keep_only(fs: fsspec.AbstractFileSystem, folder: str, names: Collection[str]) -> None:
    """Remove what else stands in a folder whose files were replaced one by one; `names` are full paths.

    It is done after they were: of two that replace the same at once, neither takes away what the other has just stored.
    """
    for stray in files_at(fs, folder).keys() - set(names):
        fs.rm_file(stray)


def place_bytes(fs: fsspec.AbstractFileSystem, data: bytes, target: str) -> str | None:
    """Make a small file appear under `target`, whole, replacing what stands there.

    Returns:
        Which version it is, for `replace_bytes`; None where the filesystem has no versions to ask for.
    """
    if is_local(fs):
        with typed_disk_errors(Path(target).parent):
            make_folder(Path(target).parent)
            write_whole(Path(target), data)
        return None
    if is_object_store(fs):
        answer = fs.pipe_file(target, data)
        return str(answer["ETag"]) if is_s3(fs) else None
    fs.makedirs(_parent(target), exist_ok=True)
    partial = f"{target}.{secrets.token_hex(4)}.new"
    fs.pipe_file(partial, data)
    fs.mv(partial, target)
    return None


def replace_bytes(fs: fsspec.AbstractFileSystem, data: bytes, target: str, *, version: str | None) -> bool:
    """Replace a small file if it still is that version; False where it no longer is, and is left as it is.

    At S3 it is one conditional put. Where there are no versions (`version` is None) it is always replaced.
    """
    if version is None:
        place_bytes(fs, data, target)
        return True
    try:
        fs.pipe_file(target, data, IfMatch=version)
    except FileNotFoundError:
        return False
    except OSError as error:
        if not _is_refused(error):
            raise
        return False
    return True


def give_up_uploads(fs: fsspec.AbstractFileSystem, root: str, *, age: timedelta) -> list[str]:
    """End what processes that were killed left of uploads, which nobody sees and S3 charges for; the objects' names.

    Args:
        fs: The filesystem of a storage.
        root: Its root.
        age: How long ago an upload was begun that nobody is still at.
    """
    given_up: list[str] = fs.give_up_uploads(root, datetime.now(UTC) - age) if is_s3(fs) else []
    return given_up


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
    except OSError as error:  # how servers word a refusal differs
        if file_size(fs, target) is None:
            raise
        raise FileExistsError(target) from error


def _is_refused(error: OSError) -> bool:
    """The condition of a conditional put did not hold."""
    from cm4ai_assets.storage.s3 import is_refused  # noqa: PLC0415 - an extra, which is installed where there is S3

    return is_refused(error)


def _parent(target: str) -> str:
    return target.rsplit("/", 1)[0]
