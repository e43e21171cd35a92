"""Which assets a selection means, in which order they are made, and what has to be made with them.

Belongs here: selections, waves, missing inputs. One Dagster run cannot span assets with different partitions, so a
release is materialized in waves: all assets that are partitioned alike and whose inputs are in place. Does not belong
here: running them (`launching`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from cm4ai_assets.causes import sentence
from cm4ai_assets.defs.partitions import condition_releases
from cm4ai_assets.defs.products import is_made_last, optional_inputs
from cm4ai_assets.errors import ConfigurationError, nearest
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.storage.layout import Partition

Graph = BaseAssetGraph[Any]
IsPublished = Callable[[str, Partition], bool]


@dataclass(frozen=True)
class Wave:
    """Assets with the same partitions whose upstream assets are all in earlier waves or not selected."""

    partitioning: Partitioning
    assets: tuple[dg.AssetKey, ...]

    def partitions(self, release: str, conditions: Sequence[str]) -> list[Partition]:
        """The partitions of one release in which these assets are materialized."""
        return _partitions(self.partitioning, release, conditions)


@dataclass(frozen=True)
class Plan:
    """Waves, and of the assets that were added because an input is missing, the partitions to make."""

    waves: Sequence[Wave]
    added: Mapping[dg.AssetKey, frozenset[Partition]] = field(default_factory=dict)

    def assets(self, wave: Wave, partition: Partition) -> list[dg.AssetKey]:
        """The assets of a wave that are made in a partition."""
        return [key for key in wave.assets if key not in self.added or partition in self.added[key]]


def chosen_assets(graph: Graph, selection: str) -> set[dg.AssetKey]:
    """The assets that a selection means: Dagster's syntax, or a comma list of it; `*` for all.

    Where one step makes several assets, all of them are chosen.

    Raises:
        ConfigurationError: The selection cannot be read, or names an asset that does not exist.
    """
    try:
        terms = [_parsed(term) for term in _terms(selection)]
        selected = terms[0] if terms else dg.AssetSelection.all()
        for term in terms[1:]:
            selected |= term
        found = _with_their_steps(graph, selected.resolve(graph))
    except dg.DagsterError as error:
        raise _unreadable(graph, selection, error) from error
    made = {key for key in found if graph.get(key).is_materializable}
    if not made:
        raise _unreadable(graph, selection, None)
    return made


def _parsed(term: str) -> dg.AssetSelection:
    with warnings.catch_warnings():
        # Dagster's parser itself reads `group:` by a parameter that is still beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AssetSelection.from_string(term)


def _terms(selection: str) -> list[str]:
    """The parts of a comma list; none for everything (`*`, which Dagster's parser reads by a parameter that is beta).

    Commas within quotes are part of a name.
    """
    parts = [selection] if '"' in selection else selection.split(",")
    terms = [part.strip() for part in parts if part.strip()]
    return [] if "*" in terms else terms


def _unreadable(graph: Graph, selection: str, error: Exception | None) -> ConfigurationError:
    names = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
    word = selection.strip().strip("+*()").removeprefix("key:")
    remedy = nearest(word, names, heading="Assets", listed=len(names))
    said = f": {sentence(str(error))}" if error is not None else "."
    return ConfigurationError(f"--select {selection!r} selects no asset{said}", remedy=remedy)


def waves(defs: dg.Definitions, selection: str) -> list[Wave]:
    """The selected assets in waves.

    Raises:
        ConfigurationError: See `chosen_assets`.
    """
    graph = defs.resolve_asset_graph()
    return _in_waves(graph, chosen_assets(graph, selection))


def plan(
    graph: Graph, selection: str, release: str, conditions: Sequence[str], is_published: IsPublished | None = None
) -> Plan:
    """The selected assets of a release in waves, with those whose tables they read and which are not published.

    Args:
        graph: Every asset.
        selection: See `chosen_assets`.
        release: The release.
        conditions: Conditions to make.
        is_published: Whether a partition of a table is published; None to add nothing.

    Raises:
        ConfigurationError: See `chosen_assets`.
    """
    chosen = chosen_assets(graph, selection)
    added = {} if is_published is None else _missing(graph, chosen, release, conditions, is_published)
    return Plan(_in_waves(graph, chosen | set(added)), added)


def _missing(
    graph: Graph, chosen: set[dg.AssetKey], release: str, conditions: Sequence[str], is_published: IsPublished
) -> dict[dg.AssetKey, frozenset[Partition]]:
    """What the chosen assets read, directly or not, and what is neither chosen nor published."""
    added: dict[dg.AssetKey, frozenset[Partition]] = {}
    look = list(chosen)
    while look:
        node = graph.get(look.pop())
        for parent in node.parent_keys - optional_inputs(node.metadata) - chosen - set(added):
            if not graph.get(parent).is_materializable:
                continue
            wanted = _partitions(_partitioning(graph, parent), release, conditions)
            absent = frozenset(p for p in wanted if not is_published(parent.to_user_string(), p))
            if not absent:
                continue
            for key in _with_their_steps(graph, {parent}):
                added[key] = absent
                look.append(key)
    return added


def _with_their_steps(graph: Graph, keys: Iterable[dg.AssetKey]) -> set[dg.AssetKey]:
    """These assets and all that the same steps make: the checks of one table may read the other one."""
    steps = {id(made): made for key in keys if (made := graph.get(key).assets_def) is not None}
    return {key for made in steps.values() for key in made.keys}


def _in_waves(graph: Graph, chosen: set[dg.AssetKey]) -> list[Wave]:
    last = tuple(sorted(key for key in chosen if is_made_last(graph.get(key).metadata)))
    left, found = chosen - set(last), list[Wave]()
    while left:
        for partitioning in Partitioning:
            ready = _closed({key for key in left if _partitioning(graph, key) is partitioning}, graph, left)
            if ready:
                order = [key for key in graph.toposorted_asset_keys if key in ready]
                found.append(Wave(partitioning, tuple(order)))
                left -= ready
    return [*found, Wave(Partitioning.NONE, last)] if last else found


def _partitions(partitioning: Partitioning, release: str, conditions: Sequence[str]) -> list[Partition]:
    if partitioning is Partitioning.CONDITION_RELEASE:
        return [Partition(release, condition) for condition in conditions]
    return [Partition(release) if partitioning is Partitioning.RELEASE else Partition()]


def _partitioning(graph: Graph, key: dg.AssetKey) -> Partitioning:
    partitions_def = graph.get(key).partitions_def
    if partitions_def is None:
        return Partitioning.NONE
    return Partitioning.CONDITION_RELEASE if partitions_def == condition_releases else Partitioning.RELEASE


def _closed(candidates: set[dg.AssetKey], graph: Graph, left: set[dg.AssetKey]) -> set[dg.AssetKey]:
    """The candidates all of whose ancestors that are still left are candidates too.

    What may be absent (`optional_inputs`) is made by an earlier run: within one run Dagster skips each step after one
    that had nothing to make.
    """
    ready = {key for key in candidates if not optional_inputs(graph.get(key).metadata) & left}
    while True:
        blocked = {key for key in ready if graph.get(key).parent_keys & (left - ready)}
        if not blocked:
            return ready
        ready -= blocked
