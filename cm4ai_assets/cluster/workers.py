"""What holds for every task on a worker of a Dask cluster: terms, the storage, and what is kept open between tasks.

Belongs here: functions that run on workers whatever the work is, and their arguments. Does not belong here: who asks
for them (`connection`), and the work itself, which comes as a `Recipe`; nothing here knows Dask.

A worker finds the storage by its own settings (CM4AI_STORAGE and the credentials of its own environment). It works only
for those who have the same storage and the same software: two versions of a decoder must not share one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Final, Protocol

from cm4ai_assets import software
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.identity import storage_id
from cm4ai_assets.storage.store import Store


class Recipe(Hashable, Protocol):
    """What a pass does to each of its calls, as a value that can be sent and compared."""

    def open(self, store: Store) -> Callable[..., Any]:
        """The work itself, over published bytes of that storage; safe from many threads."""
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


def this_worker() -> Terms:
    """The terms of this process."""
    return Terms(tuple(software.parts().items()), storage_id(store()))


def make(terms: Terms, recipe: Recipe, calls: Sequence[tuple[Any, ...]], *also: object) -> list[Any]:
    """The results of some calls. They stay on this worker.

    Args:
        terms: What this worker must agree with.
        recipe: What is done.
        calls: The arguments of each call.
        also: Further arguments of each call: what other tasks gave.

    Raises:
        ConfigurationError: This worker has other terms.
    """
    _agree(terms)
    work = _work(recipe)
    try:
        return [work(*call, *also) for call in calls]
    except BaseException:
        _opened.cache_clear()  # what is tried again opens its files anew
        raise


@lru_cache(maxsize=1)
def store() -> Store:
    """The storage of this worker."""
    return Store.from_settings(Settings.from_env())


_OPENING: Final = Lock()


def _work(recipe: Recipe) -> Callable[..., Any]:
    """The work of a recipe, opened once for all threads: it may take long, and much memory."""
    with _OPENING:
        return _opened(recipe)


@lru_cache(maxsize=2)  # each thread has large buffers of its own in each
def _opened(recipe: Recipe) -> Callable[..., Any]:
    return recipe.open(store())


@lru_cache(maxsize=4)
def _agree(terms: Terms) -> None:
    if found := terms.differences(this_worker()):
        raise ConfigurationError(
            f"A worker of the cluster has {found}.",
            remedy="Give all workers and this process the same software and CM4AI_STORAGE, and start the workers anew.",
        )
