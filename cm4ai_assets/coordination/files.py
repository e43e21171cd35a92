"""Agreement by files of one folder, among the processes of one machine.

The kernel lets go of a lock when the process ends, however it ends. Not for a network file system, where that does not
hold everywhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path

from filelock import FileLock, Timeout

from cm4ai_assets.coordination.protocol import Record, nothing
from cm4ai_assets.storage.disk import make_folder, typed_disk_errors

_POLL = 0.2  # seconds between two tries
_NEW, _NEW_FOR = ".new", 60.0  # a mark that is not locked yet, and for how many seconds it may be


class Files:
    """Locks `{name}.lock`, records `{name}.json` and marks `{name}` in a folder, which is made when it is needed.

    Args:
        folder: Where; processes that share it agree.
        now: The clock.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self.folder, self._now = folder, now

    @contextmanager
    def hold(
        self, names: Sequence[str], *, patience: float = inf, waiting: Callable[[], None] = nothing
    ) -> Iterator[str]:
        """See `Coordination.hold`."""
        self._make()
        until, lock, name = time.monotonic() + patience, None, ""
        while (found := self._free(names)) is None:
            if time.monotonic() >= until:
                raise TimeoutError(f"{' and '.join(names)} in {self.folder} is held by another process.")
            waiting()
            waiting = nothing
            time.sleep(_POLL)
        name, lock = found
        try:
            yield name
        finally:
            lock.release()

    def _free(self, names: Sequence[str]) -> tuple[str, FileLock] | None:
        for name in names:
            lock = FileLock(self.lock_of(name))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return name, lock
        return None

    def lock_of(self, name: str) -> Path:
        """The file that is locked while a name is held."""
        return self._path(name, ".lock")

    def read(self, name: str) -> tuple[Record, float]:
        """See `Coordination.read`."""
        try:
            found = json.loads(self._path(name, ".json").read_text())
            return {key: float(value) for key, value in found.items()}, self._now()
        except (OSError, ValueError, AttributeError, TypeError):
            return {}, self._now()

    def change(self, name: str, how: Callable[[Record, float], Record]) -> tuple[Record, float]:
        """See `Coordination.change`."""
        self._make()
        with FileLock(self._path(name, ".json.lock")):
            record, now = self.read(name)
            record = how(record, now)
            partial = self._path(name, ".json.new")
            partial.write_text(json.dumps(record))
            partial.replace(self._path(name, ".json"))
        return record, now

    @contextmanager
    def mark(self, name: str) -> Iterator[None]:
        """See `Coordination.mark`."""
        self._make()
        # Locked under another name first: a file that exists and is not locked means a dead process.
        new, path = self._path(name, _NEW), self._path(name)
        handle = os.open(new, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            new.rename(path)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)

    def lost(self) -> list[str]:
        """See `Coordination.lost`."""
        return [path.name for path in sorted(self.folder.iterdir()) if _is_lost(path)] if self.folder.is_dir() else []

    def forget(self, name: str) -> None:
        """See `Coordination.forget`."""
        self._path(name).unlink(missing_ok=True)

    def _make(self) -> None:
        with typed_disk_errors(self.folder):
            make_folder(self.folder)

    def _path(self, name: str, suffix: str = "") -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)}{suffix}"


def _is_lost(path: Path) -> bool:
    """Whether no process holds the lock of a mark. A file that is about to be locked counts as alive."""
    try:
        if path.suffix == _NEW and time.time() - path.stat().st_mtime < _NEW_FOR:
            return False
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False  # it was taken away in order just now
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
