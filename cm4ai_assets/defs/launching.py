"""Materializing a release outside the daemon: what an operator's click does, in this process and in the right order.

Belongs here: running the waves of a plan and what became of each run. Does not belong here: which assets a selection
means and in which order (`selection`), and runs whose process has died (`dead_runs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.events import DagsterEvent
from dagster._core.utils import make_new_run_id
from dagster_shared.error import SerializableErrorInfo

from cm4ai_assets.causes import INTERRUPTED, remedy, sentence
from cm4ai_assets.defs import dead_runs
from cm4ai_assets.defs.pages import section_about
from cm4ai_assets.defs.partitions import partition_key
from cm4ai_assets.defs.products import optional_inputs
from cm4ai_assets.defs.selection import Graph, IsPublished, plan
from cm4ai_assets.plain import from_markdown
from cm4ai_assets.storage.layout import Partition

Announce = Callable[[Partition, Sequence[dg.AssetKey]], None]
LeaveOut = Callable[[Partition, dg.AssetKey, Sequence[str]], None]
Missing = set[tuple[dg.AssetKey, str | None]]


@dataclass(frozen=True)
class Outcome:
    """One run: what it was for, how it ended, the checks it evaluated, and what was observed of assets not made.

    `failure` is the cause in a sentence, `details` what Dagster knows of it (stack traces), `runbook` the section about
    it; all empty if it succeeded.
    """

    partition: Partition
    run_id: str
    succeeded: bool
    made: tuple[str, ...]
    unmade: tuple[str, ...]
    observed: Mapping[str, str]
    checks: tuple[dg.AssetCheckEvaluation, ...]
    failure: str
    details: str = ""
    runbook: str = ""


def materialize(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    release: str,
    conditions: Sequence[str],
    selection: str = "*",
    is_published: IsPublished | None = None,
    announce: Announce = lambda _partition, _assets: None,
    leave_out: LeaveOut = lambda _partition, _asset, _missing: None,
    wait: dead_runs.Waiting = dead_runs.Waiting(),  # noqa: B008 - immutable
    log_level: str = "INFO",
) -> Iterator[Outcome]:
    """Materialize assets of a release, a run per wave and partition; each run's outcome as it ends.

    Args:
        defs: The definitions.
        instance: Where the runs are recorded.
        release: The release.
        conditions: Conditions to make.
        selection: Which assets; see `selection.chosen_assets`.
        is_published: Given, what the selection reads and is not published is made as well.
        announce: Called before each run.
        leave_out: Called for each asset that is not made, because an input was to be made and was not.
        wait: How long a run waits for the pool of another one, and who gets the message.
        log_level: From which on the console shows what steps say. The instance records all of it.

    Raises:
        ConfigurationError: The selection selects nothing.
        KeyboardInterrupt: A run was interrupted. Its outcome has been yielded before; nothing else is started.
    """
    graph = defs.resolve_asset_graph()
    job = defs.resolve_implicit_global_asset_job_def()
    planned = plan(graph, selection, release, conditions, is_published)
    missing: Missing = set()
    for wave in planned.waves:
        for partition in wave.partitions(release, conditions):
            ready = _ready(graph, planned.assets(wave, partition), partition, missing, leave_out)
            if not ready:
                continue
            announce(partition, ready)
            dead_runs.wait_for_pools(instance, _pools(graph, ready), wait)
            result = _run(job, instance, ready, partition, release, log_level=log_level)
            outcome = _outcome(ready, partition, result)
            missing |= {(dg.AssetKey.from_user_string(name), partition.condition) for name in outcome.unmade}
            yield outcome
            if _was_interrupted(result):
                raise KeyboardInterrupt


def _run(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetKey],
    partition: Partition,
    release: str,
    *,
    log_level: str,
) -> dg.ExecuteInProcessResult:
    run_id = make_new_run_id()
    with dead_runs.recorded(instance, run_id), dead_runs.alive(instance, run_id):
        return job.execute_in_process(
            instance=instance,
            asset_selection=list(assets),
            partition_key=partition_key(partition) if partition.release else None,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": log_level}}}},
            run_id=run_id,
            # A person runs it again; the daemon does not try it once more as it does with runs of its own.
            tags={"cm4ai/release": release, "dagster/max_retries": "0"},
        )


def _pools(graph: Graph, assets: Sequence[dg.AssetKey]) -> set[str]:
    return {pool for key in assets for pool in graph.get(key).pools or ()}


def _ready(
    graph: Graph, assets: Sequence[dg.AssetKey], partition: Partition, missing: Missing, leave_out: LeaveOut
) -> list[dg.AssetKey]:
    """The assets whose inputs are not missing; those that are left out are missing for the next."""
    ready = []
    for key in assets:
        lacks = _lacks(graph, key, partition, missing)
        if lacks:
            missing.add((key, partition.condition))
            leave_out(partition, key, lacks)
        else:
            ready.append(key)
    return ready


def _lacks(graph: Graph, key: dg.AssetKey, partition: Partition, missing: Missing) -> list[str]:
    """Inputs of this partition that were to be made and were not. A fan-in needs every condition of its inputs."""
    gathers, node = partition.condition is None, graph.get(key)
    needed = node.parent_keys - optional_inputs(node.metadata)
    found = {
        parent
        for parent, condition in missing
        if parent in needed and (condition is None or gathers or condition == partition.condition)
    }
    return sorted(parent.to_user_string() for parent in found)


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    return any(INTERRUPTED in (e.cls_name or "") for event in result.all_events for e in _chain(_error(event)))


def _outcome(assets: Sequence[dg.AssetKey], partition: Partition, result: dg.ExecuteInProcessResult) -> Outcome:
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    failures = [event for event in result.all_events if event.is_step_failure or event.is_failure]
    errors = [error for event in failures if (error := _error(event)) is not None]
    return Outcome(
        partition=partition,
        run_id=result.run_id,
        succeeded=result.success,
        made=tuple(key.to_user_string() for key in assets if key in made),
        unmade=tuple(key.to_user_string() for key in assets if key not in made),
        observed=_observed([key for key in assets if key not in made], result),
        checks=tuple(result.get_asset_check_evaluations()),
        failure=" ".join(dict.fromkeys(_cause(error) for error in errors)) or _last_word(result, failures),
        details="\n".join(error.to_string() for error in errors),
        runbook=next(filter(None, map(section_about, failures)), "" if result.success else "a-run-failed"),
    )


def _error(event: DagsterEvent) -> SerializableErrorInfo | None:
    if event.is_step_failure:
        return event.step_failure_data.error
    return event.job_failure_data.error if event.is_failure else None


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """An error and its causes, as Dagster wraps them."""
    while error is not None:
        yield error
        error = error.cause


def _cause(error: SerializableErrorInfo) -> str:
    """What happened, in a sentence: the first error that Dagster did not wrap around another."""
    wrapped = list(_chain(error))
    first = next((e for e in wrapped if not (e.cls_name or "").startswith("DagsterExecution")), wrapped[-1])
    message = sentence(first.message)
    return f"{message} {remedy(message)}".strip()


def _last_word(result: dg.ExecuteInProcessResult, failures: Sequence[DagsterEvent]) -> str:
    return "" if result.success else next((event.message or "" for event in failures), "The run failed.")


def _observed(unmade: Sequence[dg.AssetKey], result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Why assets were not made, where their step said so."""
    observations = [
        event.asset_observation_data.asset_observation
        for event in result.filter_events(lambda event: event.is_asset_observation)
    ]
    return {
        one.asset_key.to_user_string(): from_markdown(one.description)
        for one in observations
        if one.asset_key in unmade and one.description
    }
