"""Reading bytes by position, wherever they are: the one way in which archives are read without copying them.

Belongs here: byte sources. Does not belong here: what the bytes mean (`storage.zips`), how they got there (`archives`).
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import fsspec

from cm4ai_assets.errors import ArchiveDamagedError, NotMaterializedError
from cm4ai_assets.storage.placing import file_size


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
        size = file_size(fs, path)
        if size is None:
            raise NotMaterializedError(f"{path} does not exist.", remedy="Materialize if_archive again.")
        self.size = size

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


class CachedBytes:
    """A `ByteSource` that keeps the blocks it read last: for readers that ask often for little, such as HDF5's.

    Blocks that are absent and stand beside each other are read at once.

    Args:
        source: Where the bytes are.
        block: Bytes of a block.
        blocks: How many are kept; the memory is their product.
    """

    def __init__(self, source: ByteSource, *, block: int = 1024 * 1024, blocks: int = 64) -> None:
        self.name, self.size = source.name, source.size
        self._source, self._block, self._limit = source, block, blocks
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource.read_at`."""
        if length == 0:
            return b""
        if offset + length > self.size:
            raise _short(self.name, offset, length, max(0, self.size - offset))
        first, last = offset // self._block, (offset + length - 1) // self._block
        if last - first + 1 > self._limit:
            return self._source.read_at(offset, length)
        self._fill(first, last)
        parts = [self._kept[number] for number in range(first, last + 1)]
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        return joined[offset - first * self._block :][:length]

    def _fill(self, first: int, last: int) -> None:
        number = first
        while number <= last:
            if number in self._kept:
                self._kept.move_to_end(number)
                number += 1
                continue
            end = next((n for n in range(number, last + 1) if n in self._kept), last + 1)
            begin, stop = number * self._block, min(end * self._block, self.size)
            data = self._source.read_at(begin, stop - begin)
            for one in range(number, end):
                self._kept[one] = data[(one - number) * self._block : (one - number + 1) * self._block]
            number = end
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)


class ByteFile(io.RawIOBase):
    """A byte source as a binary file that can be read and sought, for libraries that want one.

    Args:
        source: Where the bytes are.
        close: Called when the file is closed.
    """

    def __init__(self, source: ByteSource, *, close: Callable[[], None] | None = None) -> None:
        self._source, self._position, self._close = source, 0, close

    @property
    def name(self) -> str:
        """That of the source."""
        return self._source.name

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; beyond the end nothing is read."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise ValueError(f"{self._source.name} begins at 0, not at {base + offset}.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes; see the source's `read_at` for the errors."""
        length = max(0, min(len(buffer), self._source.size - self._position))
        buffer[:length] = self._source.read_at(self._position, length)
        self._position += length
        return length

    def close(self) -> None:
        """Close the source, too, where that was asked for."""
        if not self.closed and self._close is not None:
            self._close()
        super().close()


def _short(name: str, offset: int, wanted: int, got: int) -> ArchiveDamagedError:
    return ArchiveDamagedError(
        f"{name} ends early: {got} of {wanted} bytes at offset {offset}.",
        remedy="Its stored bytes are incomplete; `cm4ai verify` says which, and what brings them back.",
    )
