"""The lock of a release: a version of the archive as rows of `release_files`, and those rows as typed objects.

Belongs here: the table of a release's files, and whether their names are safe. Does not belong here: what a size,
digest or access state is (`published`), what a file is about (`recognition`), fetching it (`acquire`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from cm4ai_assets.archives.dataverse.locked_file import (
    LockedFile,
    access_state,
    digest_problem,
    fetched_size,
    is_ingested,
    published_digest,
)
from cm4ai_assets.archives.dataverse.recognition import recognise
from cm4ai_assets.storage.names import FileName, file_names
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.transfer.errors import ProtocolError
from cm4ai_assets.vocabulary import Modality, Role

if TYPE_CHECKING:
    from cm4ai_assets.archives.dataverse.model import File, Version


def locked_files(frame: pl.DataFrame) -> list[LockedFile]:
    """The rows of a lock as objects, in order."""
    return [LockedFile.from_row(row) for row in frame.iter_rows(named=True)]


def image_zips(lock: pl.DataFrame, condition: str | None) -> list[LockedFile]:
    """The IF ZIPs of a condition in a lock; which to take of several is not decided here."""
    return locked_files(
        lock.filter(modality=Modality.IF.value, role=Role.IMAGES.value).filter(pl.col("file_condition") == condition)
    )


def lock_frame(version: Version, *, release: str, today: date | None = None) -> pl.DataFrame:
    """A version as a frame of `release_files`, sorted by path.

    Args:
        version: With its files, as `DataverseClient.version` gives it.
        release: The release key.
        today: The day embargoes are compared with; by default the archive's own when it answered.

    Raises:
        ProtocolError: The version lacks what a lock needs.
    """
    if version.number is None or version.doi is None or version.files is None:
        raise ProtocolError("A version without number, persistent id or files cannot be locked.")
    day = today or version.seen_on or datetime.now(UTC).date()
    names = file_names([(file.directory_label, _label(file, version)) for file in version.files])
    rows = [_row(file, name, version, day) for file, name in zip(version.files, names, strict=True)]
    rows.sort(key=lambda row: (str(row["directory"]), str(row["label"])))
    return RELEASE_FILES.validated(RELEASE_FILES.from_rows(rows, release=release))


def _label(file: File, version: Version) -> str:
    label = file.label or file.data_file.filename
    if not label or file.data_file.id is None:
        raise ProtocolError(f"Version {version.number} of {version.doi} lists a file without a name or an id.")
    return label


def _row(file: File, name: FileName, version: Version, day: date) -> dict[str, object]:
    data = file.data_file
    digest_type, digest = published_digest(data)
    known = recognise(name.directory, name.label)
    return {
        "doi": version.doi,
        "version": version.number,
        "directory": name.directory,
        "label": name.label,
        "name_problem": name.problem,
        "file_id": data.id,
        "size": fetched_size(data),
        "digest_type": digest_type,
        "digest": digest,
        "digest_problem": digest_problem(data),
        "content_type": data.content_type,
        "is_ingested": is_ingested(data),
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
