"""The errors of this project, each with the remedy a person can act on.

Belongs here: exception types that more than one package raises or catches. Does not belong here: data defects; those
are flags in tables (one bad image is a flagged row, never an exception that sinks the rest).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


def nearest(word: str, names: Iterable[str], *, heading: str = "Known", listed: int = 12) -> str:
    """What to offer a reader who typed a name that is not known: the names nearest to it, or all where they are few.

    >>> nearest("TP35", ["TP53", "EGFR"])
    'Did you mean TP53?'
    """
    spelled = {name.casefold(): name for name in sorted(names)}
    close = difflib.get_close_matches(word.casefold(), list(spelled), n=5)
    if close:
        return f"Did you mean {' or '.join(spelled[name] for name in close)}?"
    if len(spelled) > listed:
        return f"None of the {len(spelled):,} known names is like it."
    return f"{heading}: {', '.join(spelled.values()) or 'none'}."


class Cm4aiError(Exception):
    """A failure that a person reads in one line: what happened, and what to do.

    Args:
        message: What happened, naming the file, row or URL.
        remedy: What the reader can do about it.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class ConfigurationError(Cm4aiError):
    """A setting is missing, malformed or contradicts another one."""


class UnknownTreatmentError(Cm4aiError):
    """A treatment label that no rule maps to a condition. Reported, never guessed."""


class ReleaseKeyError(Cm4aiError):
    """A release key is malformed, unknown, or would name two different datasets."""


class UnknownReleaseError(ReleaseKeyError):
    """A release was asked for that is not among those that are known."""


class SelectionError(Cm4aiError):
    """Something was asked for by a name that nothing has: a gene, plate or split; a table, a row, a published file."""


class DatabaseError(Cm4aiError):
    """The database that several machines share does not answer, or refuses."""


class RunError(Cm4aiError):
    """A run cannot start, or did not end within the time that it is waited for."""


class ClusterError(Cm4aiError):
    """The cluster that image work goes to does not answer, went away, or gave a task up."""


class NotMaterializedError(Cm4aiError):
    """Something was asked for that has not been made yet."""


class ArchiveDamagedError(Cm4aiError):
    """A ZIP that cannot be trusted as a whole: truncated, hostile, or not a ZIP."""


class StoredBytesDamagedError(Cm4aiError):
    """Stored bytes that are no longer what was published. Not a fault of the archive: they were altered here.

    It is no `ArchiveDamagedError` and no finding: nothing may be made of such bytes, so it ends the step.

    Args:
        message: See `Cm4aiError`.
        remedy: See `Cm4aiError`.
        sha256: The digest that the bytes should have.
    """

    def __init__(self, message: str, *, remedy: str = "", sha256: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.sha256 = sha256


class NotDamagedError(Cm4aiError):
    """Something that was to be withdrawn for its damage has none."""


class SchemaViolationError(Cm4aiError):
    """A table that does not have the columns, types, keys or values its schema declares."""


class DocumentError(Cm4aiError):
    """A document that is missing a part, was altered, or has a file that must not become a path."""


class TensorStoreError(Cm4aiError):
    """A tensor store that is missing, incomplete or disagrees with its table."""


class StorageUnavailableError(Cm4aiError, OSError):
    """The server of the storage cannot be reached, or answered for too long that it cannot now."""


class ArchiveError(Cm4aiError):
    """A failure of an archive, of the way to it, or of what it sent.

    `retryable` says whether the same request may succeed later without anybody doing anything.
    """

    retryable: ClassVar[bool] = False


class SizeMismatchError(ArchiveError):
    """The file has another size than the lock says."""


class DigestMismatchError(ArchiveError):
    """The bytes do not have the published digest."""


class NoSpaceError(ArchiveError):
    """The disk is full, or will be. What has arrived is kept."""


class ScratchError(ArchiveError):
    """A local folder that cannot be written."""


class UnsafePathError(ArchiveError):
    """A published name that must not become a path: absolute, climbing, reserved, too long, or the twin of another."""
