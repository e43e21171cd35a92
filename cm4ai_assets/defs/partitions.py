"""The two dimensions as Dagster partitions, and the way between partition keys and the store's partitions.

Belongs here: partitions definitions; each is one object, used everywhere. Does not belong here: what the keys mean
(`releases`, `conditions`).
"""

from __future__ import annotations

import dagster as dg

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.storage.layout import Partition

RELEASE = "release"
CONDITION = "condition"

releases = dg.DynamicPartitionsDefinition(name=RELEASE)
condition_releases = dg.MultiPartitionsDefinition(
    {CONDITION: dg.StaticPartitionsDefinition([str(condition) for condition in CONDITIONS]), RELEASE: releases}
)


def partition_of(key: str) -> Partition:
    """The store's partition that a Dagster partition key means: `2025-06-v2.1` or `paclitaxel|2025-06-v2.1`."""
    condition, bar, release = key.rpartition("|")  # Dagster sorts the dimensions of a key by name
    return Partition(release, condition) if bar else Partition(key)


def partition_key(partition: Partition) -> str:
    """The Dagster partition key of a store's partition."""
    return str(partition)
