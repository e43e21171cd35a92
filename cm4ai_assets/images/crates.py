"""What the ZIP's own RO-Crate claims, held against the ZIP.

Belongs here: the crate inside an image ZIP, read lightly and tolerantly: the root's digest and size, and the images
that are listed. Does not belong here: the crates of a release as entities and edges, which are tables of their own.

A crate inside a ZIP cannot know that ZIP's digest. The published ones carry the digest and size of an earlier build
(data reference, section 1.8), so what they state is reported, never believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cm4ai_assets.crates.reader import CrateFile, read_crate
from cm4ai_assets.identifiers import is_size
from cm4ai_assets.images.listing import CRATE, file_name, image_members, metadata_member
from cm4ai_assets.images.names import parse_image_name
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MIB, MemberUnreadableError, ZipDirectory, read_member

# Five times the release crate of 2026, which describes three archives.
_CRATE_LIMIT = 64 * MIB
_IMAGE_FILE = re.compile(r"[^/]+\.(?:jpe?g|png|tiff?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CrateDeviation:
    """A claim of the crate that does not hold: what about, what it states, and what is so."""

    claim: str
    stated: str
    actual: str


def crate_deviations(source: ByteSource, directory: ZipDirectory, *, md5: str | None) -> list[CrateDeviation]:
    """Every claim of the ZIP's crate that does not hold; that there is no readable crate is one such claim.

    Args:
        source: The ZIP.
        directory: Its central directory.
        md5: The ZIP's published MD5, if there is one to compare with.
    """
    member = metadata_member(directory, CRATE)
    if member is None:
        return [CrateDeviation("crate", "", f"the ZIP has no {CRATE}")]
    if member.size > _CRATE_LIMIT:
        return [CrateDeviation("crate", member.name, f"{member.size} bytes, too large to be read")]
    try:
        root, entities = _parts(read_member(source, member), member.name)
    except (MemberUnreadableError, ValueError, RecursionError) as error:
        return [CrateDeviation("crate", member.name, f"cannot be read: {error}")]
    return [*_root_deviations(root, size=source.size, md5=md5), *_image_deviations(entities, directory)]


def _root_deviations(root: dict[str, Any], *, size: int, md5: str | None) -> Iterator[CrateDeviation]:
    stated_md5 = root.get("md5") or root.get("MD5")
    if md5 is not None and isinstance(stated_md5, str) and stated_md5.lower() != md5.lower():
        yield CrateDeviation("md5", stated_md5, md5)
    stated_size = root.get("contentSize")
    if stated_size is not None and not is_size(str(stated_size), size):
        yield CrateDeviation("contentSize", str(stated_size), f"{size} bytes")


def _image_deviations(entities: list[dict[str, Any]], directory: ZipDirectory) -> Iterator[CrateDeviation]:
    listed = {name for entity in entities for name in _image_names(entity)}
    present = {file_name(member) for member in image_members(directory)}
    if len(listed) != len(present):
        yield CrateDeviation("images", f"{len(listed)} listed", f"{len(present)} in the ZIP")
    yield from (CrateDeviation("image", name, "not in the ZIP") for name in sorted(listed - present))
    yield from (CrateDeviation("image", "not listed", name) for name in sorted(present - listed))


def _image_names(entity: dict[str, Any]) -> Iterator[str]:
    """File names of the images an entity stands for: from `contentUrl` (file:///blue/X_blue.jpg), else from its id."""
    urls = entity.get("contentUrl")
    named = [url.rsplit("/", 1)[-1] for url in (urls if isinstance(urls, list) else [urls]) if isinstance(url, str)]
    found = [name for name in named if _IMAGE_FILE.fullmatch(name)]
    if not found:
        from_id = f"{str(entity.get('@id', '')).rsplit('/', 1)[-1]}.jpg"
        found = [from_id] if parse_image_name(from_id) is not None else []
    yield from found


def _parts(data: bytes, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The root, empty where the crate does not say, and all entities."""
    crate = read_crate(CrateFile(name, data))
    entities = dict(zip((position for position, _ in crate.elements), crate.objects(), strict=True))
    if not any(entities.values()):
        raise ValueError("; ".join(problem.message for problem in crate.problems) or "it has no @graph")
    root = entities.get(crate.root_position) if crate.root_position is not None else None
    return root or {}, list(entities.values())
