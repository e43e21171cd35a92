"""Every way in which an IF ZIP can be wrong, to be put into one on purpose.

Belongs here: the kinds of damage, and how each changes the members of a field. Does not belong here: what a reader
should make of it; that is for the tests of the image path.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from cm4ai_assets.heavy import Image, np, simplejpeg
from cm4ai_assets.sandbox.cells import EDGE, QUALITY
from cm4ai_assets.sandbox.zipwriter import ENCRYPTED_FLAG, Packed, pack


class DefectKind(StrEnum):
    """What is wrong. The comment says with how much of the ZIP."""

    # one image file
    CORRUPT_JPEG = "corrupt_jpeg"  # valid CRC, damaged entropy-coded data
    TRUNCATED_JPEG = "truncated_jpeg"
    NOT_JPEG = "not_jpeg"
    EMPTY_MEMBER = "empty_member"
    GREY_JPEG = "grey_jpeg"
    CMYK_JPEG = "cmyk_jpeg"
    OTHER_SIZE = "other_size"
    SIXTEEN_BIT = "sixteen_bit"  # a 16-bit PNG under a .jpg name
    BAD_CRC = "bad_crc"
    DAMAGED_DEFLATE = "damaged_deflate"
    ENCRYPTED = "encrypted"
    BOMB = "bomb"  # honestly declares 1 GiB
    HIDDEN_BOMB = "hidden_bomb"  # declares the size of an image, inflates to 1 GiB
    # one field of view
    MISSING_CHANNEL = "missing_channel"
    UNPARSED_NAME = "unparsed_name"
    UNKNOWN_TREATMENT = "unknown_treatment"
    FOLDER_MISMATCH = "folder_mismatch"
    DUPLICATE_MEMBER = "duplicate_member"
    DUPLICATE_CHANNEL = "duplicate_channel"
    MANIFEST_ONLY = "manifest_only"
    IMAGES_ONLY = "images_only"
    MANIFEST_CONFLICT = "manifest_conflict"
    # the archive
    PATH_TRAVERSAL = "path_traversal"
    ABSOLUTE_PATH = "absolute_path"
    NO_MANIFEST = "no_manifest"
    TRUNCATED_ZIP = "truncated_zip"


@dataclass(frozen=True)
class Defect:
    """One defect: its kind, the field it hits (its number in file-name order), and the channel where that matters."""

    kind: DefectKind
    field: int = 0
    channel: str = "green"


_BOMB_SIZE = 1 << 30
_HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n"
_TREATMENT = re.compile("_(untreated|Paclitaxel|Vorinostat)_")


def damaged(members: list[Packed], jpegs: dict[str, bytes], defect: Defect) -> list[Packed]:
    """The members of a field after the defect; `jpegs` are its images by channel.

    Kinds that concern the manifest or the archive as a whole leave the members alone.
    """
    if defect.kind is DefectKind.MANIFEST_ONLY:
        return []
    effect = _EFFECTS.get(defect.kind)
    if effect is None:
        return members
    hit = next(member for member in members if member.name.endswith(f"_{defect.channel}.jpg"))
    return [*(member for member in members if member is not hit), *effect(hit, jpegs[defect.channel])]


def _renamed(name: Callable[[str], str]) -> Callable[[Packed, bytes], list[Packed]]:
    return lambda hit, _: [replace(hit, name=name(hit.name))]


def _joined_by(name: Callable[[str], str]) -> Callable[[Packed, bytes], list[Packed]]:
    return lambda hit, _: [hit, replace(hit, name=name(hit.name))]


def _repacked(spoil: Callable[[bytes], bytes]) -> Callable[[Packed, bytes], list[Packed]]:
    return lambda hit, jpeg: [pack(hit.name, spoil(jpeg))]


def _elsewhere(name: str, colour: str) -> str:
    top, _, file = name.split("/")
    return f"{top}/{colour}/{file}"


def _wrong_folder(name: str) -> str:
    return _elsewhere(name, "blue" if "/red/" in name else "red")


def _bomb(hit: Packed, size: int) -> list[Packed]:
    """A member that inflates to 1 GiB of zeros: one flushed block, repeated."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = bytes(1 << 20)
    flushed = compressor.compress(block) + compressor.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(_BOMB_SIZE // len(block)):
        crc = zlib.crc32(block, crc)
    return [Packed(hit.name, flushed * (_BOMB_SIZE // len(block)) + compressor.flush(), crc, size)]


def _corrupt(jpeg: bytes) -> bytes:
    """Overwrites a stretch in the middle of the entropy-coded data with markers that cannot stand there."""
    middle = len(jpeg) // 2
    return jpeg[:middle] + b"\xff\xd8\xff\xc4" * 64 + jpeg[middle + 256 :]


def _reencoded(jpeg: bytes, mode: str, edge: int = EDGE) -> bytes:
    with Image.open(io.BytesIO(jpeg)) as image:
        out = io.BytesIO()
        image.resize((edge, edge)).convert(mode).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _sixteen_bit(jpeg: bytes) -> bytes:
    grey = simplejpeg.decode_jpeg(jpeg, "GRAY")[..., 0].astype(np.uint16) * 257
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


# What becomes of the one member that a defect hits.
_EFFECTS: dict[DefectKind, Callable[[Packed, bytes], list[Packed]]] = {
    DefectKind.CORRUPT_JPEG: _repacked(_corrupt),
    DefectKind.TRUNCATED_JPEG: _repacked(lambda jpeg: jpeg[: len(jpeg) // 3]),
    DefectKind.NOT_JPEG: _repacked(lambda _: _HTML),
    DefectKind.EMPTY_MEMBER: _repacked(lambda _: b""),
    DefectKind.GREY_JPEG: _repacked(lambda jpeg: _reencoded(jpeg, "L")),
    DefectKind.CMYK_JPEG: _repacked(lambda jpeg: _reencoded(jpeg, "CMYK")),
    DefectKind.OTHER_SIZE: _repacked(lambda jpeg: _reencoded(jpeg, "RGB", EDGE // 2)),
    DefectKind.SIXTEEN_BIT: _repacked(_sixteen_bit),
    DefectKind.BAD_CRC: lambda hit, _: [replace(hit, crc=hit.crc ^ 0xFFFF)],
    DefectKind.DAMAGED_DEFLATE: lambda hit, _: [replace(hit, data=hit.data[:64] + bytes(64) + hit.data[128:])],
    DefectKind.ENCRYPTED: lambda hit, _: [replace(hit, flags=hit.flags | ENCRYPTED_FLAG)],
    DefectKind.BOMB: lambda hit, _: _bomb(hit, _BOMB_SIZE),
    DefectKind.HIDDEN_BOMB: lambda hit, _: _bomb(hit, hit.size),
    DefectKind.MISSING_CHANNEL: lambda *_: [],
    DefectKind.UNPARSED_NAME: _renamed(lambda name: name.replace(".jpg", " (copy).jpg")),
    DefectKind.UNKNOWN_TREATMENT: _renamed(lambda name: _TREATMENT.sub("_Docetaxel_", name)),
    DefectKind.FOLDER_MISMATCH: _renamed(_wrong_folder),
    DefectKind.DUPLICATE_MEMBER: _joined_by(lambda name: name),
    DefectKind.DUPLICATE_CHANNEL: _joined_by(lambda name: _elsewhere(name, "extra")),
    DefectKind.PATH_TRAVERSAL: _joined_by(lambda _: "../../outside.jpg"),
    DefectKind.ABSOLUTE_PATH: _joined_by(lambda _: "/outside/outside.jpg"),
}
