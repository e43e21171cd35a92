"""What a published file is for fetching and verifying it: its size, its digest, its access, its stored bytes.

Belongs here: one file of a release, what the archive's answer says of it, and the one rule for whether it may be asked
for, which the planner and the fetcher share. Does not belong here: tables (`lock`), so that a download needs none of
their libraries; the client (`acquire`), so that who only looks for stored bytes needs none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any, Self, cast

from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.acquire import Item, stored

if TYPE_CHECKING:
    from cm4ai_assets.archives.dataverse.model import DataFile, File

# The archive's spellings, and those of its enumeration, which appear in some calls (protocol reference, 2.5).
_DIGEST_TYPES = {
    "MD5": ("MD5", 32), "SHA-1": ("SHA-1", 40), "SHA1": ("SHA-1", 40), "SHA-256": ("SHA-256", 64),
    "SHA256": ("SHA-256", 64), "SHA-512": ("SHA-512", 128), "SHA512": ("SHA-512", 128),
}  # fmt: skip


@dataclass(frozen=True)
class LockedFile:
    """One row of the lock, as far as fetching and verifying need it."""

    doi: str
    version: str
    directory: str
    label: str
    file_id: int
    size: int | None
    digest_type: str | None
    digest: str | None
    content_type: str | None
    is_ingested: bool
    access: str
    available_on: date | None
    unavailable_from: date | None
    license: str | None

    @classmethod
    def from_row(cls, row: dict[str, object]) -> Self:
        """A file from a row of `release_files`; other columns are left aside."""
        return cls(**{field.name: cast("Any", row[field.name]) for field in fields(cls)})

    @property
    def path(self) -> str:
        """Directory and name."""
        return f"{self.directory}/{self.label}" if self.directory else self.label


def stored_blob(file: LockedFile, blobs: BlobStore) -> Blob | None:
    """The stored bytes of a locked file, whatever release they came with; None if they are not stored."""
    return stored(item_of(file), blobs)


def item_of(file: LockedFile) -> Item:
    """A locked file as any archive's item."""
    # A file id stays on rename and changes on replacement (data reference, 5), so it stands for bytes.
    identity = f"{file.doi} {file.file_id} {file.size}"
    return Item(f"{file.path} (file {file.file_id} of {file.doi})", identity, file.size, file.digest_type, file.digest)


def is_ingested(data: DataFile) -> bool:
    """Whether the archive made a tabular derivative.

    Then the digest is of the original and the size of the derivative, and what is sent has a header line more than that
    (protocol reference, 0); so the original is what can be fetched and verified.
    """
    return bool(data.tabular_data) or data.original_file_size is not None


def fetched_size(data: DataFile) -> int | None:
    """Size of the bytes that are fetched; None where it is not stated."""
    return data.original_file_size if is_ingested(data) else data.filesize


def published_digest(data: DataFile) -> tuple[str | None, str | None]:
    """Algorithm and digest as published, lower-case; (None, None) where none is, or none that can be computed.

    Of an algorithm that is not known, or of the wrong form (`digest_problem`), a digest says nothing; then the other
    one counts, if it is there.
    """
    usable = ((name, digest) for name, digest, is_one in _known_digests(data) if is_one)
    return next(usable, (None, None))


def digest_problem(data: DataFile) -> str | None:
    """Why a digest that is published cannot be one; None if none is published, or all are sound.

    One such file is no reason to do without a release: its bytes are held against its size, and a check says so.
    """
    wrong = (f"{digest!r} is not a digest by {name}." for name, digest, is_one in _known_digests(data) if not is_one)
    return next(wrong, None)


def _known_digests(data: DataFile) -> Iterator[tuple[str, str, bool]]:
    """Published digests of known algorithms, the deprecated field last, and whether each has its algorithm's form."""
    stated = [(data.checksum.type, data.checksum.value)] if data.checksum else []
    for kind, value in [*stated, ("MD5", data.md5)]:
        if kind and value and kind.upper() in _DIGEST_TYPES:
            name, digits = _DIGEST_TYPES[kind.upper()]
            digest = value.strip().lower()
            yield name, digest, re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest) is not None


def access_state(file: File, day: date) -> str:
    """The access state on a day, from what the version says; an embargo without a legible end has not ended.

    A retention period that ended weighs most, since it takes away what anything else grants; then the embargo, which
    has a date; then the restriction.
    """
    embargo, retention = file.data_file.embargo, file.data_file.retention
    if retention is not None and retention.date_unavailable is not None and day >= retention.date_unavailable:
        return "retention_expired"
    if embargo is not None and (embargo.date_available is None or day < embargo.date_available):
        return "embargoed"
    return "restricted" if file.restricted else "public"


def may_be_asked_for(access: str, available_on: date | None, *, today: date, has_token: bool) -> bool:
    """Whether the archive may give out a file today; then the archive decides.

    A public file is accessible to everybody, an embargoed one from the day its embargo ends. With a token, the archive
    may open a restricted or an embargoed file to this person. Nothing else is even asked for.

    Args:
        access: The access state (`tables.release.ACCESS_STATES`).
        available_on: The day its embargo ends; None without one.
        today: The day that is compared with.
        has_token: Whether requests are made as somebody.
    """
    if access == "embargoed":
        return has_token or (available_on is not None and today >= available_on)
    return access == "public" or (access == "restricted" and has_token)


def denial(state: str, until: date | None) -> tuple[str, str]:
    """Why a file in an access state is not accessible, to follow its name, and what can be done."""
    reasons = {
        "restricted": ("is restricted", "Ask the depositor for access and set DATAVERSE_API_TOKEN."),
        "embargoed": (
            f"is embargoed until {until}" if until else "is embargoed without a stated end",
            "It is tried again after that day." if until else "Ask the depositor.",
        ),
        "retention_expired": ("is past its retention period", "The archive no longer gives it out."),
        "blocked": (
            "is public by the archive's listing and refused by its download",
            "The archive may restrict it meanwhile, or turn this client away; ask the archive.",
        ),
        "gone": ("is no longer in this version", "Ask the archive."),
    }
    return reasons.get(state, (f"is not accessible: {state}", "Ask the archive."))
