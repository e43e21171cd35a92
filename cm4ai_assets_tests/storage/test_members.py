"""The entries of a central directory: a sequence like any other, and small."""

from __future__ import annotations

import tracemalloc
import zipfile

import pytest

from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.storage.members import Member, Members
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets_tests.images.archives import CountedBytes, zipped

UTF8 = 0x0800
LIMIT = 150  # bytes of memory for an entry whose name has 70 characters; a dataclass with its numbers takes 500


def infos(count: int) -> list[zipfile.ZipInfo]:
    made = []
    for number in range(count):
        info = zipfile.ZipInfo(f"paclitaxel/yellow/B2AI_1_Paclitaxel_A1_R{number:05d}_z01_yellow.jpg".ljust(70, "x"))
        info.header_offset, info.compress_size, info.file_size = 1_000 * number, 900, 950
        info.CRC, info.external_attr = number, 0o644 << 16
        made.append(info)
    return made


def test_they_are_a_sequence() -> None:
    members = Members(infos(5), 5_000)
    every = list(members)
    assert len(members) == len(every) == 5
    assert [members[place] for place in range(-5, 5)] == every + every
    assert members[1:4] == every[1:4]
    assert members[::-2] == every[::-2]
    assert every[3] == Member(3, every[3].name, 0, 0, 3, 900, 950, 3_000, 4_000, 0o644)
    assert every[3].name.startswith("paclitaxel/yellow/B2AI_1_Paclitaxel_A1_R00003")
    for place in (5, -6):
        with pytest.raises(IndexError):
            members[place]


def test_many_are_the_same_as_one_by_one() -> None:
    members = Members(infos(600), 600_000)
    assert list(members) == [members[place] for place in range(600)] == members[:]


def test_the_boundary_is_where_something_else_begins() -> None:
    made = infos(5)
    for info, offset in zip(made, (700, 100, 100, 9_000, 400), strict=True):
        info.header_offset = offset
    assert [member.boundary for member in Members(made, 5_000)] == [5_000, 400, 400, 5_000, 700]


def test_names_are_as_they_stand_in_the_archive() -> None:
    latin, wide = zipfile.ZipInfo("é"), zipfile.ZipInfo("µ蛋")
    latin.CRC = wide.CRC = latin.header_offset = wide.header_offset = 0
    wide.flag_bits = UTF8
    assert [(one.name, one.raw_name) for one in Members([latin, wide], 10)] == [
        ("é", "é".encode("cp437")),
        ("µ蛋", "µ蛋".encode()),
    ]


def test_an_offset_that_no_file_has_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    (beyond,) = infos(1)
    beyond.header_offset = 2**63
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda _: [beyond])
    with pytest.raises(ArchiveDamagedError, match="damaged central directory"):
        read_directory(CountedBytes(zipped({"a": b"a"})))


def test_forty_thousand_entries_stay_small() -> None:
    made = infos(4_000)
    tracemalloc.start()
    try:
        members = Members(made, 10**9)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held / len(members) <= LIMIT
