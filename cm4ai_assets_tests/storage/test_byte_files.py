"""Byte sources as files that can be sought, and the blocks that are kept of them."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.storage.bytes import ByteFile, CachedBytes

DATA = random.Random(4).randbytes(1_000)


@dataclass
class Counted:
    """Bytes in memory that count their reads."""

    name: str = "x"
    size: int = len(DATA)
    reads: list[tuple[int, int]] = field(default_factory=list)

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        assert offset + length <= self.size
        return DATA[offset : offset + length]


@given(
    st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 400)), max_size=12),
    st.integers(1, 300),
    st.integers(1, 8),
)
def test_a_file_over_kept_blocks_reads_as_one_over_the_bytes(
    reads: list[tuple[int, int]], block: int, blocks: int
) -> None:
    ours, theirs = ByteFile(CachedBytes(Counted(), block=block, blocks=blocks)), io.BytesIO(DATA)
    for offset, length in reads:
        assert ours.seek(offset) == theirs.seek(offset)
        assert ours.read(length) == theirs.read(length)
        assert ours.tell() == theirs.tell()


def test_every_way_to_seek() -> None:
    file = ByteFile(Counted())
    assert (file.seek(-10, io.SEEK_END), file.read()) == (990, DATA[-10:])
    assert (file.seek(5), file.seek(3, io.SEEK_CUR), file.read(2)) == (5, 8, DATA[8:10])
    with pytest.raises(ValueError, match="begins at 0"):
        file.seek(-1)


def test_blocks_beside_each_other_are_read_at_once_and_kept() -> None:
    source = Counted()
    cached = CachedBytes(source, block=100, blocks=4)
    cached.read_at(150, 200)
    cached.read_at(110, 280)
    assert source.reads == [(100, 300)]
    cached.read_at(950, 50)
    cached.read_at(120, 10)
    assert source.reads == [(100, 300), (900, 100)]


def test_the_blocks_that_were_not_asked_for_longest_are_dropped() -> None:
    source = Counted()
    cached = CachedBytes(source, block=100, blocks=2)
    for offset in (0, 100, 0, 200, 0, 100):
        cached.read_at(offset, 1)
    assert source.reads == [(0, 100), (100, 100), (200, 100), (100, 100)]


def test_what_is_larger_than_all_blocks_is_read_past_them() -> None:
    source = Counted()
    assert CachedBytes(source, block=100, blocks=2).read_at(0, 900) == DATA[:900]
    assert source.reads == [(0, 900)]


def test_bytes_that_are_not_there_are_an_error_and_never_fewer() -> None:
    with pytest.raises(ArchiveDamagedError):
        CachedBytes(Counted(), block=64).read_at(990, 20)


def test_closing_the_file_closes_the_source_once() -> None:
    closed: list[int] = []
    file = ByteFile(Counted(), close=lambda: closed.append(1))
    file.close()
    file.close()
    assert closed == [1]
