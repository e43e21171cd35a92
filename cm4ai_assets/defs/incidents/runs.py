"""Runs that failed and were not made good: the failure is open until the same is made by a later run.

Belongs here: which failed runs still stand, and the incident that each is. Does not belong here: ending and repeating
runs (`dead_runs`, `updates.requests`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from cm4ai_assets.causes import INTERRUPTED
from cm4ai_assets.defs.pages import section_about
from cm4ai_assets.incidents import Incident, Kind, Severity

AS_LONG_AS = timedelta(days=30)
"""A failed run that nobody has repeated for so long is not wanted any more; checks say what is missing."""

MOST = 500
"""Failed runs that are looked at, newest first; that there are more is an incident of its own."""

A_RUN_FAILED = "a-run-failed"
RUN_KILLED = "run-killed"
_PARTITION_TAG = "dagster/partition"
_RETRIED_TAG = "dagster/auto_retry_run_id"
_WILL_RETRY_TAG = "dagster/will_retry"
_WAS_INTERRUPTED = "It was interrupted: Ctrl-C, or its process was ended."
_CAUSES = frozenset({
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
})  # fmt: skip
_CAUSES_READ = 2000

Subject = tuple[str, str]
"""What a run makes: a partition, and the name of an asset, a check, or a job that makes neither."""


@dataclass(frozen=True)
class Ending:
    """How a failed run ended: the error of each failed step, the assets made all the same, steps a check failed in."""

    errors: Mapping[str, str]
    made: frozenset[str]
    blocked: frozenset[str]
    message: str
    runbook: str = A_RUN_FAILED


def failed_runs(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime) -> list[Incident]:
    """An incident for each failure that stands, by the steps that failed: a repeated failure is the same incident.

    A run stands while something that it was to make was made neither by itself nor by a later run, and while no later
    run of the same ended otherwise. One that was cancelled is no failure and makes nothing good. One whose steps all
    failed at a blocking check is left to the incident of that check.
    """
    failed = _records(instance, dg.DagsterRunStatus.FAILURE, now - AS_LONG_AS, limit=MOST)
    if not failed:
        return []
    succeeded = _successes(instance, failed)
    found: dict[str, Incident] = {}
    made, tried = set[Subject](), set[Subject]()
    for record in sorted([*failed, *succeeded], key=_end, reverse=True):
        run, subjects = record.dagster_run, _subjects(record.dagster_run, repository)
        has_failed = run.status is dg.DagsterRunStatus.FAILURE
        made |= _made_since(instance, subjects, _end(record)) if has_failed else subjects
        if has_failed and _RETRIED_TAG not in run.tags and not subjects <= made:
            ending = _ending(instance, run.run_id)
            made |= {(_partition(run), asset) for asset in ending.made}
            one = _incident(record, ending)
            if one.key in found:
                found[one.key] = replace(found[one.key], since=one.since)
            elif not subjects <= made | tried and ending.errors.keys() - ending.blocked != set():
                found[one.key] = one
        tried |= subjects
    return [*found.values(), *([_more()] if len(failed) >= MOST else [])]


def _successes(instance: dg.DagsterInstance, failed: Sequence[dg.RunRecord]) -> list[dg.RunRecord]:
    """The runs that may have made good what failed: every later one of its partition, however many others came since.

    Of what has no partition, the latest of its job and the latest of all; see `_made_since`, too.
    """
    after, runs = min(map(_end, failed)), [record.dagster_run for record in failed]
    success, partitions = dg.DagsterRunStatus.SUCCESS, sorted({_partition(run) for run in runs} - {""})
    found = [*_records(instance, success, after, limit=MOST)]
    if partitions:
        found += _records(instance, success, after, tags={_PARTITION_TAG: partitions}, limit=None)
    for job in sorted({run.job_name for run in runs if not _partition(run)}):
        found += _records(instance, success, after, job_name=job, limit=1)
    return list({record.dagster_run.run_id: record for record in found}.values())


def _made_since(instance: dg.DagsterInstance, subjects: set[Subject], after: datetime) -> set[Subject]:
    """Those of assets without partitions that were made after a time, by whichever run."""
    events = {one: instance.get_latest_materialization_event(dg.AssetKey(one[1])) for one in subjects if not one[0]}
    return {one for one, event in events.items() if event is not None and event.timestamp > after.timestamp()}


def _more() -> Incident:
    return Incident(
        key="runs:more",
        kind=Kind.RUN_FAILED,
        severity=Severity.FAILURE,
        title=f"{MOST} runs or more failed in {AS_LONG_AS.days} days",
        text=f"Only the latest {MOST} are looked at here; the page of runs has all of them.",
        link_path="/runs",
        runbook=A_RUN_FAILED,
    )


def _records(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    after: datetime,
    *,
    limit: int | None,
    **more: Any,  # noqa: ANN401 - what a RunsFilter takes
) -> Sequence[dg.RunRecord]:
    return instance.get_run_records(dg.RunsFilter(statuses=[status], updated_after=after, **more), limit=limit)


def _end(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)


def _partition(run: dg.DagsterRun) -> str:
    return run.tags.get(_PARTITION_TAG, "")


def _subjects(run: dg.DagsterRun, repository: dg.RepositoryDefinition) -> set[Subject]:
    """What a run was to make or to check: what it names, or its job has; the job itself, where that is nothing."""
    assets = run.asset_selection
    if assets is None and repository.has_job(run.job_name):
        assets = repository.get_job(run.job_name).asset_layer.selected_asset_keys
    names = {key.to_user_string() for key in assets or ()}
    names |= {f"{key.asset_key.to_user_string()}:{key.name}" for key in run.asset_check_selection or ()}
    return {(_partition(run), name) for name in names or {f"job {run.job_name}"}}


def _ending(instance: dg.DagsterInstance, run_id: str) -> Ending:
    errors, made, blocked, message, about = {}, set(), set(), "", ""
    for record in instance.get_records_for_run(run_id, of_type=set(_CAUSES), limit=_CAUSES_READ).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.STEP_FAILURE:
            errors[event.step_key or ""] = reason = _reason(event)
            about = about or section_about(event) or (RUN_KILLED if reason == _WAS_INTERRUPTED else "")
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            made.add(event.asset_key.to_user_string())
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR:
                blocked.add(event.step_key or "")
        else:
            message = event.message or message
    # A process that died names no step.
    return Ending(errors or {"": message}, frozenset(made), frozenset(blocked), message, about or A_RUN_FAILED)


def _reason(event: dg.DagsterEvent) -> str:
    """The error's own words, without the name of its class: that of the cause, where Dagster wraps one."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None and "user code" in error.message.lower():
        error = error.cause
    if error is not None and INTERRUPTED in (error.cls_name or ""):
        return _WAS_INTERRUPTED
    return "" if error is None else error.message.partition(": ")[2] or error.message


def _incident(record: dg.RunRecord, ending: Ending) -> Incident:
    run, partition = record.dagster_run, _partition(record.dagster_run)
    steps = sorted(ending.errors.keys() - ending.blocked) or sorted(ending.errors)
    what = ", ".join(filter(None, steps)) or run.job_name
    reasons = list(dict.fromkeys(filter(None, (ending.errors[step] for step in steps)))) or [ending.message]
    again = ["The daemon starts it again."] if run.tags.get(_WILL_RETRY_TAG) == "true" else []
    return Incident(
        key=f"run:{partition}:{what}",
        kind=Kind.RUN_FAILED,
        severity=Severity.FAILURE,
        title=f"Run failed: {what}" + (f" of {partition}" if partition else ""),
        text=" ".join(filter(None, [*reasons, *again])) or "It gave no reason.",
        link_path=f"/runs/{run.run_id}",
        runbook=ending.runbook if any(ending.errors) else RUN_KILLED,
        since=_end(record),
    )
