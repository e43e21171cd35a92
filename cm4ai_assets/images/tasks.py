"""What workers of a Dask cluster do: the work of some fields, and the shard that their chunks make.

Belongs here: functions that run on workers, their arguments, and what a worker keeps open between tasks. Does not
belong here: who asks for them (`cluster`); nothing here knows Dask.

A worker finds the storage by its own settings (CM4AI_STORAGE and the credentials of its own environment). It works only
for those who have the same storage and the same software: two versions of a decoder must not share one tensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from cm4ai_assets import software
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import cv2
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.file_digests import FileDigest
from cm4ai_assets.storage.identity import storage_id
from cm4ai_assets.storage.placing import place_bytes
from cm4ai_assets.storage.sharding import shard_bytes
from cm4ai_assets.storage.store import Store


class Recipe(Hashable, Protocol):
    """What a pass does to each of its calls, as a value that can be sent and compared."""

    def open(self, store: Store) -> Callable[..., Any]:
        """The work itself, over published bytes of that storage; safe from many threads. Its results have `chunks`."""
        ...


@dataclass(frozen=True)
class Terms:
    """What two processes must agree on before they share a pass: `software.parts()`, and the id of the storage."""

    software: tuple[tuple[str, str], ...]
    storage: str | None

    def differences(self, other: Terms) -> str:
        """What another process has that this one has not, in a phrase; empty if they agree."""
        here, there = dict(self.software), dict(other.software)
        found = [f"{name} {there.get(name)} instead of {here[name]}" for name in here if there.get(name) != here[name]]
        if self.storage != other.storage:
            found.append("another storage" if other.storage else "a storage without an id")
        return ", ".join(found)


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


def this_worker() -> Terms:
    """The terms of this process."""
    return Terms(tuple(software.parts().items()), storage_id(_store()))


def make(terms: Terms, recipe: Recipe, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The results of some calls. They stay on this worker.

    Raises:
        ConfigurationError: This worker has other terms.
    """
    _agree(terms)
    work = _work(recipe)
    return [work(*call) for call in calls]


def without_chunks(results: Sequence[Any]) -> list[Any]:
    """The same results but their chunks: what the asking process gets."""
    return [replace(one, chunks=()) if hasattr(one, "chunks") else one for one in results]


def write(plan: ShardPlan, *results: Sequence[Any]) -> FileDigest:
    """Write a shard into the storage, whole or not at all; its digest. Done twice, it writes the same."""
    rows = ([chunk for task, item in row for chunk in results[task][item].chunks] for row in plan.rows)
    data, store = shard_bytes(rows, chunks_per_field=plan.chunks_per_field), _store()
    place_bytes(store.fs, data, store.address(plan.path))
    return FileDigest(hashlib.sha256(data).hexdigest(), len(data))


@lru_cache(maxsize=1)
def _store() -> Store:
    cv2.setNumThreads(1)  # threads of OpenCV's own would stand in the way of the worker's
    return Store.from_settings(Settings.from_env())


@lru_cache(maxsize=2)  # each thread has large buffers of its own in each
def _work(recipe: Recipe) -> Callable[..., Any]:
    return recipe.open(_store())


@lru_cache(maxsize=4)
def _agree(terms: Terms) -> None:
    if found := terms.differences(this_worker()):
        raise ConfigurationError(
            f"A worker of the cluster has {found}.",
            remedy="Give all workers and this process the same software and CM4AI_STORAGE, and start the workers anew.",
        )
