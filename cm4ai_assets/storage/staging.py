"""Staging: where files are written before they are published, and the atomic step between.

Belongs here: temporary names, crash clean-up, durable publication. A staged file is invisible to every reader; what a
killed run leaves behind is swept by the next one. Does not belong here: what the files mean.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import filelock
import fsspec

from cm4ai_assets.storage.disk import fsync_folder, make_folder, typed_disk_errors
from cm4ai_assets.storage.layout import STAGING
from cm4ai_assets.storage.placing import create_bytes, is_local, keep_only, modified_at, place_bytes, place_file

_LEFTOVER_AGE: Final = timedelta(days=1)


class Staging:
    """A place for files in the making, on the same filesystem as the storage where that is local.

    Args:
        fs: Filesystem of the storage.
        root: Storage root on that filesystem.
        scratch: Local folder to use where the storage is not local.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str, scratch: Path) -> None:
        self._fs, self._root = fs, root
        self._local = is_local(fs)
        self._base = (Path(root) if self._local else scratch) / STAGING

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A fresh local folder, gone at the end whatever happens. Folders of dead processes are removed on the way."""
        self._base.mkdir(parents=True, exist_ok=True)
        self._sweep()
        path = self._base / uuid.uuid4().hex
        lock = filelock.FileLock(f"{path}.lock")
        with lock:
            path.mkdir()
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
                Path(lock.lock_file).unlink(missing_ok=True)

    @contextmanager
    def shared_folder(self) -> Iterator[tuple[str, Path]]:
        """A fresh folder that other machines see, gone at the end, and a local one for what this process writes.

        Its path is relative to the storage root. Where the storage is local, the two are one. What a killed process has
        left in storage that is not local is removed by a later one, a day after the last file came into it.
        """
        with self.folder() as local:
            path = f"{STAGING}/{local.name}"
            if self._local:
                yield path, local
                return
            self._sweep_shared()
            try:
                yield path, local
            finally:
                self._remove(path)

    def publish_file(self, staged: Path, target: str) -> None:
        """Make a staged file appear under its final path, whole or not at all, replacing what stood there."""
        place_file(self._fs, staged, f"{self._root}/{target}")

    def publish_bytes(self, data: bytes, target: str) -> None:
        """Make a small file appear under its final path, whole or not at all, replacing what stood there."""
        place_bytes(self._fs, data, f"{self._root}/{target}")

    def create(self, data: bytes, target: str) -> None:
        """Make a small file appear under its final path if nothing stands there; of two processes one succeeds.

        Raises:
            FileExistsError: Something stands there.
        """
        create_bytes(self._fs, data, f"{self._root}/{target}", locks=self._base)

    def publish_tree(self, staged: Path, target: str, *, last: str) -> bool:
        """Make a staged folder appear under its final path; False where another one stands there, which is kept.

        Locally one rename does it. Elsewhere files are uploaded one by one, and `last`, without which no reader takes
        the folder for complete, at the end. What stood there is replaced file by file, and the rest of it removed then.
        """
        if self._local:
            final = Path(self._root) / target
            with typed_disk_errors(final.parent):
                make_folder(final.parent)
            try:
                staged.rename(final)
            except OSError:
                if not (final / last).exists():
                    raise
                return False  # another run published the same content first
            fsync_folder(final.parent)
            return True
        files = sorted(path for path in staged.rglob("*") if path.is_file())
        files.sort(key=lambda path: path.name == last or path.parent == staged)
        files.sort(key=lambda path: path == staged / last)
        names = [f"{self._root}/{target}/{path.relative_to(staged).as_posix()}" for path in files]
        for path, name in zip(files, names, strict=True):
            place_file(self._fs, path, name)
        keep_only(self._fs, f"{self._root}/{target}", names)
        return True

    def discard(self, name: str) -> None:
        """Remove a folder in the making, unless the process that makes it is alive."""
        if self._local:
            _discard(self._base / name)
        else:
            self._remove(f"{STAGING}/{name}")

    def _sweep(self) -> None:
        for path in self._base.iterdir():
            if path.is_dir():
                _discard(path)

    def _sweep_shared(self) -> None:
        prefix, newest = f"{self._root}/{STAGING}/", dict[str, datetime]()
        for name, info in self._found(STAGING).items():
            folder, at = name.removeprefix(prefix).split("/", 1)[0], (modified_at(info) or datetime.now(UTC))
            newest[folder] = max(newest.get(folder, at), at)
        for folder, at in newest.items():
            if datetime.now(UTC) - at > _LEFTOVER_AGE:
                self._remove(f"{STAGING}/{folder}")

    def _remove(self, path: str) -> None:
        if self._found(path):
            self._fs.rm(f"{self._root}/{path}", recursive=True)

    def _found(self, path: str) -> dict[str, dict[str, Any]]:
        try:
            return dict(self._fs.find(f"{self._root}/{path}", detail=True))
        except FileNotFoundError:
            return {}


def _discard(path: Path) -> None:
    lock = filelock.FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return  # alive
    try:
        shutil.rmtree(path, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
    finally:
        lock.release()
