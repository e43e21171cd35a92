"""Which MassIVE deposits the metadata of a release names, and which of their files by address.

Belongs here: looking through crates, loose or in a ZIP, also for the licence that they state. Does not belong here:
what the deposits hold (`archives.massive.client`), and everything else that crates say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cm4ai_assets.crates.frame import UNREADABLE, frame_of
from cm4ai_assets.identifiers import MASSIVE
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MemberUnreadableError, read_directory, read_member, require_safe

_ADDRESS = re.compile(rb"ftp://[^\s\"'<>\\]+/%s/[^\s\"'<>\\]+" % MASSIVE.pattern.encode())
_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class Named:
    """Accessions and FTP addresses of files, each once, sorted; and which licences are stated of an accession."""

    accessions: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    licences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def named_in(texts: Iterable[bytes]) -> Named:
    """What texts name.

    >>> named_in([b'{"contentUrl": "ftp://massive-ftp.ucsd.edu/v10/MSV000098237/search/a.tsv"}']).accessions
    ('MSV000098237',)
    """
    accessions: set[str] = set()
    addresses: set[str] = set()
    licences: dict[str, set[str]] = {}
    for text in texts:
        accessions.update(MASSIVE.found_in(text))
        addresses.update(address.decode("utf-8", "replace") for address in _ADDRESS.findall(text))
        for accession, licence in _licences(text):
            licences.setdefault(accession, set()).add(licence)
    stated = {accession: tuple(sorted(of_one)) for accession, of_one in licences.items()}
    return Named(tuple(sorted(accessions)), tuple(sorted(addresses)), stated)


def _licences(text: bytes) -> Iterator[tuple[str, str]]:
    """Accessions with the licence of the entity that names them: the crate of a release has one for each deposit.

    An accession that no entity with a licence names has that of the crate, if the crate states one only.
    """
    stated = [(raw, licence) for raw in _entities(text) if (licence := _licence_of(raw))]
    direct = {(name, licence) for raw, licence in stated for name in MASSIVE.found_in(raw)}
    yield from direct
    if len(every := {licence for _, licence in stated}) == 1:
        (only,) = every
        yield from ((name, only) for name in set(MASSIVE.found_in(text)) - {name for name, _ in direct})


def _entities(text: bytes) -> list[bytes]:
    """The entities of a crate, each as its JSON; none of what is no crate."""
    try:
        return [bytes(raw) for _, raw in frame_of(text).elements]
    except UNREADABLE:
        return []


def _licence_of(entity: bytes) -> str | None:
    try:
        stated = json.loads(entity)
    except (ValueError, RecursionError):
        return None
    licence = stated.get("license") if isinstance(stated, dict) else None
    return licence if isinstance(licence, str) else None


def metadata_of(source: ByteSource) -> list[bytes]:
    """The crates in a ZIP: its JSON members. One that cannot be read is passed over; nothing else depends on it here.

    Raises:
        ArchiveDamagedError: It is no ZIP, or not safe.
    """
    texts = []
    for member in require_safe(read_directory(source)).members:
        if member.name.lower().endswith(".json") and member.size <= _LIMIT:
            try:
                texts.append(read_member(source, member))
            except MemberUnreadableError:
                continue
    return texts
