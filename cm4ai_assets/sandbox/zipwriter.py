"""A ZIP writer for members that were compressed elsewhere, and for archives that are wrong on purpose.

Belongs here: the container format. Does not belong here: what goes in. The standard library's writer compresses in one
thread and corrects what it is given; this one writes packed members as they are, whatever checksum, flag or size they
claim. Format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

STORED, DEFLATED = 0, 8
ENCRYPTED_FLAG = 0x0001
_UTF8_FLAG = 0x0800
_LIMIT = 0xFFFFFFFF
_COUNT_LIMIT = 0xFFFF
_LEVEL = 1  # JPEG data hardly shrinks further; what shrinks (empty fields) shrinks at any level


@dataclass(frozen=True)
class Packed:
    """A member ready to be written: its compressed bytes, and what is claimed about the uncompressed ones."""

    name: str
    data: bytes
    crc: int
    size: int
    method: int = DEFLATED
    flags: int = 0


def pack(name: str, data: bytes) -> Packed:
    """Compress a member. Safe to call from many threads: zlib releases the interpreter lock."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Packed(name, compressor.compress(data) + compressor.flush(), zlib.crc32(data), len(data))


def folder(name: str) -> Packed:
    """The entry of a folder, as `zip -r` writes them."""
    return Packed(name, b"", 0, 0, STORED)


class ZipWriter:
    """Writes packed members one after another; closing it writes the central directory."""

    def __init__(self, file: BinaryIO, *, stamp: tuple[int, int, int]) -> None:
        self._file = file
        self._directory: list[bytes] = []
        year, month, day = stamp
        self._date = (year - 1980) << 9 | month << 5 | day
        self._offset = 0

    def add(self, member: Packed) -> None:
        """Append a member, whatever it is called and claims."""
        name = member.name.encode()
        flags = member.flags | (0 if member.name.isascii() else _UTF8_FLAG)
        common = struct.pack("<HHHHIII", flags, member.method, 0, self._date, member.crc, len(member.data), member.size)
        local = b"PK\x03\x04" + struct.pack("<H", 20) + common + struct.pack("<HH", len(name), 0) + name
        extra = b""
        if self._offset >= _LIMIT:  # archives beyond 4 GiB, as the published ones are since October 2025
            extra = struct.pack("<HHQ", 1, 8, self._offset)
        version = 45 if extra else 20
        made_by_unix, mode = 3 << 8 | version, (0o040755 if member.name.endswith("/") else 0o100644) << 16
        tail = struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0, mode, min(self._offset, _LIMIT))
        self._directory.append(b"PK\x01\x02" + struct.pack("<HH", made_by_unix, version) + common + tail + name + extra)
        self._file.write(local)
        self._file.write(member.data)
        self._offset += len(local) + len(member.data)

    def close(self) -> None:
        """Write the central directory and its end record, in the ZIP64 form where the archive needs it."""
        start, count = self._offset, len(self._directory)
        size = sum(map(len, self._directory))
        self._file.writelines(self._directory)
        if start >= _LIMIT or count >= _COUNT_LIMIT:
            self._file.write(b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start))
            self._file.write(b"PK\x06\x07" + struct.pack("<IQI", 0, start + size, 1))
        shown = min(count, _COUNT_LIMIT)
        self._file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, shown, shown, size, min(start, _LIMIT), 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
