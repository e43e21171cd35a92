"""Which MassIVE deposits the metadata of a release names, and which of their files by address.

Belongs here: looking through crates, loose or in a ZIP. Does not belong here: what the deposits hold
(`archives.massive.client`), and everything else that crates say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cm4ai_assets.identifiers import MASSIVE
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import MemberUnreadableError, read_directory, read_member, require_safe

_ADDRESS = re.compile(rb"ftp://[^\s\"'<>\\]+/%s/[^\s\"'<>\\]+" % MASSIVE.pattern.encode())
_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class Named:
    """Accessions and FTP addresses of files, each once, sorted."""

    accessions: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def named_in(texts: Iterable[bytes]) -> Named:
    """What texts name.

    >>> named_in([b'{"contentUrl": "ftp://massive-ftp.ucsd.edu/v10/MSV000098237/search/a.tsv"}']).accessions
    ('MSV000098237',)
    """
    accessions: set[str] = set()
    addresses: set[str] = set()
    for text in texts:
        accessions.update(MASSIVE.found_in(text))
        addresses.update(address.decode("utf-8", "replace") for address in _ADDRESS.findall(text))
    return Named(tuple(sorted(accessions)), tuple(sorted(addresses)))


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
