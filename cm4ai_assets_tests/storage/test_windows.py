"""Reading ahead in remote files: the right bytes, and few others."""

from __future__ import annotations

import io
import random
import threading
import zipfile
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.storage.bytes import ByteFile
from cm4ai_assets.storage.windows import FIRST, LARGEST, SMALL, WindowedBytes
from cm4ai_assets.storage.zips import MIB

RANDOM = random.Random(7)
IMAGES = {f"red/{number}.jpg": RANDOM.randbytes(RANDOM.randrange(1_000, 120_000)) for number in range(40)}


@dataclass
class Far:
    """Bytes in memory that note what is read of them."""

    data: bytes
    name: str = "far"
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def moved(self) -> int:
        return sum(length for _, length in self.reads)

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        assert 0 <= offset < offset + length <= self.size
        return self.data[offset : offset + length]


def zipped(method: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in IMAGES.items():
            archive.writestr(name, data)
    return target.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("step", [-1, 300, 65_536])
def test_a_member_of_a_zip_is_one_read_of_its_own_bytes(method: int, step: int) -> None:
    far = Far(zipped(method))
    with zipfile.ZipFile(ByteFile(WindowedBytes(far))) as archive:
        assert len(far.reads) == 1, "end and directory"
        for name in ("red/3.jpg", "red/17.jpg", "red/5.jpg"):
            info, before = archive.getinfo(name), far.moved
            with archive.open(name) as member:
                read = b"".join(iter(lambda member=member: member.read(step), b""))
            assert read == IMAGES[name]
            assert far.moved - before == info.compress_size + 30 + len(name)
    assert len(far.reads) == 4


def test_what_was_read_is_not_read_again_while_it_is_kept() -> None:
    far = Far(zipped())
    source = WindowedBytes(far)
    for _ in range(3):
        with zipfile.ZipFile(ByteFile(source)) as archive:
            assert archive.read("red/3.jpg") == IMAGES["red/3.jpg"]
    assert len(far.reads) == 2
    few = WindowedBytes(far, limit=100_000)
    for at in range(0, 2_000_000, 200_000):
        few.read_at(at, 10)
        assert sum(len(window.data) for window in few._kept.values()) <= 100_000


def test_reading_on_reads_ahead_further_each_time_and_not_elsewhere() -> None:
    far = Far(RANDOM.randbytes(6 * MIB))
    source = WindowedBytes(far)
    read = b"".join(source.read_at(at, 1000) for at in range(0, 5_000_000, 1000))
    assert read == far.data[:5_000_000]
    assert far.reads[:4] == [(0, FIRST), (FIRST, 2 * FIRST), (3 * FIRST, 4 * FIRST), (7 * FIRST, 8 * FIRST)]
    assert len(far.reads) < 10
    assert max(length for _, length in far.reads) <= LARGEST
    elsewhere = Far(far.data)
    WindowedBytes(elsewhere).read_at(3 * MIB, 10)
    assert elsewhere.reads == [(3 * MIB, FIRST)]


def test_a_large_read_fetches_just_that() -> None:
    far = Far(RANDOM.randbytes(4 * MIB))
    source = WindowedBytes(far)
    assert source.read_at(MIB, SMALL) == far.data[MIB : MIB + SMALL]
    assert source.read_at(MIB + SMALL, 2 * SMALL) == far.data[MIB + SMALL : MIB + 3 * SMALL]
    assert far.reads == [(MIB, SMALL), (MIB + SMALL, 2 * SMALL)]
    assert source.read_at(0, far.size) == far.data
    assert far.moved < far.size + 2 * SMALL, "what lies between is not read twice"


def test_a_zip_that_is_damaged_or_none_reads_like_any_file() -> None:
    damaged = bytearray(zipped())
    damaged[-300:-22] = bytes(278)  # the directory, not the end record
    for data in (bytes(damaged), zipped()[:-30], b"", b"x", RANDOM.randbytes(100_000)):
        far = Far(data)
        source = WindowedBytes(far)
        assert ByteFile(source).read() == data
        assert b"".join(source.read_at(at, 1) for at in range(len(data) % 50)) == data[: len(data) % 50]
        with pytest.raises(ArchiveDamagedError, match=r"has [0-9]+ bytes"):
            source.read_at(len(data), 1)


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 300_000)), max_size=15), st.integers(1, 300_000))
def test_every_read_gives_the_bytes_that_stand_there(reads: list[tuple[int, int]], limit: int) -> None:
    far = Far(ZIP)
    source = WindowedBytes(far, limit=limit)
    for offset, wanted in reads:
        length = min(wanted, max(0, far.size - offset))
        assert source.read_at(min(offset, far.size), length) == far.data[offset : offset + length]


ZIP = zipped()[-450_000:]


def test_threads_read_what_stands_there() -> None:
    source, wrong = WindowedBytes(Far(ZIP), limit=200_000), []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(200):
            offset = chance.randrange(len(ZIP) - 5_000)
            if source.read_at(offset, 5_000) != ZIP[offset : offset + 5_000]:
                wrong.append(offset)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
