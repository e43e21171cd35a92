"""What a release can refer to, and one such reference.

Belongs here: those words. Does not belong here: finding references (`following`, and the package itself).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cm4ai_assets.storage.layout import Partition


class Kind(StrEnum):
    """What is referred to; the word that `cm4ai verify` prints."""

    RECORD = "release record"
    TABLE = "table"
    DOCUMENT = "document"
    BLOB = "blob"
    TENSOR = "tensor"
    STATISTICS = "statistics"
    PROFILES = "profiles"
    NUCLEI = "nuclei"
    LEVEL = "smaller images"
    ENVIRONMENT = "environment"
    SOFTWARE = "software"


OF_RUNS = frozenset({Kind.TABLE, Kind.DOCUMENT, Kind.TENSOR, Kind.NUCLEI, Kind.PROFILES})
"""What runs make and records of runs are about (`storage.makings`)."""


@dataclass(frozen=True)
class Reference:
    """One stored thing that a release refers to.

    Attributes:
        kind: What it is.
        path: Where it stands, relative to the storage root: a file, or the folder of a tensor or document.
        name: Its table, document, published label or tensor id.
        partition: That of the table or document; of another thing, the partition whose table refers to it.
    """

    kind: Kind
    path: str
    name: str
    partition: Partition
