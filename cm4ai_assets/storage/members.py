"""The entries of a ZIP's central directory, held in columns: 100 bytes an entry, where objects take 500.

Belongs here: an entry, and all of them as a sequence that makes each when it is asked for. An archive of 10,000 fields
has 40,000, and they are held for as long as its images are read. Does not belong here: the ZIP format (`zips`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

from cm4ai_assets.heavy import np, npt

_UTF8: Final = 0x0800
_AT_ONCE: Final = 256
_COLUMNS: Final = [
    ("method", "u2"),
    ("flags", "u2"),
    ("crc32", "u4"),
    ("compressed_size", "i8"),
    ("size", "i8"),
    ("header_offset", "i8"),
    ("boundary", "i8"),
    ("mode", "u2"),
]


@dataclass(slots=True)  # not frozen: each step makes tens of thousands, and a frozen one takes three times as long
class Member:
    """One entry of the central directory.

    `boundary` is the offset of what comes next in the archive, another member or the central directory: the member's
    bytes end before it. `mode` is the Unix mode, 0 where none is stated.
    """

    index: int
    name: str
    method: int
    flags: int
    crc32: int
    compressed_size: int
    size: int
    header_offset: int
    boundary: int
    mode: int

    @property
    def is_directory(self) -> bool:
        """The entry stands for a folder."""
        return self.name.endswith("/")

    @property
    def raw_name(self) -> bytes:
        """The name as its bytes stand in the archive."""
        return self.name.encode("utf-8" if self.flags & _UTF8 else "cp437")


class Members(Sequence[Member]):
    """The entries of a central directory, in its own order.

    Args:
        infos: The entries as `zipfile` reads them.
        start: Where the central directory begins.

    Raises:
        OverflowError: A size or offset is none that a file can have.
    """

    def __init__(self, infos: Sequence[zipfile.ZipInfo], start: int) -> None:
        self._columns = np.empty(len(infos), _COLUMNS)
        self._ends = np.empty(len(infos), np.uint32)
        names = bytearray()
        for index, info in enumerate(infos):
            self._columns[index] = (
                info.compress_type, info.flag_bits, info.CRC, info.compress_size, info.file_size, info.header_offset, 0,
                info.external_attr >> 16,
            )  # fmt: skip
            names += info.orig_filename.encode()  # `filename` ends at the first NUL
            self._ends[index] = len(names)
        self._names = bytes(names)
        self._columns["boundary"] = _boundaries(self._columns["header_offset"], start)

    def __len__(self) -> int:
        return len(self._columns)

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> list[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | list[Member]:
        if isinstance(index, slice):
            return [self._member(one) for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._member(index % len(self))

    def __iter__(self) -> Iterator[Member]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self._stretch(first, min(first + _AT_ONCE, len(self)))

    def _member(self, index: int) -> Member:
        return next(self._stretch(index, index + 1))

    def _stretch(self, first: int, last: int) -> Iterator[Member]:
        """Entries side by side: numpy gives many rows in the time of a few."""
        begin = int(self._ends[first - 1]) if first else 0
        rows = zip(self._ends[first:last].tolist(), self._columns[first:last].tolist(), strict=True)
        for index, (end, row) in enumerate(rows, start=first):
            yield Member(index, self._names[begin:end].decode(), *row)
            begin = end


def _boundaries(offsets: npt.NDArray[np.int64], start: int) -> npt.NDArray[np.int64]:
    """The offset of what follows each member: the next one that begins behind it, or the central directory."""
    following = np.append(np.sort(offsets), start)
    behind = following[np.searchsorted(following[:-1], offsets, side="right")]
    return np.asarray(np.minimum(behind, start), np.int64)
