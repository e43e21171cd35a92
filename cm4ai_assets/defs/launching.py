"""Materializing a release outside the daemon: what an operator's click does, in this process and in the right order.

Belongs here: the order of partitions and runs. One Dagster run cannot span assets with different partitions, so a
release is materialized in waves: all assets that are partitioned alike and whose inputs stand already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from cm4ai_assets.defs.partitions import condition_releases, partition_key
from cm4ai_assets.defs.products import optional_inputs
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Partitioning


@dataclass(frozen=True)
class Wave:
    """Assets with the same partitions whose upstream assets are all in earlier waves or not selected."""

    partitioning: Partitioning
    assets: tuple[dg.AssetKey, ...]

    def partitions(self, release: str, conditions: Sequence[str]) -> list[Partition]:
        """The partitions of one release in which these assets are materialized."""
        if self.partitioning is Partitioning.CONDITION_RELEASE:
            return [Partition(release, condition) for condition in conditions]
        return [Partition(release) if self.partitioning is Partitioning.RELEASE else Partition()]


@dataclass(frozen=True)
class Outcome:
    """One run: what it was for, how it ended, the checks it evaluated, and what was observed of assets not made."""

    partition: Partition
    run_id: str
    succeeded: bool
    made: tuple[str, ...]
    unmade: tuple[str, ...]
    observed: Mapping[str, str]
    checks: tuple[dg.AssetCheckEvaluation, ...]
    failure: str


def waves(defs: dg.Definitions, selection: str) -> list[Wave]:
    """The selected assets (Dagster's selection syntax, `*` for all) in waves.

    Raises:
        dagster.DagsterInvalidAssetSelectionError: The selection cannot be read.
    """
    graph = defs.resolve_asset_graph()
    # `*` would be read by a parameter of Dagster that is still beta.
    chosen = (dg.AssetSelection.all() if selection == "*" else dg.AssetSelection.from_string(selection)).resolve(graph)
    left = {key for key in chosen if graph.get(key).is_materializable}
    found: list[Wave] = []
    while left:
        for partitioning in Partitioning:
            ready = _closed({key for key in left if _partitioning(graph, key) is partitioning}, graph, left)
            if ready:
                order = [key for key in graph.toposorted_asset_keys if key in ready]
                found.append(Wave(partitioning, tuple(order)))
                left -= ready
    return found


def _partitioning(graph: BaseAssetGraph[Any], key: dg.AssetKey) -> Partitioning:
    partitions_def = graph.get(key).partitions_def
    if partitions_def is None:
        return Partitioning.NONE
    return Partitioning.CONDITION_RELEASE if partitions_def == condition_releases else Partitioning.RELEASE


def _closed(candidates: set[dg.AssetKey], graph: BaseAssetGraph[Any], left: set[dg.AssetKey]) -> set[dg.AssetKey]:
    """The candidates all of whose ancestors that are still left are candidates too."""
    ready = set(candidates)
    while True:
        blocked = {key for key in ready if graph.get(key).parent_keys & (left - ready)}
        if not blocked:
            return ready
        ready -= blocked


def materialize(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    release: str,
    conditions: Sequence[str],
    selection: str = "*",
    announce: Callable[[Wave, Partition], None] | None = None,
) -> Iterator[Outcome]:
    """Materialize assets of a release, a run per wave and partition; each run's outcome as it ends.

    What an earlier run was to make and did not is missing downstream: nothing is made from the rest of it.
    """
    graph = defs.resolve_asset_graph()
    job = defs.resolve_implicit_global_asset_job_def()
    unmade: set[tuple[dg.AssetKey, str | None]] = set()
    for wave in waves(defs, selection):
        for partition in wave.partitions(release, conditions):
            ready = [key for key in wave.assets if not _blocked(graph, key, partition, unmade)]
            unmade |= {(key, partition.condition) for key in wave.assets if key not in ready}
            if not ready:
                continue
            if announce is not None:
                announce(wave, partition)
            result = job.execute_in_process(
                instance=instance,
                asset_selection=ready,
                partition_key=partition_key(partition) if partition.release else None,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "INFO"}}}},
                tags={"cm4ai/release": release},
            )
            outcome = _outcome(ready, partition, result)
            unmade |= {(dg.AssetKey.from_user_string(name), partition.condition) for name in outcome.unmade}
            yield outcome


def _blocked(
    graph: BaseAssetGraph[Any], key: dg.AssetKey, partition: Partition, unmade: set[tuple[dg.AssetKey, str | None]]
) -> bool:
    """An input of this partition was to be made and was not. A fan-in needs every condition of its inputs."""
    gathers, node = partition.condition is None, graph.get(key)
    return any(
        parent == missing and (condition is None or gathers or condition == partition.condition)
        for parent in node.parent_keys - optional_inputs(node.metadata)
        for missing, condition in unmade
    )


def _outcome(assets: Sequence[dg.AssetKey], partition: Partition, result: dg.ExecuteInProcessResult) -> Outcome:
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    failures = [
        event.step_failure_data.error.message.strip() if event.step_failure_data.error else event.message or ""
        for event in result.filter_events(lambda event: event.is_step_failure)
    ]
    return Outcome(
        partition=partition,
        run_id=result.run_id,
        succeeded=result.success,
        made=tuple(key.to_user_string() for key in assets if key in made),
        unmade=tuple(key.to_user_string() for key in assets if key not in made),
        observed=_observed([key for key in assets if key not in made], result),
        checks=tuple(result.get_asset_check_evaluations()),
        failure=" ".join(failures),
    )


def _observed(unmade: Sequence[dg.AssetKey], result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Why assets were not made, where their step said so."""
    observations = [
        event.asset_observation_data.asset_observation
        for event in result.filter_events(lambda event: event.is_asset_observation)
    ]
    return {
        one.asset_key.to_user_string(): one.description
        for one in observations
        if one.asset_key in unmade and one.description
    }
