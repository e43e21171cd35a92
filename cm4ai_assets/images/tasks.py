"""What workers of a Dask cluster do beside the work of fields itself: the shard that the fields' chunks make.

Belongs here: functions that run on workers, and their arguments. Does not belong here: who asks for them (`cluster`),
and what holds for tasks of every kind (`cluster.workers`); nothing here knows Dask.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cm4ai_assets.cluster.workers import store
from cm4ai_assets.storage.file_digests import FileDigest
from cm4ai_assets.storage.placing import place_bytes
from cm4ai_assets.storage.sharding import shard_bytes


class Place(NamedTuple):
    """Where the chunks of a result are: the number of its task, and its place among the task's results."""

    task: int
    item: int


@dataclass(frozen=True)
class ShardPlan:
    """A shard to be written.

    Attributes:
        path: Where, relative to the storage root.
        chunks_per_field: Inner chunks of a field.
        rows: For each field the places of its chunks; the tasks are numbered as `write` gets their results.
    """

    path: str
    chunks_per_field: int
    rows: tuple[tuple[Place, ...], ...]


def without_chunks(results: Sequence[Any]) -> list[Any]:
    """The same results but their chunks: what the asking process gets."""
    return [replace(one, chunks=()) if hasattr(one, "chunks") else one for one in results]


def write(plan: ShardPlan, *results: Sequence[Any]) -> FileDigest:
    """Write a shard into the storage, whole or not at all; its digest. Done twice, it writes the same."""
    rows = ([chunk for task, item in row for chunk in results[task][item].chunks] for row in plan.rows)
    data = shard_bytes(rows, chunks_per_field=plan.chunks_per_field)
    place_bytes(store().fs, data, store().address(plan.path))
    return FileDigest(hashlib.sha256(data).hexdigest(), len(data))
