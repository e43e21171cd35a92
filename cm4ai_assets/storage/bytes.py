"""Reading bytes by position, wherever they are: the one way in which archives are read without copying them.

Belongs here: byte sources. Does not belong here: what the bytes mean (`storage.zips`), how they got there (`archives`).
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import fsspec

from cm4ai_assets.errors import ArchiveDamagedError, NotMaterializedError


class ByteSource(Protocol):
    """Bytes that can be read at any position, from several threads at once."""

    name: str
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`.

        Raises:
            ArchiveDamagedError: There are fewer.
        """
        ...


class LocalBytes:
    """A local file, read with `os.pread`: threads share no seek, and no memory map counts its pages as ours."""

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        self.name = name or path.name
        try:
            self._fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise NotMaterializedError(f"{path} does not exist.", remedy="Materialize if_archive again.") from None
        self.size = os.fstat(self._fd).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource.read_at`."""
        data = os.pread(self._fd, length, offset)
        if len(data) != length:
            raise _short(self.name, offset, length, len(data))
        return data

    def close(self) -> None:
        """Close the file. Reading afterwards is an error."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RemoteBytes:
    """A file of any fsspec filesystem, read by ranges."""

    def __init__(self, fs: fsspec.AbstractFileSystem, path: str, *, name: str | None = None) -> None:
        self.name = name or path.rsplit("/", 1)[-1]
        self._fs, self._path = fs, path
        try:
            self.size = int(fs.info(path)["size"])
        except FileNotFoundError:
            raise NotMaterializedError(f"{path} does not exist.", remedy="Materialize if_archive again.") from None

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource.read_at`."""
        if length == 0:
            return b""
        data: bytes = self._fs.cat_file(self._path, start=offset, end=offset + length)
        if len(data) != length:
            raise _short(self.name, offset, length, len(data))
        return data

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _short(name: str, offset: int, wanted: int, got: int) -> ArchiveDamagedError:
    return ArchiveDamagedError(
        f"{name} ends early: {got} of {wanted} bytes at offset {offset}.",
        remedy="Its stored bytes are incomplete; `cm4ai verify` says which, and what brings them back.",
    )
