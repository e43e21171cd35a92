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


def as_sentence(text: str) -> str:
    """A text with a period at its end where it has none, as what an archive or a library says often has.

    >>> as_sentence("The archive answered with an error: no message"), as_sentence("It is full.")
    ('The archive answered with an error: no message.', 'It is full.')
    """
    return text if not text or text.rstrip("\"'`)»”").endswith((".", "!", "?", "…", ":")) else f"{text}."


class Cm4aiError(Exception):
    """A failure that a person reads in one line: what happened, and what to do.

    Args:
        message: What happened, naming the file, row or URL. It is a sentence, since others follow it (`as_sentence`).
        remedy: What the reader can do about it.

    Attributes:
        runbook: The section of the runbook about errors of this type (`runbook.section`); empty where the message says
            all that there is to say, as of a name that nothing has.
    """

    runbook: str = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = as_sentence(message)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class ConfigurationError(Cm4aiError):
    """A setting is missing, malformed or contradicts another one."""

    runbook = "settings"


class WrongStorageError(ConfigurationError):
    """The storage is not the one of this instance, or holds releases of another archive."""

    runbook = "wrong-storage"


class UnknownTreatmentError(Cm4aiError):
    """A treatment label that no rule maps to a condition. Reported, never guessed."""


class ReleaseKeyError(Cm4aiError):
    """A release key is malformed, unknown, or would name two different datasets."""


class ReleaseRecordError(ReleaseKeyError):
    """A file among the release records that is none: damaged, stray, or the record of another key."""

    runbook = "release-record"


class UnknownReleaseError(ReleaseKeyError):
    """A release was asked for that is not among those that are known."""


class SelectionError(Cm4aiError):
    """Something was asked for by a name that nothing has: a gene, plate or split; a table, a row, a published file."""


class DatabaseError(Cm4aiError):
    """The database that several machines share does not answer, or refuses."""

    runbook = "database-away"


class RunError(Cm4aiError):
    """A run cannot start, or did not end within the time that it is waited for."""

    runbook = "run-waits"


class InstanceHeldError(RunError):
    """Another process holds the instance, or one of its databases, for longer than one waits."""

    runbook = "database-locked"


class ClusterError(Cm4aiError):
    """The Dask cluster that work goes to does not answer, went away, or gave a task up."""

    runbook = "machines-away"


class NotMaterializedError(Cm4aiError):
    """Something was asked for that has not been made yet."""

    runbook = "not-made"


class ArchiveDamagedError(Cm4aiError):
    """A ZIP that cannot be trusted as a whole: truncated, hostile, or not a ZIP."""

    runbook = "zip-refused"


class StoredBytesDamagedError(Cm4aiError):
    """Stored bytes that are no longer what was published. Not a fault of the archive: they were altered here.

    It is no `ArchiveDamagedError` and no finding: nothing may be made of such bytes, so it ends the step.

    Args:
        message: See `Cm4aiError`.
        remedy: See `Cm4aiError`.
        sha256: The digest that the bytes should have.
    """

    runbook = "stored-bytes-damaged"

    def __init__(self, message: str, *, remedy: str = "", sha256: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.sha256 = sha256


class NotDamagedError(Cm4aiError):
    """Something that was to be withdrawn for its damage has none."""

    runbook = "stored-bytes-damaged"


class SchemaViolationError(Cm4aiError):
    """A table that does not have the columns, types, keys or values its schema declares."""

    runbook = "blocking-check"


class DocumentError(Cm4aiError):
    """A document that is missing a part, was altered, or has a file that must not become a path."""

    runbook = "stored-bytes-damaged"


class TensorStoreError(Cm4aiError):
    """A tensor store that is missing, incomplete or disagrees with its table."""

    runbook = "stored-bytes-damaged"


class StorageUnavailableError(Cm4aiError, OSError):
    """The server of the storage cannot be reached, or answered for too long that it cannot now."""

    runbook = "storage-away"


class ArchiveError(Cm4aiError):
    """A failure of an archive, of the way to it, or of what it sent.

    `retryable` says whether the same request may succeed later without anybody doing anything.
    """

    runbook = "archive-away"

    retryable: ClassVar[bool] = False


class SizeMismatchError(ArchiveError):
    """The file has another size than the lock says."""

    runbook = "wrong-bytes"


class DigestMismatchError(ArchiveError):
    """The bytes do not have the published digest."""

    runbook = "wrong-bytes"


class NoSpaceError(ArchiveError):
    """The disk is full, or will be. What has arrived is kept."""

    runbook = "disk-full"


class ScratchError(ArchiveError):
    """A local folder that cannot be written."""

    runbook = "not-writable"


class UnsafePathError(ArchiveError):
    """A published name that must not become a path: absolute, climbing, reserved, too long, or the twin of another."""

    runbook = "zip-refused"
