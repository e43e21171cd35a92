"""Bytes to text: what compresses or encodes a published table, undone where it is unambiguous.

Belongs here: gzip, UTF-16, UTF-8, Latin-1 and lone carriage returns. Does not belong here: lines and fields (`text`).
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from cm4ai_assets.proteomics.problems import BOM, CRLF, NOT_UTF8, PACKED, UTF16, Defect, TableDamagedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP = b"\x1f\x8b"
_LOOK = 64 * 1024
# UTF-16 is decoded as a whole. No published table is near this size in it.
_WHOLE_LIMIT = 512 * 1024 * 1024


def prepared(stream: BinaryIO, name: str) -> tuple[BinaryIO, list[Defect]]:
    """The stream of a table's text from its begin: decompressed, no UTF-16, lines that end in LF; and what was undone.

    The given stream is read forward only: stored bytes are verified as they are read, and cannot be sought in.

    Raises:
        TableDamagedError: It cannot be decompressed or decoded, or is too large for that.
    """
    defects: list[Defect] = []
    head, stream = _ahead(stream, name)
    if head.startswith(_GZIP):
        defects.append(Defect(PACKED, name, 1, "", "compressed with gzip; read decompressed"))
        head, stream = _ahead(cast("BinaryIO", gzip.GzipFile(fileobj=stream)), name)
    if (encoding := _wide_encoding(head)) is not None:
        defects.append(Defect(UTF16, name, 1, "", "UTF-16; read as such"))
        try:
            text = _whole(stream, name).decode(encoding).removeprefix("\ufeff")
        except UnicodeError as error:
            raise TableDamagedError(name, f"it is no UTF-16 text ({error})") from error
        return io.BytesIO(text.encode()), defects
    if b"\r" in head and b"\n" not in head:
        data = _whole(stream, name)
        if b"\n" not in data:
            defects.append(Defect(CRLF, name, 1, "", "lines end in CR; read as LF"))
            data = data.replace(b"\r", b"\n")
        return io.BytesIO(data), defects
    return stream, defects


class _Ahead(io.RawIOBase):
    """A stream of which some was read already; faults of compressed bytes are damage of the table."""

    def __init__(self, head: bytes, stream: BinaryIO, name: str) -> None:
        self._head, self._stream, self._name = head, stream, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer).cast("B")
        data = self._head[: len(room)] if self._head else read_from(self._stream, len(room), self._name)
        self._head = self._head[len(data) :]
        room[: len(data)] = data
        return len(data)


def read_from(stream: BinaryIO, size: int, name: str) -> bytes:
    """Up to so many bytes of a stream that may be compressed.

    Raises:
        TableDamagedError: It does not decompress.
    """
    try:
        return stream.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TableDamagedError(name, f"it does not decompress ({error})") from error


def _ahead(stream: BinaryIO, name: str) -> tuple[bytes, BinaryIO]:
    """The first bytes of a stream, and the stream from its begin all the same."""
    head = read_from(stream, _LOOK, name)
    return head, io.BufferedReader(_Ahead(head, stream, name))


def _whole(stream: BinaryIO, name: str) -> bytes:
    data = stream.read(_WHOLE_LIMIT + 1)
    if len(data) > _WHOLE_LIMIT:
        raise TableDamagedError(name, f"more than {_WHOLE_LIMIT:,} bytes in an encoding that is read as a whole")
    return data


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 by its byte order mark, or by a first line of ASCII in which every other byte is NUL."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    begin = head[:64]
    if len(begin) < 8 or b"\0" not in begin:  # noqa: PLR2004 - four characters
        return None
    for encoding, text, nulls in (("utf-16-le", begin[::2], begin[1::2]), ("utf-16-be", begin[1::2], begin[::2])):
        if not any(nulls) and all(text):
            return encoding
    return None


def decoded(data: bytes, name: str, *, header: tuple[str, ...] = (), done: int = 0) -> tuple[bytes, list[Defect]]:
    """The bytes as UTF-8 without a byte order mark, and what had to be done for that; `done` lines stand before."""
    defects = []
    if done == 0 and data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
        defects.append(Defect(BOM, name, 1, "", "begins with a byte order mark; left out"))
    if data.isascii():
        return data, defects
    try:
        data.decode()
    except UnicodeDecodeError as error:
        begin = data.rfind(b"\n", 0, error.start) + 1
        place = data.count(b"\t" if b"\t" in data else b",", begin, error.start)
        column = header[place] if place < len(header) else ""
        detail = f"byte {data[error.start]:#04x} is not UTF-8; read as Latin-1"
        defects.append(Defect(NOT_UTF8, name, done + data.count(b"\n", 0, begin) + 1, column, detail))
        return data.decode("latin-1").encode(), defects
    return data, defects
