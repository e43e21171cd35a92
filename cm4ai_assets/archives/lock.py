"""The lock of a release: a version of the archive as rows of `release_files`, and those rows as typed objects.

Belongs here: what a published file's size, digest and access are, and whether its name is safe. Does not belong here:
what it is about (`recognition`), fetching it (`acquire`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, Self, cast

import polars as pl

from cm4ai_assets.archives.errors import ProtocolError
from cm4ai_assets.archives.model import DataFile, File, Version
from cm4ai_assets.archives.paths import refuse_collisions, safe_path
from cm4ai_assets.archives.recognition import recognise
from cm4ai_assets.tables.release import RELEASE_FILES

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


def locked_files(frame: pl.DataFrame) -> list[LockedFile]:
    """The rows of a lock as objects, in order."""
    return [LockedFile.from_row(row) for row in frame.iter_rows(named=True)]


def lock_frame(version: Version, *, release: str, today: date | None = None) -> pl.DataFrame:
    """A version as a frame of `release_files`, sorted by path.

    Args:
        version: With its files, as `DataverseClient.version` gives it.
        release: The release key.
        today: The day embargoes are compared with; by default the archive's own when it answered.

    Raises:
        UnsafePathError: A published name must not become a path.
        ProtocolError: The version lacks what a lock needs.
    """
    if version.number is None or version.doi is None or version.files is None:
        raise ProtocolError("A version without number, persistent id or files cannot be locked.")
    day = today or version.seen_on or datetime.now(UTC).date()
    rows = [_row(file, version, day) for file in version.files]
    refuse_collisions(f"{row['directory']}/{row['label']}".lstrip("/") for row in rows)
    rows.sort(key=lambda row: (str(row["directory"]), str(row["label"])))
    return RELEASE_FILES.validated(RELEASE_FILES.from_rows(rows, release=release))


def _row(file: File, version: Version, day: date) -> dict[str, object]:
    data = file.data_file
    label = file.label or data.filename
    if not label or data.id is None:
        raise ProtocolError(f"Version {version.number} of {version.doi} lists a file without a name or an id.")
    path = safe_path(file.directory_label, label)
    directory, _, label = path.rpartition("/")
    digest_type, digest = published_digest(data)
    known = recognise(directory, label)
    return {
        "doi": version.doi,
        "version": version.number,
        "directory": directory,
        "label": label,
        "file_id": data.id,
        "size": fetched_size(data),
        "digest_type": digest_type,
        "digest": digest,
        "content_type": data.content_type,
        "is_ingested": _is_ingested(data),
        "access": access_state(file, day),
        "available_on": data.embargo.date_available if data.embargo else None,
        "unavailable_from": data.retention.date_unavailable if data.retention else None,
        "modality": known.modality,
        "cell_line": known.cell_line,
        "file_condition": known.condition,
        "role": known.role,
        "recognised_by": known.rule,
        "unrecognised_reason": known.reason,
        "description": file.description or data.description,
        "license": version.license_text,
    }


def _is_ingested(data: DataFile) -> bool:
    """Whether the archive made a tabular derivative.

    Then the digest is of the original and the size of the derivative, and what is sent has a header line more than that
    (protocol reference, 0); so the original is what can be fetched and verified.
    """
    return bool(data.tabular_data) or data.original_file_size is not None


def fetched_size(data: DataFile) -> int | None:
    """Size of the bytes that are fetched; None where it is not stated."""
    return data.original_file_size if _is_ingested(data) else data.filesize


def published_digest(data: DataFile) -> tuple[str | None, str | None]:
    """Algorithm and digest as published, lower-case; (None, None) where none is, or none that can be computed.

    Raises:
        ProtocolError: A digest is published that is none.
    """
    kind, value = (data.checksum.type, data.checksum.value) if data.checksum else (None, None)
    if not (kind and value):
        kind, value = ("MD5", data.md5) if data.md5 else (None, None)
    if kind is None or value is None or kind.upper() not in _DIGEST_TYPES:
        return None, None
    name, digits = _DIGEST_TYPES[kind.upper()]
    digest = value.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest):
        raise ProtocolError(f"File {data.id} is published with {kind} {value!r}, which is not such a digest.")
    return name, digest


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
