"""Where an h5ad is, as a value that can be sent to other processes: in the storage, or a file of the operator's own.

Belongs here: opening it, and whether what a process finds there is the same file. Does not belong here: which file it
is (`defs.perturbseq.inputs`), and what is in it (`h5ad`).
"""

from __future__ import annotations

import io
import os
import platform
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, Self

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.bytes import ByteFile, ByteSource, CachedBytes, LocalBytes
from cm4ai_assets.storage.store import Store


class File(Hashable, Protocol):
    """A file whose bytes many processes read; equal values, equal bytes."""

    @property
    def label(self) -> str:
        """Its published name, or its own."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def open(self, store: Store) -> io.RawIOBase:
        """The bytes as a binary file to be read and sought; close it after use (it is a context manager)."""
        ...

    def unchanged(self) -> None:
        """See that it is what it was.

        Raises:
            H5adDamagedError: It is not.
        """
        ...

    def unlike(self) -> str:
        """What this process finds in its place, in a phrase that names the machine; empty if it is the same file."""
        ...


@dataclass(frozen=True)
class StoredFile:
    """A file that is stored by content: every block that is read is held against its digest."""

    sha256: str
    label: str
    size: int

    def open(self, store: Store) -> io.RawIOBase:
        """See `File.open`."""
        source = BlobStore(store.fs, store.root).open(self.sha256)
        source.name = self.label
        return ByteFile(cached(source), close=source.close)

    def unchanged(self) -> None:
        """It never changes."""

    def unlike(self) -> str:
        """Nothing: who has the same storage has the same bytes."""
        return ""


@dataclass(frozen=True)
class OwnFile:
    """A file of the operator's, known by size and date.

    Attributes:
        path: Where, on every machine that reads it.
        label: Its published name, or its own.
        size: Bytes.
        mtime_ns: When it was changed last.
    """

    path: str
    label: str
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: Path, label: str) -> Self:
        """The file as it is now."""
        state = path.stat()
        return cls(str(path.absolute()), label, state.st_size, state.st_mtime_ns)

    def open(self, store: Store) -> io.RawIOBase:
        """See `File.open`."""
        del store
        source = LocalBytes(Path(self.path))
        return ByteFile(source, close=source.close)

    def unchanged(self) -> None:
        """See `File.unchanged`."""
        if self._difference():
            raise H5adDamagedError(
                f"{self.path} changed while it was read.", remedy="Leave it as it is, and materialize the asset again."
            )

    def unlike(self) -> str:
        """See `File.unlike`."""
        found = self._difference()
        if not found and not os.access(self.path, os.R_OK):
            found = "may not be read by the worker's user"
        return f"on {platform.node()}, {self.path} {found}" if found else ""

    def _difference(self) -> str:
        """What is at the path instead of the file; empty if it is there."""
        try:
            now = Path(self.path).stat()
        except OSError as error:
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            return "does not exist" if missing else f"cannot be looked at ({error.strerror})"
        if now.st_size != self.size:
            return f"has {now.st_size:,} bytes instead of {self.size:,}"
        if now.st_mtime_ns != self.mtime_ns:
            return f"was changed last at {_date(now.st_mtime_ns)} instead of {_date(self.mtime_ns)}"
        return ""


def unlike(file: File) -> str:
    """As `File.unlike`: a function that can be sent."""
    return file.unlike()


def require_like(found: str, who: str) -> None:
    """See that a worker has the same file.

    Args:
        found: What it finds in its place; see `File.unlike`.
        who: The worker, at the beginning of a sentence.

    Raises:
        ConfigurationError: It has not.
    """
    if found:
        raise ConfigurationError(
            f"{who} does not see the h5ad that CM4AI_H5AD names: {found}.",
            remedy="Let every machine with workers have the same file at that path (`cp -p` and `rsync -t` keep the "
            "date of a copy), `cm4ai pull` it into the storage and unset CM4AI_H5AD, or set CM4AI_EXECUTOR=threads.",
        )


def cached(source: ByteSource) -> CachedBytes:
    """HDF5 asks for a few hundred bytes here and there: 1 MiB at a time is read, and 64 MiB are kept."""
    return CachedBytes(source, block=1024 * 1024, blocks=64)


def _date(nanoseconds: int) -> str:
    """To the nanosecond, which is what is compared."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09d} UTC"
