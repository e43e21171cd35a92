"""Reading ahead in a file that is far away, so that tools which read ZIPs move the bytes they use and few others.

A tool that opens a ZIP reads its end, its central directory, and of each member a local header of thirty bytes, then
the data in whatever pieces it likes. Blocks of megabytes move twenty times what is used; blocks of kilobytes ask forty
times for one image. Here a small read in a ZIP whose directory has been read fetches what is left of its member, and no
more. So an image is one request for its own bytes.

Belongs here: how far to read ahead, and what is kept. Does not belong here: the ZIP format (`storage.zips`), and blocks
of a fixed size, as HDF5 wants them (`storage.bytes.CachedBytes`).
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MIB, TAIL, ZipDirectory, read_directory

SMALL: Final = MIB // 4
"""Reads of at least so many bytes are taken to know what they want: nothing is read ahead for them."""

FIRST: Final = 32 * 1024
LARGEST: Final = 8 * MIB


class _Window(NamedTuple):
    begin: int
    data: bytes

    @property
    def end(self) -> int:
        return self.begin + len(self.data)


class WindowedBytes:
    """A `ByteSource` that reads ahead and keeps what it read last. Safe from many threads.

    - The end of the file is read at once, as far as a ZIP's end record can reach.
    - Once a ZIP's directory has been read through it, a small read fetches the rest of its member.
    - Elsewhere a small read fetches 32 KiB, and each that goes on where the last one ended twice as much as that.

    Args:
        source: Where the bytes are.
        limit: Bytes that are kept.
    """

    def __init__(self, source: ByteSource, *, limit: int = 32 * MIB) -> None:
        self.name, self.size = source.name, source.size
        self._source, self._limit = source, limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, _Window] = OrderedDict()  # by where they begin, the last used last
        self._next, self._ahead = -1, FIRST
        self._members: _Members | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource.read_at`."""
        if offset < 0 or offset + length > self.size:
            raise ArchiveDamagedError(f"{self.name} has {self.size} bytes, none up to {offset + length}.")
        parts, position, end = [], offset, offset + length
        while position < end:
            window = self._window(position, end, is_small=length < SMALL)
            part = window.data[position - window.begin : end - window.begin]
            parts.append(part)
            position += len(part)
        return b"".join(parts)

    def _window(self, position: int, end: int, *, is_small: bool) -> _Window:
        """A window that holds this position, fetched if none is kept."""
        with self._lock:
            if (kept := self._holding(position)) is not None:
                self._kept.move_to_end(kept.begin)
                return kept
            begin, stop = self._span(position, end, is_small=is_small)
        window = _Window(begin, self._source.read_at(begin, stop - begin))
        with self._lock:
            self._next = window.end
            self._keep(window)
        return window

    def _holding(self, position: int) -> _Window | None:
        return next((window for window in self._kept.values() if window.begin <= position < window.end), None)

    def _span(self, position: int, end: int, *, is_small: bool) -> tuple[int, int]:
        """What to fetch for a read that wants the bytes from `position`, which is not kept, to before `end`."""
        if end > self.size - TAIL:
            begin, reach = min(position, max(0, self.size - TAIL)), self.size
        else:
            begin, reach = position, self._reach(position, end) if is_small else end
        return begin, min([reach, *(window.begin for window in self._kept.values() if window.begin > position)])

    def _reach(self, position: int, end: int) -> int:
        if self._members is None:
            self._members = self._members_kept()
        boundary = self._members.boundary(position) if self._members else 0
        if end <= boundary <= position + LARGEST:
            return boundary
        self._ahead = min(2 * self._ahead, LARGEST) if position == self._next else FIRST
        return min(max(end, position + self._ahead), self.size)

    def _members_kept(self) -> _Members | None:
        """Where members end, if this is a ZIP whose directory is kept; None as long as it is not."""
        try:
            return _Members(read_directory(_Kept(self.name, self.size, list(self._kept.values()))))
        except _NotKeptError:
            return None
        except ArchiveDamagedError:
            return _Members(None)

    def _keep(self, window: _Window) -> None:
        """Keep a window and forget those used longest ago; one that is larger than all that is kept is not kept."""
        if len(window.data) > self._limit:
            return
        self._kept[window.begin] = window
        self._kept.move_to_end(window.begin)
        while sum(len(one.data) for one in self._kept.values()) > self._limit:
            self._kept.popitem(last=False)


class _Members:
    """Where the members of a ZIP begin and end; of none if it is no ZIP."""

    def __init__(self, directory: ZipDirectory | None) -> None:
        members = sorted(directory.members, key=lambda member: member.header_offset) if directory else []
        self._begins = [member.header_offset for member in members]
        self._ends = [member.boundary for member in members]

    def boundary(self, position: int) -> int:
        """Where the member ends that holds this position; 0 if none does."""
        number = bisect_right(self._begins, position) - 1
        return self._ends[number] if number >= 0 else 0


class _NotKeptError(Exception):
    pass


@dataclass
class _Kept:
    """What is kept, as a `ByteSource` that fetches nothing."""

    name: str
    size: int
    windows: list[_Window]

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource.read_at`."""
        data = b""
        while len(data) < length:
            at = offset + len(data)
            window = next((window for window in self.windows if window.begin <= at < window.end), None)
            if window is None:
                raise _NotKeptError
            data += window.data[at - window.begin :][: length - len(data)]
        return data
