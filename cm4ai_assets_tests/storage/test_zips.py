from __future__ import annotations

import io
import pickle
import stat
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm4ai_assets.errors import ArchiveDamagedError, StoredBytesDamagedError
from cm4ai_assets.storage import zips
from cm4ai_assets.storage.blocks import VerifiedBytes
from cm4ai_assets.storage.bytes import LocalBytes
from cm4ai_assets.storage.digests import digest_blocks
from cm4ai_assets.storage.zips import (
    Hazard,
    MemberUnreadableError,
    ZipDirectory,
    read_directory,
    read_member,
    require_safe,
)
from cm4ai_assets_tests.images.archives import CountedBytes, zipped

TEXT = b"nucleus, microtubules, ER, protein " * 400
CENTRAL_SIGNATURE, LOCAL_SIGNATURE, END_SIGNATURE = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def directory_of(data: bytes) -> ZipDirectory:
    return read_directory(CountedBytes(data))


def kinds(data: bytes) -> list[tuple[str, str]]:
    return [(hazard.kind, hazard.member) for hazard in directory_of(data).hazards]


def patched(data: bytes, offset: int, form: str, *values: int) -> bytes:
    """The bytes with some fields of a record overwritten."""
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


def central(data: bytes, number: int = 0) -> int:
    """Where the central record of a member begins."""
    at = -1
    for _ in range(number + 1):
        at = data.index(CENTRAL_SIGNATURE, at + 1)
    return at


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read_by_one_read_each(method: int) -> None:
    content = {f"a/{n}.jpg": TEXT + bytes([n]) for n in range(5)} | {"a/empty.jpg": b"", "a/ä.jpg": b"x"}
    source = CountedBytes(zipped(content, method=method))
    directory = require_safe(read_directory(source))
    assert source.reads == 1
    assert [member.name for member in directory.members] == list(content)
    assert [member.index for member in directory.members] == list(range(len(content)))
    for member in directory.members:
        source.reads = 0
        assert read_member(source, member) == content[member.name]
        assert source.reads == 1


def test_a_long_directory_takes_one_more_read() -> None:
    source = CountedBytes(zipped({f"folder/{n:06d}.jpg": b"" for n in range(3000)}, method=zipfile.ZIP_STORED))
    directory = read_directory(source)
    assert (len(directory.members), source.reads) == (3000, 2)
    assert directory.hazards == ()


class _Inner(CountedBytes):
    """Stored bytes as `VerifiedBytes` reads them."""

    def close(self) -> None:
        self.closed = True


def _stored(data: bytes, name: str = "images.zip") -> tuple[VerifiedBytes, _Inner]:
    inner = _Inner(data, name=name)
    digest = digest_blocks(io.BytesIO(data).read)
    return VerifiedBytes(cast("LocalBytes", inner), digest), inner


def test_the_directory_of_stored_bytes_is_parsed_once_and_held_against_its_digests_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zips, "_last", None)
    one, other = (zipped({f"{n}.jpg": b"x"}) for n in range(2))
    first = read_directory(_stored(one)[0])
    source, inner = _stored(one)
    assert read_directory(source) is first
    assert inner.reads == 1, "the bytes are held against their digests nevertheless"
    assert read_directory(_stored(one, "renamed.zip")[0]).archive == "renamed.zip"
    assert [member.name for member in read_directory(_stored(other)[0]).members] == ["1.jpg"]
    assert [member.name for member in read_directory(_stored(one)[0]).members] == ["0.jpg"]
    for _ in range(2):  # bytes of no known digest may be others under the same name
        loose = CountedBytes(one)
        read_directory(loose)
        assert loose.reads == 1
    damaged, _ = _stored(one)
    damaged._inner = cast("LocalBytes", _Inner(one[:-1] + b"x"))
    for _ in range(2):
        with pytest.raises(StoredBytesDamagedError):
            read_directory(damaged)
        monkeypatch.setattr(zips, "_last", None)


def test_members_are_read_from_many_threads() -> None:
    content = {f"{n}.jpg": TEXT * (1 + n % 3) + bytes([n]) for n in range(40)}
    source = CountedBytes(zipped(content))
    members = read_directory(source).members
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda member: read_member(source, member), members)) == list(content.values())


def test_large_extra_fields_cost_a_second_read() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("a.jpg")
        info.extra = struct.pack("<HH", 0xCAFE, 2000) + bytes(2000)
        archive.writestr(info, TEXT)
    source = CountedBytes(target.getvalue())
    (member,) = read_directory(source).members
    source.reads = 0
    assert read_member(source, member) == TEXT
    assert source.reads == 2


def test_sizes_may_follow_the_data() -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.written += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    target = Unseekable()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("a.jpg", TEXT)
        archive.writestr("b.jpg", TEXT[::-1])
    source = CountedBytes(bytes(target.written))
    directory = require_safe(read_directory(source))
    assert all(member.flags & 0x8 for member in directory.members)
    assert [read_member(source, member) for member in directory.members] == [TEXT, TEXT[::-1]]


def test_zip64_records_are_read() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(zipfile.ZipInfo("a.jpg"), "w", force_zip64=True) as file:
            file.write(TEXT)
        archive.writestr("b.jpg", b"b")
    data = target.getvalue()
    # Move the offsets to the ZIP64 records, as in an archive beyond 4 GiB.
    end = data.rindex(END_SIGNATURE)
    count, size, offset = struct.unpack_from("<HLL", data, end + 10)
    zip64_end = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    end_record = struct.pack("<4s4H2LH", END_SIGNATURE, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    source = CountedBytes(data[:end] + zip64_end + locator + end_record)
    directory = require_safe(read_directory(source))
    assert [read_member(source, member) for member in directory.members] == [TEXT, b"b"]


def test_offsets_beyond_four_gibibytes_are_read() -> None:
    """A sparse source: the member lies at 5 GiB, and nothing before it is ever read."""
    plain = zipped({"a.jpg": TEXT})
    shift, at, end = 5 << 30, central(plain), plain.rindex(END_SIGNATURE)
    extra = struct.pack("<HHQ", 1, 8, shift)
    record = bytearray(plain[at:end])
    struct.pack_into("<H", record, 30, len(extra))
    struct.pack_into("<L", record, 42, 0xFFFFFFFF)
    directory = bytes(record) + extra
    zip64_end = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), shift + at)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, shift + at + len(directory), 1)
    end_record = struct.pack("<4s4H2LH", END_SIGNATURE, 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    body = plain[:at] + directory + zip64_end + locator + end_record

    class Sparse(CountedBytes):
        def __init__(self) -> None:
            super().__init__(body)
            self.size = shift + len(body)

        def read_at(self, offset: int, length: int) -> bytes:
            gap = max(0, min(length, shift - offset))
            return bytes(gap) + super().read_at(max(0, offset - shift), length - gap)

    source = Sparse()
    (member,) = require_safe(read_directory(source)).members
    assert member.header_offset == shift
    assert read_member(source, member) == TEXT


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"not an archive at all", "is not a ZIP"),
        (zipped({"a.jpg": TEXT})[:-30], "is truncated"),
        (zipped({"a.jpg": TEXT})[:40], "is truncated"),
        (zipped({"a.jpg": TEXT})[:2], "is not a ZIP"),
    ],
    ids=["empty", "text", "without its end", "without its directory", "two bytes"],
)
def test_what_has_no_directory_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ArchiveDamagedError, match=message):
        directory_of(data)


def test_a_directory_that_was_cut_is_refused() -> None:
    data = zipped({"a.jpg": TEXT, "b.jpg": TEXT})
    second, end = central(data, 1), data.rindex(END_SIGNATURE)
    with pytest.raises(ArchiveDamagedError, match="damaged central directory"):
        directory_of(data[: second + 10] + data[end:])
    shortened = patched(data[:second] + data[end:], second + 12, "<L", second - central(data))
    with pytest.raises(ArchiveDamagedError, match="holds 1 members, its end record states 2"):
        directory_of(shortened)


def test_a_directory_without_end_is_not_read_into_memory() -> None:
    class Endless(CountedBytes):
        def __init__(self, data: bytes) -> None:
            super().__init__(data)
            self.size = 1 << 33

        def read_at(self, offset: int, length: int) -> bytes:
            assert length < 1 << 20
            hidden = self.size - len(self._data)
            return bytes(length) if offset < hidden else super().read_at(offset - hidden, length)

    end = struct.pack("<4s4H2LH", END_SIGNATURE, 0, 0, 1, 1, 1 << 30, 0, 0)
    with pytest.raises(ArchiveDamagedError, match="central directory claims more than"):
        read_directory(Endless(bytes(1 << 17) + end))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../../etc/passwd", "traversal"),
        ("paclitaxel/../../x.jpg", "traversal"),
        ("..", "traversal"),
        ("/etc/passwd", "absolute"),
        ("C:/x.jpg", "drive"),
        ("a\\b.jpg", "backslash"),
        ("..\\x.jpg", "traversal"),
        ("a\nb.jpg", "control"),
        ("a\x1b[2Jb.jpg", "control"),
        ("a\u202egpj.exe", "control"),
    ],
)
def test_hostile_names_are_hazards(name: str, kind: str) -> None:
    assert (kind, name) in kinds(zipped({"good.jpg": b"x", name: b"x"}))
    with pytest.raises(ArchiveDamagedError, match="is not safe"):
        require_safe(directory_of(zipped({name: b"x"})))


def test_nul_in_a_name_does_not_hide_the_rest() -> None:
    data = zipped({"aXb.jpg": b"x"}).replace(b"aXb.jpg", b"a\x00b.jpg")
    assert kinds(data) == [("control", "a\x00b.jpg")]


@pytest.mark.parametrize("name", ["a..b.jpg", "paclitaxel/red/", "ä ö.jpg", "ab:c.jpg", "~x.jpg", "..a/b.jpg"])
def test_odd_names_are_no_hazards(name: str) -> None:
    assert kinds(zipped({name: b""})) == []


@pytest.mark.parametrize(
    ("mode", "kind"), [(stat.S_IFLNK, "symlink"), (stat.S_IFCHR, "special"), (stat.S_IFIFO, "special")]
)
def test_links_and_devices_are_hazards(mode: int, kind: str) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo("a.jpg")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert kinds(target.getvalue()) == [(kind, "a.jpg")]


def test_encryption_and_other_methods_are_hazards() -> None:
    data = zipped({"a.jpg": TEXT})
    encrypted = patched(data, central(data) + 8, "<H", 1)
    assert kinds(encrypted) == [("encrypted", "a.jpg")]
    with pytest.raises(MemberUnreadableError, match="another method or encryption"):
        read_member(CountedBytes(encrypted), directory_of(encrypted).members[0])
    squeezed = zipped({"a.jpg": TEXT}, method=zipfile.ZIP_LZMA)
    assert kinds(squeezed) == [("method", "a.jpg")]
    with pytest.raises(MemberUnreadableError, match="method 14 is not supported"):
        read_member(CountedBytes(squeezed), directory_of(squeezed).members[0])


def test_bombs_are_hazards_and_are_never_inflated() -> None:
    data = zipped({"bomb.jpg": bytes(17 << 20)})
    assert kinds(data) == [("bomb", "bomb.jpg")]
    claimed = patched(data, central(data) + 24, "<L", 300 << 20)
    assert kinds(claimed) == [("bomb", "bomb.jpg")]
    with pytest.raises(MemberUnreadableError, match="larger than"):
        read_member(CountedBytes(claimed), directory_of(claimed).members[0])


def test_a_member_that_inflates_to_more_than_declared_is_stopped() -> None:
    data = zipped({"bomb.jpg": bytes(8 << 20)})
    small = patched(patched(data, central(data) + 24, "<L", 100), 22, "<L", 100)
    with pytest.raises(MemberUnreadableError, match="does not inflate"):
        read_member(CountedBytes(small), directory_of(small).members[0])


def test_many_members_are_a_bomb_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "TOTAL_LIMIT", 3 * len(TEXT))
    assert kinds(zipped({f"{n}.jpg": TEXT for n in range(4)})) == [("bomb", "0.jpg")]


def test_overlapping_members_are_hazards() -> None:
    """Two central records over one kernel: how a small file unpacks to a very large one."""
    data = zipped({"a.jpg": TEXT, "b.jpg": TEXT})
    overlapping = patched(data, central(data, 1) + 42, "<L", 0)
    assert [kind for kind, _ in kinds(overlapping)] == ["overlap"]
    longer = patched(data, central(data) + 20, "<L", len(data) // 2)
    assert ("overlap", "a.jpg") in kinds(longer)
    with pytest.raises(MemberUnreadableError):
        read_member(CountedBytes(longer), directory_of(longer).members[0])


@pytest.mark.parametrize(("shared", "expected"), [(0, []), (1, [("overlap", "a.jpg")]), (16, [("overlap", "a.jpg")])])
def test_members_that_share_a_few_bytes_are_hazards(shared: int, expected: list[tuple[str, str]]) -> None:
    """Not only two records over one kernel: the second begins within the end of the first."""
    data = zipped({"a.jpg": TEXT, "b.jpg": TEXT}, method=zipfile.ZIP_STORED)
    second = directory_of(data).members[1].header_offset
    assert kinds(patched(data, central(data, 1) + 42, "<L", second - shared)) == expected


def test_a_member_whose_header_hides_an_overlap_is_not_read() -> None:
    """The central directory looks sound; the local header claims an extra field that reaches into the next member."""
    data = zipped({"a.jpg": TEXT, "b.jpg": TEXT}, method=zipfile.ZIP_STORED)
    hidden = patched(data, 28, "<H", 50)
    assert kinds(hidden) == []
    with pytest.raises(MemberUnreadableError, match="runs into what follows"):
        read_member(CountedBytes(hidden), directory_of(hidden).members[0])


def test_members_outside_the_archive_are_hazards() -> None:
    data = zipped({"a.jpg": TEXT, "b.jpg": TEXT})
    outside = patched(data, central(data, 1) + 42, "<L", len(data) + 10)
    assert kinds(outside) == [("bounds", "b.jpg")]
    with pytest.raises(MemberUnreadableError, match="lies outside"):
        read_member(CountedBytes(outside), directory_of(outside).members[1])
    assert "bounds" in {kind for kind, _ in kinds(data[100:])}


@pytest.mark.parametrize(
    ("offset", "form", "value", "reason"),
    [
        (0, "<L", 0, "no local header"),
        (30, "<B", ord("z"), "another name"),
        (8, "<H", 0, "another method"),
        (14, "<L", 12345, "another size or CRC-32"),
        (22, "<L", 12345, "another size or CRC-32"),
        (60, "<B", 0xFF, "does not inflate|CRC-32|bytes instead"),
    ],
)
def test_a_damaged_member_is_told_and_the_others_are_read(offset: int, form: str, value: int, reason: str) -> None:
    data = patched(zipped({"a.jpg": TEXT, "b.jpg": TEXT}), offset, form, value)
    source = CountedBytes(data)
    first, second = require_safe(read_directory(source)).members
    with pytest.raises(MemberUnreadableError, match=reason) as raised:
        read_member(source, first)
    assert raised.value.member == "a.jpg"
    assert read_member(source, second) == TEXT


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wrong_crc_is_told(method: int) -> None:
    data = zipped({"a.jpg": TEXT}, method=method)
    wrong = zlib.crc32(TEXT) ^ 1
    data = patched(patched(data, 14, "<L", wrong), central(data) + 16, "<L", wrong)
    with pytest.raises(MemberUnreadableError, match=f"CRC-32 is {zlib.crc32(TEXT):08x} instead of {wrong:08x}"):
        read_member(CountedBytes(data), directory_of(data).members[0])


def test_duplicate_names_are_no_hazard() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([("a.jpg", b"1"), ("a.jpg", b"2")])
    directory = require_safe(directory_of(data))
    assert [read_member(CountedBytes(data), member) for member in directory.members] == [b"1", b"2"]


def test_an_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(MemberUnreadableError("a.jpg", "does not inflate")))
    assert (error.member, error.reason, str(error)) == ("a.jpg", "does not inflate", "a.jpg: does not inflate.")
    assert str(Hazard("traversal", "../a", "leaves its folder by '..'")) == "'../a' leaves its folder by '..'"


def read_all(data: bytes) -> None:
    """Whatever the bytes are: a directory, or a typed error; for each member its bytes, or a typed error."""
    source = CountedBytes(data)
    try:
        directory = read_directory(source)
    except ArchiveDamagedError:
        return
    _ = directory.hazards
    for member in directory.members:
        try:
            content = read_member(source, member)
        except MemberUnreadableError:
            continue
        assert (len(content), zlib.crc32(content)) == (member.size, member.crc32)


@given(st.binary(max_size=300))
def test_random_bytes_give_typed_errors(data: bytes) -> None:
    read_all(data)
    read_all(LOCAL_SIGNATURE + data)
    read_all(data + struct.pack("<4s4H2LH", END_SIGNATURE, 0, 0, 1, 1, 46, 0, 0))


SOUND = zipped({"a/red/x.jpg": TEXT, "a/ä.jpg": b"green" * 30, "a/empty": b""})


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_give_typed_errors(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND)
    for position, value in changes:
        data[position] = value
    read_all(bytes(data))


@given(st.integers(0, len(SOUND)), st.integers(0, len(SOUND)))
def test_missing_pieces_give_typed_errors(begin: int, end: int) -> None:
    read_all(SOUND[:begin] + SOUND[end:])


@given(st.text(min_size=1, max_size=30).filter(lambda name: "\x00" not in name))
def test_any_name_is_read_or_a_hazard(name: str) -> None:
    try:
        data = zipped({name: b"x"})
    except UnicodeEncodeError:  # a lone surrogate, which no ZIP can hold
        return
    source = CountedBytes(data)
    (member,) = read_directory(source).members
    assert member.name == name
    assert read_member(source, member) == b"x"
