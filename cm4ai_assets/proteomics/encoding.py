"""Bytes to text: what compresses or encodes a published table, undone where it is unambiguous.

Belongs here: gzip, UTF-16, UTF-8, Latin-1 and lone carriage returns. Does not belong here: lines and fields (`text`).
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import BinaryIO, cast

from cm4ai_assets.proteomics.problems import BOM, CRLF, NOT_UTF8, PACKED, UTF16, Defect, TableDamagedError

_GZIP = b"\x1f\x8b"
_LOOK = 64 * 1024
# UTF-16 is decoded as a whole. No published table is near this size in it.
_WHOLE_LIMIT = 512 * 1024 * 1024


def prepared(stream: BinaryIO, name: str) -> tuple[BinaryIO, list[Defect]]:
    """The stream of a table's text from its begin: decompressed, no UTF-16, lines that end in LF; and what was undone.

    Raises:
        TableDamagedError: It cannot be decompressed or decoded, or is too large for that.
    """
    defects: list[Defect] = []
    try:
        head = _head(stream)
        if head.startswith(_GZIP):
            stream = cast(BinaryIO, _Gunzipped(fileobj=stream))
            defects.append(Defect(PACKED, name, 1, "", "compressed with gzip; read decompressed"))
            head = _head(stream)
        if (encoding := _wide_encoding(head)) is not None:
            text = _whole(stream, name).decode(encoding).removeprefix("\ufeff")
            defects.append(Defect(UTF16, name, 1, "", "UTF-16; read as such"))
            return io.BytesIO(text.encode()), defects
        if b"\r" in head and b"\n" not in head:
            data = _whole(stream, name)
            if b"\n" not in data:
                defects.append(Defect(CRLF, name, 1, "", "lines end in CR; read as LF"))
                data = data.replace(b"\r", b"\n")
            return io.BytesIO(data), defects
    except (OSError, EOFError, zlib.error) as error:
        raise TableDamagedError(name, f"it does not decompress ({error})") from error
    except UnicodeError as error:
        raise TableDamagedError(name, f"it is no UTF-16 text ({error})") from error
    return stream, defects


class _Gunzipped(gzip.GzipFile):
    """A gzip stream all of whose faults are `OSError`: a reader of text need not know how the bytes were packed."""

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except zlib.error as error:
            raise OSError(str(error)) from error


def _head(stream: BinaryIO) -> bytes:
    head = stream.read(_LOOK)
    stream.seek(0)
    return head


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
