"""Every release at a glance: offered, registered, locked, and what of each condition is stored.

Belongs here: that summary, from the storage and from what the archive offers. Does not belong here: how it is printed
(`cli.releases`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cm4ai_assets import tables
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.choice import LOCK
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.updates.holders import Holders
from cm4ai_assets.updates.inputs import feed_of
from cm4ai_assets.updates.locked import read_lock, unreadable_lock

TENSORS, ARCHIVE = "if_tensors", "if_archive"
UNKNOWN = "unknown"
"""The state of each condition of a release whose lock or record cannot be read."""


@dataclass(frozen=True)
class ConditionState:
    """How far one condition of a release is: a word, its published tables, and the release that holds its tensors."""

    state: str
    tables: tuple[str, ...] = ()
    shared_with: str | None = None


@dataclass(frozen=True)
class ReleaseState:
    """One dataset version: what it is, and how far it is.

    `record.key` is empty where it is not registered; `offered` is None where the archive was not asked; `files` and
    `size` (bytes) are those of its lock, None without one. `problem` is why it is not known how far it is, with what
    helps; None where it is known.
    """

    record: ReleaseRecord
    offered: bool | None
    files: int | None = None
    size: int | None = None
    tables: tuple[str, ...] = ()
    conditions: Mapping[str, ConditionState] = field(default_factory=dict)
    problem: Cm4aiError | None = None


def overview(store: Store, seen: Sequence[ReleaseRecord] | None) -> list[ReleaseState]:
    """Registered releases oldest first, then what is offered and not registered.

    A lock that cannot be read makes its own release `UNKNOWN`, and no other one: what it would hold for another is not
    looked for there.

    Args:
        store: Where things are published.
        seen: What the archive offers; None if it was not asked or did not answer.
    """
    listed = store.all_partitions()
    published = {table.name: set(listed.get(table.name, ())) for table in tables.ALL}
    records = ReleaseRegistry(store).all()
    registered = {(record.doi, record.version) for record in records}
    there = None if seen is None else {(record.doi, record.version) for record in seen}
    new = [record for record in seen or () if (record.doi, record.version) not in registered]
    holders = Holders(store, unreadable=lambda *_: None)  # of such a release its own state speaks
    states = [_registered(store, record, there, published, holders) for record in records]
    return [*states, *(ReleaseState(r, offered=True, conditions=_all(ConditionState("new"))) for r in new)]


def _registered(
    store: Store,
    record: ReleaseRecord,
    there: set[tuple[str, str]] | None,
    published: Mapping[str, set[Partition]],
    holders: Holders,
) -> ReleaseState:
    whole = Partition(record.key)
    offered = None if there is None else (record.doi, record.version) in there
    if whole not in published[LOCK]:
        return ReleaseState(record, offered, conditions=_all(ConditionState("registered")))
    errors: dict[str, BaseException] = {}
    # All columns: a lock of which one is damaged is not known.
    sizes = read_lock(record.key, lambda: store.table(LOCK, whole).collect()["size"], errors.__setitem__)
    if sizes is None:
        problem = unreadable_lock(record.key, errors[record.key])
        return ReleaseState(record, offered, conditions=_all(ConditionState(UNKNOWN)), problem=problem)
    return ReleaseState(
        record,
        offered,
        files=len(sizes),
        size=int(sizes.sum()),
        tables=_names(published, whole),
        conditions={str(c): _condition(Partition(record.key, str(c)), published, holders) for c in CONDITIONS},
    )


def _condition(partition: Partition, published: Mapping[str, set[Partition]], holders: Holders) -> ConditionState:
    made = _names(published, partition)
    if TENSORS in made:
        return ConditionState("tensors", made)
    feed = feed_of(TENSORS)
    shared = holders.holder(feed, partition) if feed is not None else None
    if shared is not None:
        return ConditionState("shared", made, shared)
    if ARCHIVE in made:
        return ConditionState("stored", made)
    return ConditionState("in part" if made else "locked", made)


def _names(published: Mapping[str, set[Partition]], partition: Partition) -> tuple[str, ...]:
    kind = Partitioning.RELEASE if partition.condition is None else Partitioning.CONDITION_RELEASE
    return tuple(t.name for t in tables.ALL if t.partitioning is kind and partition in published[t.name])


def _all(state: ConditionState) -> dict[str, ConditionState]:
    return {str(condition): state for condition in CONDITIONS}


def by_dataset(states: Iterable[ReleaseState]) -> dict[str, list[ReleaseState]]:
    """The states of each dataset, by its DOI, in the order in which datasets come first."""
    found: dict[str, list[ReleaseState]] = {}
    for state in states:
        found.setdefault(state.record.doi, []).append(state)
    return found
