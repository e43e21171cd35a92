"""A ZIP of the size of a published one, 5 GB, that takes no room: only its headers and its directory are written."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterable

IMAGE = random.Random(11).randbytes(280_000)  # the mean size of a published image (data reference, section 1.4)


class LargeZip:
    """Stored members that all hold `IMAGE`, as something that is sliced like bytes."""

    def __init__(self, names: Iterable[str]) -> None:
        self._headers: dict[int, bytes] = {}
        self._begins: list[int] = []
        crc, position = zlib.crc32(IMAGE), 0
        end = _End()
        with zipfile.ZipFile(end, "w") as archive:
            for name in names:
                info = zipfile.ZipInfo(name)
                info.CRC, info.compress_size, info.file_size, info.header_offset = crc, len(IMAGE), len(IMAGE), position
                header = info.FileHeader(zip64=False)
                self._headers[position] = header
                self._begins.append(position)
                archive.filelist.append(info)
                position += len(header) + len(IMAGE)
            end.begin = archive.start_dir = position
            archive._didModify = True
        self._end, self._directory = end.getvalue(), position

    @property
    def directory_size(self) -> int:
        return len(self._end)

    def __len__(self) -> int:
        return self._directory + len(self._end)

    def __getitem__(self, span: slice) -> bytes:
        start, stop, _ = span.indices(len(self))
        pieces = [self._end[max(0, start - self._directory) : max(0, stop - self._directory)]]
        at = min(stop, self._directory)
        while at > start:
            begin = self._begin_before(at)
            member = self._headers[begin] + IMAGE
            pieces.append(member[max(0, start - begin) : at - begin])
            at = begin
        return b"".join(reversed(pieces))

    def _begin_before(self, at: int) -> int:
        return self._begins[bisect_left(self._begins, at) - 1]


class _End(io.BytesIO):
    """What stands from `begin` on, which is where `zipfile` goes to write the directory."""

    begin = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return super().seek(offset - self.begin if whence == io.SEEK_SET else offset, whence) + self.begin

    def tell(self) -> int:
        return super().tell() + self.begin
