"""The files of an image ZIP: one row per image, and what else lies in it, from the central directory alone.

Belongs here: which members are images, what is wrong with them by their names, sizes and folders, and where the ZIP's
own metadata stand. Does not belong here: the grammar of names (`images.names`), the ZIP format (`storage.zips`), and
anything that takes a member's bytes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

from cm4ai_assets.images.names import ImageName, parse_image_name
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.zips import MIB, ZipDirectory, read_directory, require_safe
from cm4ai_assets.tables.images import CHANNELS, IF_IMAGES

MANIFEST = "manifest.csv"
CRATE = "ro-crate-metadata.json"
_METADATA = (MANIFEST, CRATE, "ro-crate-preview.html")
# Published ZIPs have one folder above everything (data reference, section 1.1); metadata stand in it, or beside it.
_METADATA_DEPTH = 2

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_JUNK_FOLDERS = ("__MACOSX",)
_JUNK_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
# The raw pixels of a 2048 x 2048 RGBA image. The largest image published has 758 KB (data reference, section 1.4).
_LARGEST_IMAGE = 16 * MIB


@dataclass(frozen=True, slots=True)
class UnexpectedMember:
    """A member that is neither an image nor known metadata, and why it is not expected."""

    member: Member
    reason: str


def list_images(source: ByteSource, *, release: str, condition: str) -> pl.DataFrame:
    """The `if_images` table of a ZIP.

    Raises:
        ArchiveDamagedError: The ZIP has no readable central directory, or is not safe.
    """
    directory = require_safe(read_directory(source))
    return IF_IMAGES.from_rows(image_rows(directory, condition=condition), release=release, condition=condition)


def image_rows(directory: ZipDirectory, *, condition: str) -> list[dict[str, object]]:
    """One row per image file, in the order of the central directory, with what is wrong with it."""
    members = image_members(directory)
    read = [parse_image_name(file_name(member)) for member in members]
    claims = [_claim(name) for name in read]
    names, claimed = Counter(member.name for member in members), Counter(claims)
    del claimed[None]
    return [
        _row(member, name)
        | {
            "defects": _defects(
                member,
                name,
                condition=condition,
                is_duplicate=names[member.name] > 1,
                is_contested=claimed[claim] > 1,
            )
        }
        for member, name, claim in zip(members, read, claims, strict=True)
    ]


def image_members(directory: ZipDirectory) -> list[Member]:
    """Members that are images by their extension, or lie where images lie."""
    return [member for member in directory.members if _is_image(member.name)]


def unexpected_members(directory: ZipDirectory) -> list[UnexpectedMember]:
    """Members that are neither images nor the ZIP's own metadata; folders are not counted."""
    known = {member.index for name in _METADATA if (member := metadata_member(directory, name)) is not None}
    return [
        UnexpectedMember(member, _reason(member.name))
        for member in directory.members
        if not (member.is_directory or member.index in known or _is_image(member.name))
    ]


def metadata_member(directory: ZipDirectory, name: str) -> Member | None:
    """The ZIP's own file of that name, at its top or in its top folder; the uppermost, then the first, of several."""
    found = [
        member
        for member in directory.members
        if file_name(member) == name and member.name.count("/") < _METADATA_DEPTH and not _is_junk(member.name)
    ]
    return min(found, key=lambda member: member.name.count("/"), default=None)


def file_name(member: Member) -> str:
    """The member's name without its folders."""
    return _file_name(member.name)


def _row(member: Member, name: ImageName | None) -> dict[str, object]:
    row: dict[str, object] = {
        "member_index": member.index,
        "member": member.name,
        "kind": "unknown" if name is None else name.kind,
        "compressed_size": member.compressed_size,
        "size": member.size,
        "compressed_ratio": member.compressed_size / member.size if member.size else None,
        "crc32": member.crc32,
        "header_offset": member.header_offset,
    }
    if name is not None:
        row |= {
            "field_id": name.field_id,
            "channel": name.channel,
            "plate": name.plate,
            "treatment_label": name.treatment_label,
            "image_condition": None if name.condition is None else name.condition.value,
            "well": name.well,
            "region": name.region,
            "z": name.z,
        }
    return row


def _defects(
    member: Member, name: ImageName | None, *, condition: str, is_duplicate: bool, is_contested: bool
) -> list[str]:
    flags = {
        "name_unparsed": name is None,
        "unknown_treatment": name is not None and name.condition is None,
        "other_condition": name is not None and name.condition not in (None, condition),
        "folder_mismatch": name is not None
        and name.channel is not None
        and not _folder_channels(member.name) <= {name.channel},
        "duplicate_member": is_duplicate,
        "duplicate_channel": is_contested,
        "suspicious_size": not 0 < member.size <= _LARGEST_IMAGE,
    }
    return [flag for flag, holds in flags.items() if holds]


def _claim(name: ImageName | None) -> tuple[str, str] | None:
    """What only one file may claim to be: a channel of a field. Composites and unknown fields claim nothing."""
    if name is None or name.channel is None:
        return None
    field_id = name.field_id
    return None if field_id is None else (field_id, name.channel)


def _is_image(path: str) -> bool:
    if path.endswith("/") or _is_junk(path):
        return False
    return bool(_folder_channels(path)) or path.lower().endswith(_IMAGE_SUFFIXES)


def _is_junk(path: str) -> bool:
    name = _file_name(path)
    return name in _JUNK_FILES or name.startswith("._") or any(part in _JUNK_FOLDERS for part in path.split("/")[:-1])


def _reason(path: str) -> str:
    if _is_junk(path):
        return "left by an operating system"
    if _file_name(path) in _METADATA:
        return f"another {_file_name(path)}"
    return "neither an image nor known metadata"


def _file_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _folder_channels(path: str) -> set[str]:
    """The channels that folders above a file name, in any case and at any depth: `paclitaxel/Red/plate 1/X.jpg`."""
    return {part.lower() for part in path.split("/")[:-1]} & set(CHANNELS)
