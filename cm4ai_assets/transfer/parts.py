"""What has arrived of a download: the bytes, and a journal that says of what.

Belongs here: `{key}.part` and `{key}.json` in the scratch folder. Does not belong here: fetching (`download`), and what
is kept of bytes that are not the published ones (`quarantine`). The length of the part is the truth about how much has
arrived; the journal never states it, so the two cannot disagree after a crash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from cm4ai_assets.storage.disk import make_folder, typed_disk_errors, write_whole
from cm4ai_assets.transfer.quarantine import KEEP_LIMIT, QUARANTINE, Evidence, Quarantine
from cm4ai_assets.transfer.wanted import Wanted

JOURNAL_VERSION = 1
FLUSH_EVERY = 64 * 1024 * 1024
"""Bytes after which the disk is set to work in the background, so that the sync at the end has little to wait for."""

_BEGINNING = 512


def is_kept(folder: Path, key: str) -> bool:
    """Whether an earlier run left anything under this key."""
    return (folder / f"{key}.part").exists() or (folder / f"{key}.json").exists()


def outstanding(folder: Path) -> Iterator[tuple[str, int]]:
    """Key and missing bytes of every download that was begun in this folder."""
    for journal in folder.glob("*.json"):
        try:
            size = int(json.loads(journal.read_bytes())["wanted"]["size"])
            present = journal.with_suffix(".part").stat().st_size
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            continue
        yield journal.stem, max(0, size - present)


def forget(folder: Path, key: str) -> None:
    """Remove what is left under this key; the journal last, since a part without one is of nobody knows what."""
    (folder / f"{key}.part").unlink(missing_ok=True)
    (folder / f"{key}.json").unlink(missing_ok=True)


State = tuple[int, int, int]
"""Inode, size and time of the last change of a file: another one was written to since, or replaced."""


def state(path: Path) -> State:
    """The state of a file now."""
    return _state(path.stat())


def _state(found: os.stat_result) -> State:
    return found.st_ino, found.st_size, found.st_mtime_ns


class Part:
    """The bytes of one wanted file that have arrived so far, on disk. One process at a time."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self.path = folder / f"{wanted.key}.part"
        self._journal, self._folder, self._wanted = folder / f"{wanted.key}.json", folder, wanted
        self._flusher = ThreadPoolExecutor(1, "write-back")
        self._flush: Future[None] | None = None
        self._flushed = 0
        with typed_disk_errors(folder):
            make_folder(folder)
            kept, self.is_counted = self._kept()
            self.length = self.path.stat().st_size if kept and self.path.exists() else 0
            if 0 < self.length <= wanted.size:
                # A whole part may already be a stored blob by another name, and is not to be written to.
                self._descriptor = os.open(self.path, os.O_RDONLY if self.length == wanted.size else os.O_RDWR)
            else:
                self._descriptor = self._created()
            if not kept:
                self._write_journal()

    def _kept(self) -> tuple[bool, bool]:
        """Whether the part of an earlier run is of this file, and whether its download has been counted.

        A part whose journal is missing or damaged is of nobody knows what. That it was counted is assumed then: the
        archive's statistics are better off by one too few.
        """
        if not self.path.exists() and not self._journal.exists():
            return False, False
        try:
            journal = json.loads(self._journal.read_bytes())
            if journal["version"] == JOURNAL_VERSION and journal["wanted"] == asdict(self._wanted):
                return True, bool(journal["counted"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            pass
        return False, True

    def count(self) -> None:
        """Note that the download is being counted: before the request, which may be the last thing this does."""
        self.is_counted = True
        with typed_disk_errors(self._folder):
            self._write_journal()

    def _write_journal(self) -> None:
        journal = {
            "version": JOURNAL_VERSION,
            "wanted": asdict(self._wanted),
            "counted": self.is_counted,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_whole(self._journal, json.dumps(journal, indent=1).encode())

    def append(self, block: bytes | memoryview) -> None:
        """Write the next bytes."""
        with typed_disk_errors(self.path):
            view = memoryview(block)
            while view:
                written = os.pwrite(self._descriptor, view, self.length)
                self.length += written
                view = view[written:]
        if self.length - self._flushed >= FLUSH_EVERY and (self._flush is None or self._flush.done()):
            self._settle()
            self._flushed = self.length
            self._flush = self._flusher.submit(os.fdatasync, self._descriptor)

    def restart(self) -> None:
        """Begin again from nothing, in a new file: the old one may be a stored blob by another name."""
        self._abandon()
        with typed_disk_errors(self.path):
            os.close(self._descriptor)
            self._descriptor = self._created()

    def _created(self) -> int:
        self.path.unlink(missing_ok=True)
        self.length = 0
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)

    def sync(self) -> State:
        """See that the bytes are on the disk; the state of the file that has them."""
        self._settle()
        with typed_disk_errors(self.path):
            os.fsync(self._descriptor)
            return _state(os.fstat(self._descriptor))

    def close(self) -> None:
        """Close the file; the bytes stay."""
        self._abandon()
        self._flusher.shutdown()
        os.close(self._descriptor)

    def _settle(self) -> None:
        """Take the outcome of what was written back: the kernel reports an error of the disk once, and only here."""
        flush, self._flush = self._flush, None
        if flush is not None:
            with typed_disk_errors(self.path):
                flush.result()

    def _abandon(self) -> None:
        """Wait for what is being written back, whose file must not be closed meanwhile; how it ends does not matter."""
        if self._flush is not None:
            self._flush.exception()
        self._flush, self._flushed = None, 0

    def remove(self) -> None:
        """Forget the part and its journal: its bytes are stored."""
        forget(self._folder, self._wanted.key)

    def quarantine(
        self, evidence: Evidence, digests: Mapping[str, str] | None, *, beginning: bytes | None = None
    ) -> Path:
        """Keep evidence of bytes that are not the published ones; the path of its JSON.

        Args:
            evidence: The answer they came with.
            digests: What they digest to; None where they were refused before they were all there.
            beginning: Their first bytes, if they are not in the part.
        """
        first = os.pread(self._descriptor, _BEGINNING, 0) if beginning is None else beginning[:_BEGINNING]
        is_whole = beginning is None and self.length <= KEEP_LIMIT
        return Quarantine(self._folder / QUARANTINE).keep(
            self._wanted,
            evidence,
            beginning=first,
            size=self.length if beginning is None else None,
            digests=digests,
            content=self.path if is_whole else None,
        )
