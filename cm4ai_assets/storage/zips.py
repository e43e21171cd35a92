"""ZIP archives read in place: the central directory, what is unsafe in it, and single members, without unpacking.

Belongs here: the ZIP format, the limits that make reading safe, and the verification of every member's bytes. Does not
belong here: what a member's name means (`images.listing`) or its content (`images.decode`, `images.manifest`). Nothing
is ever written under a member's name, yet names that could escape a folder block the archive: others will unpack it.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from cm4ai_assets.errors import ArchiveDamagedError, Cm4aiError
from cm4ai_assets.heavy import imagecodecs
from cm4ai_assets.storage.blocks import VerifiedBytes
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.members import Member, Members

MIB = 1 << 20
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED

# The largest published image has 758 KB, and a raw 2048 x 2048 RGB image 12 MiB; the crate's JSON is some 12 MB. Images
# shrink to no less than 0.07 (data reference, section 1.4), so a hundredfold expansion of something large is no image.
MEMBER_LIMIT = 256 * MIB
EXPANSION_EXEMPT = 16 * MIB
EXPANSION_LIMIT = 100
TOTAL_LIMIT = 64 * 1024 * MIB  # an archive unpacks to some 6 GB
DIRECTORY_LIMIT = 32 * MIB  # 18,000 members take 2 MB

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000  # traditional, strong, and masked local headers (APPNOTE 4.4.4)
_PATCHED = 0x0020
_SIZES_FOLLOW = 0x0008  # sizes and CRC stand in a data descriptor behind the data

_END_RECORD = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_SEE_ZIP64 = 0xFFFF_FFFF
# End record, its longest comment, and the two records of ZIP64 before it: one read finds them all.
TAIL = _END_RECORD.size + 0xFFFF + 20 + 56
# Room for the extra fields that writers put into a local header, so that one read gets header and data.
_EXTRA_ROOM = 256

# Control characters, invisible ones, and those that turn the direction of writing: names that are not what they seem.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")

_REMEDY = "Nothing of it is used. Run `cm4ai verify`; if the stored bytes are as published, report it to the archive."


class MemberUnreadableError(Cm4aiError):
    """One member's bytes cannot be read: they do not inflate, fail their CRC, or contradict the central directory."""

    runbook = "unreadable-file"

    def __init__(self, member: str, reason: str) -> None:
        super().__init__(f"{member}: {reason}.")
        self.member, self.reason = member, reason
        self.args = (member, reason)  # what pickle calls the class with, between the processes of a cluster


@dataclass(frozen=True, slots=True)
class Hazard:
    """Something that makes an archive unsafe: its kind, the member, and what is wrong with it."""

    kind: str
    member: str
    detail: str

    def __str__(self) -> str:
        return f"{self.member!r} {self.detail}"


@dataclass(frozen=True)
class ZipDirectory:
    """The central directory, in its own order; `offset` is where it begins."""

    archive: str
    archive_size: int
    members: Sequence[Member]
    offset: int

    @cached_property
    def hazards(self) -> Sequence[Hazard]:
        """Everything in the directory that makes the archive unsafe to read or to unpack; empty for a sound one."""
        found = [hazard for member in self.members for hazard in (*_name_hazards(member), *_entry_hazards(member))]
        found += _placement_hazards(self)
        total = sum(member.size for member in self.members)
        if total > TOTAL_LIMIT:
            largest = max(self.members, key=lambda member: member.size)
            found.append(Hazard("bomb", largest.name, f"and the others unpack to {total} bytes (limit {TOTAL_LIMIT})"))
        return tuple(found)


_last: tuple[tuple[str, str], ZipDirectory] | None = None  # of stored bytes, by their digest and name


def read_directory(source: ByteSource) -> ZipDirectory:
    """The central directory, by one read of the archive's end and one of the directory where it is longer than that.

    The last one of stored bytes is kept, since every step of a run asks for it, and the same digest means the same
    directory. Its bytes are read again nevertheless, and so held against their digests; they are only not parsed again.

    Raises:
        ArchiveDamagedError: There is no readable central directory: not a ZIP, cut off, or inconsistent.
        StoredBytesDamagedError: Stored bytes are not what they were.
    """
    global _last  # noqa: PLW0603 - a cache of one
    if not isinstance(source, VerifiedBytes):
        return _read_directory(source)
    asked, kept = (source.sha256, source.name), _last
    if kept is not None and kept[0] == asked:
        source.read_at(kept[1].offset, source.size - kept[1].offset)
        return kept[1]
    directory = _read_directory(source)
    _last = (asked, directory)
    return directory


def _read_directory(source: ByteSource) -> ZipDirectory:
    file = _PositionedFile(source)
    try:
        with zipfile.ZipFile(file) as archive:
            members, start = Members(archive.infolist(), archive.start_dir), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
        raise ArchiveDamagedError(f"{source.name} {_diagnosis(source, error)}.", remedy=_REMEDY) from error
    stated = file.stated_members()
    if stated not in (len(members) & 0xFFFF, 0xFFFF):
        raise ArchiveDamagedError(
            f"{source.name}: the central directory holds {len(members)} members, its end record states {stated}.",
            remedy=_REMEDY,
        )
    return ZipDirectory(source.name, source.size, members, start)


def require_safe(directory: ZipDirectory) -> ZipDirectory:
    """The directory itself, if nothing in it is unsafe.

    Raises:
        ArchiveDamagedError: Something is; the message names the members.
    """
    found = directory.hazards
    if found:
        listed = "; ".join(str(hazard) for hazard in found[:5])
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""  # noqa: PLR2004
        raise ArchiveDamagedError(f"{directory.archive} is not safe: {listed}{more}.", remedy=_REMEDY)
    return directory


def read_member(source: ByteSource, member: Member) -> bytes:
    """The member's bytes, of the declared size and CRC-32, by one read in all but odd archives. Safe from many threads.

    Raises:
        MemberUnreadableError: They cannot be read as the central directory declares them.
    """
    if member.size > MEMBER_LIMIT or member.compressed_size > MEMBER_LIMIT:
        raise MemberUnreadableError(member.name, f"larger than {MEMBER_LIMIT} bytes")
    packed = _packed(source, member)
    if member.method == STORED:
        data = packed
    elif member.method == DEFLATED:
        try:
            data = bytes(
                imagecodecs.deflate_decode(packed, raw=True, out=member.size)
            )  # writes no more than the declared size
        except imagecodecs.DeflateError as error:
            raise MemberUnreadableError(member.name, f"does not inflate ({error})") from error
    else:
        raise MemberUnreadableError(member.name, f"compression method {member.method} is not supported")
    if len(data) != member.size:
        raise MemberUnreadableError(member.name, f"has {len(data)} bytes instead of {member.size}")
    if (actual := imagecodecs.deflate_crc32(data)) != member.crc32:
        raise MemberUnreadableError(member.name, f"CRC-32 is {actual:08x} instead of {member.crc32:08x}")
    return data


def _packed(source: ByteSource, member: Member) -> bytes:
    """The member's compressed bytes, after its local header was held against the central directory."""
    name = member.raw_name
    room = member.boundary - member.header_offset
    if member.header_offset < 0 or room < _LOCAL_HEADER.size:
        raise MemberUnreadableError(member.name, "lies outside the archive or overlaps another member")
    wanted = _LOCAL_HEADER.size + len(name) + member.compressed_size + _EXTRA_ROOM
    data = source.read_at(member.header_offset, min(room, wanted))
    signature, _, flags, method, _, _, *stated, name_size, extra_size = _LOCAL_HEADER.unpack_from(data)
    begin = _LOCAL_HEADER.size + name_size + extra_size
    end = begin + member.compressed_size
    if signature != _LOCAL_SIGNATURE:
        raise MemberUnreadableError(member.name, "has no local header where the central directory says")
    if data[_LOCAL_HEADER.size : _LOCAL_HEADER.size + name_size] != name:
        raise MemberUnreadableError(member.name, "has another name in its local header")
    if (method, flags & _ENCRYPTED) != (member.method, member.flags & _ENCRYPTED):
        raise MemberUnreadableError(member.name, "has another method or encryption in its local header")
    declared = (member.crc32, member.compressed_size, member.size)
    if not flags & _SIZES_FOLLOW and any(n not in (m, _SEE_ZIP64) for n, m in zip(stated, declared, strict=True)):
        raise MemberUnreadableError(member.name, "has another size or CRC-32 in its local header")
    if end > room:
        raise MemberUnreadableError(member.name, "runs into what follows it in the archive")
    if end > len(data):
        data += source.read_at(member.header_offset + len(data), end - len(data))
    return data[begin:end]


class _PositionedFile(io.RawIOBase):
    """A byte source as the file that `zipfile` reads a directory from. Its end is read once."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self._position = source, 0
        self._tail_offset = max(0, source.size - TAIL)
        self._tail = source.read_at(self._tail_offset, source.size - self._tail_offset)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if position < 0:
            raise OSError("seek before the beginning")  # what zipfile expects of a file that is too short
        self._position = position
        return position

    def read(self, size: int = -1) -> bytes:
        rest = max(0, self._source.size - self._position)
        length = rest if size < 0 else min(size, rest)
        if length > DIRECTORY_LIMIT:
            raise zipfile.BadZipFile(f"its central directory claims more than {DIRECTORY_LIMIT} bytes")
        begin = self._position - self._tail_offset
        in_tail = begin >= 0
        data = self._tail[begin : begin + length] if in_tail else self._source.read_at(self._position, length)
        self._position += length
        return data

    def stated_members(self) -> int:
        """How many members the end record states, modulo 2**16; 65,535 refers to ZIP64."""
        return int(_END_RECORD.unpack_from(self._tail, self._tail.rfind(_END_SIGNATURE))[4])


def _diagnosis(source: ByteSource, error: Exception) -> str:
    """What a person should know: an archive that was cut off looks to `zipfile` like anything else that is no ZIP."""
    if source.size == 0:
        return "is empty"
    begins_as_zip = source.read_at(0, min(source.size, len(_LOCAL_SIGNATURE))) == _LOCAL_SIGNATURE
    if isinstance(error, zipfile.BadZipFile) and "not a zip" in str(error):
        return "is truncated: it begins as a ZIP but has no end record" if begins_as_zip else "is not a ZIP"
    return f"has a damaged central directory ({error})"


def _name_hazards(member: Member) -> Iterator[Hazard]:
    name = member.name
    parts = name.replace("\\", "/").split("/")
    if not name:
        yield Hazard("name", name, "has no name")
    if name.startswith(("/", "\\")):
        yield Hazard("absolute", name, "is an absolute path")
    if ".." in parts:
        yield Hazard("traversal", name, "leaves its folder by '..'")
    if _DRIVE.match(name):
        yield Hazard("drive", name, "names a drive")
    if "\\" in name:
        yield Hazard("backslash", name, "has a backslash, which is a folder on some systems only")
    if _UNPRINTABLE.search(name):
        yield Hazard("control", name, "has NUL, control or invisible characters in its name")


def _entry_hazards(member: Member) -> Iterator[Hazard]:
    name, kind = member.name, stat.S_IFMT(member.mode)
    if kind == stat.S_IFLNK:
        yield Hazard("symlink", name, "is a symbolic link")
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield Hazard("special", name, f"is a device, pipe or socket (mode {member.mode:o})")
    if member.flags & _ENCRYPTED:
        yield Hazard("encrypted", name, "is encrypted")
    if member.method not in (STORED, DEFLATED) or member.flags & _PATCHED:
        yield Hazard("method", name, f"is packed by method {member.method}; only stored and deflated are read")
    if member.size > MEMBER_LIMIT:
        yield Hazard("bomb", name, f"unpacks to {member.size} bytes (limit {MEMBER_LIMIT})")
    elif member.size > EXPANSION_EXEMPT and member.size > EXPANSION_LIMIT * member.compressed_size:
        yield Hazard("bomb", name, f"unpacks {member.compressed_size} bytes to {member.size}")


def _placement_hazards(directory: ZipDirectory) -> Iterator[Hazard]:
    """Members outside the archive, or sharing bytes: many members over one deflated kernel are how small bombs grow."""
    placed = []
    for member in directory.members:
        least_end = member.header_offset + _LOCAL_HEADER.size + len(member.raw_name) + member.compressed_size
        if member.header_offset < 0 or least_end > directory.offset:
            yield Hazard("bounds", member.name, "lies outside the part of the archive that holds members")
        else:
            placed.append((member.header_offset, least_end, member.name))
    placed.sort()
    for (_, end, name), (begin, _, following) in pairwise(placed):
        if end > begin:
            yield Hazard("overlap", name, f"shares bytes with {following!r}")
