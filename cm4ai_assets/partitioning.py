"""Which dimensions an asset is partitioned by. Stands alone, so that paths can be built without a table library."""

from __future__ import annotations

from enum import StrEnum


class Partitioning(StrEnum):
    """Which dimensions an asset is partitioned by."""

    RELEASE = "release"
    CONDITION_RELEASE = "condition_release"
    NONE = "none"
