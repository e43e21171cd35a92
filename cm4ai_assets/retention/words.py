"""What could go, by class, and one such thing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class What(StrEnum):
    """Why a thing could go; the word that `cm4ai gc` prints. In the order in which things are removed.

    What refers to others comes before these, so that whatever still stands at any moment has all that it needs.
    """

    DOCUMENT = "unreferenced document"
    TABLE = "unreferenced table"
    CODE_VERSION = "superseded code version"
    TENSOR = "unreferenced tensor"
    BLOB = "unreferenced blob"
    DOCUMENT_VERSION = "superseded document"
    RECORD = "orphaned record"
    LEFTOVER = "leftover"
    QUARANTINE = "old quarantine"
    SCRATCH = "old scratch"

    @property
    def in_scratch(self) -> bool:
        """It stands in CM4AI_SCRATCH, not in the storage."""
        return self in {What.QUARANTINE, What.SCRATCH}


@dataclass(frozen=True)
class Removable:
    """One thing that could go.

    Attributes:
        what: Its class.
        path: Its file or folder, relative to the storage root, or to CM4AI_SCRATCH (`What.in_scratch`).
        size: Its bytes.
        reason: Why it could go, in a phrase.
        written: When the last of its files was written (UTC); None where the storage does not say.
    """

    what: What
    path: str
    size: int
    reason: str
    written: datetime | None
