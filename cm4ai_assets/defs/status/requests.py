"""What was asked for and is not done, and why it waits: runs and backfills.

Belongs here: reading the queue, the pools and the backfills of an instance. Does not belong here: requesting
(`updates.requests`), and what a release needs (`updates.needs`), which the ticks of `release_sensor` say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill

from cm4ai_assets.defs.names import IN_PROGRESS, REASON_TAG
from cm4ai_assets.incidents import shown
from cm4ai_assets.status.recorded import Request

_MOST = 500
_WIDTH = 200
_STATES = {
    dg.DagsterRunStatus.QUEUED: "queued",
    dg.DagsterRunStatus.NOT_STARTED: "queued",
    dg.DagsterRunStatus.STARTING: "starting",
    dg.DagsterRunStatus.STARTED: "running",
    dg.DagsterRunStatus.CANCELING: "cancelling",
}
_NO_DAEMON = "No daemon runs that would take it: `make ui` starts one."
_WORKING = {BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING}


def requests(instance: dg.DagsterInstance, *, daemon: bool | None) -> Iterator[Request]:
    """Runs that have not ended, oldest first, then backfills that may still start some."""
    records = instance.get_run_records(dg.RunsFilter(statuses=list(IN_PROGRESS)), limit=_MOST, ascending=True)
    working = sum(_STATES[one.dagster_run.status] != "queued" for one in records)
    held = _held(instance) if records else {}
    for record in records:
        run = record.dagster_run
        waits = (
            _waits(instance, run, working, daemon=daemon)
            if _STATES[run.status] == "queued"
            else held.get(run.run_id, "")
        )
        yield Request(
            kind="run",
            id=run.run_id,
            what=_what(run),
            partition=run.tags.get("dagster/partition"),
            state=_STATES[run.status],
            since=record.create_timestamp.astimezone(UTC),
            asked_by=shown(_asked_by(run.tags), _WIDTH),
            waits=waits,
        )
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=sorted(_WORKING, key=str)), limit=_MOST):
        yield _backfill(backfill, daemon=daemon)


def _what(run: dg.DagsterRun) -> str:
    if not run.asset_selection:
        return run.job_name
    return shown(", ".join(sorted(key.to_user_string() for key in run.asset_selection)), _WIDTH)


def _asked_by(tags: Mapping[str, str]) -> str:
    for tag, words in (
        (REASON_TAG, ""),
        ("cm4ai/requested_by", ""),
        ("dagster/backfill", "backfill "),
        ("dagster/schedule_name", "schedule "),
        ("dagster/sensor_name", "sensor "),
        ("dagster/parent_run_id", "again after run "),
    ):
        if tag in tags:
            return f"{words}{tags[tag]}"
    return "a person"


def _waits(instance: dg.DagsterInstance, run: dg.DagsterRun, working: int, *, daemon: bool | None) -> str:
    """Why a queued run has not begun."""
    if not daemon:
        return _NO_DAEMON
    limit = instance.get_concurrency_config().run_queue_config
    most = None if limit is None else limit.max_concurrent_runs
    if most is not None and most >= 0 and working >= most:
        return f"{working} runs are under way, and no more than {most} may be at once."
    full = [pool for pool in _pools(run) if _is_full(instance, pool)]
    if full:
        return f"Its pool is taken by other runs: {', '.join(full)}."
    return "The daemon takes it with its next look."


def _pools(run: dg.DagsterRun) -> list[str]:
    concurrency = run.run_op_concurrency
    return sorted(concurrency.all_pools or ()) if concurrency is not None else []


def _is_full(instance: dg.DagsterInstance, pool: str) -> bool:
    info = instance.event_log_storage.get_concurrency_info(pool)
    return info.limit is not None and info.active_slot_count >= info.limit


def _held(instance: dg.DagsterInstance) -> dict[str, str]:
    """Of runs that have begun and wait for a pool: which, and whose runs hold it."""
    found: dict[str, str] = {}
    if not instance.event_log_storage.supports_global_concurrency_limits:
        return found
    for pool in sorted(instance.event_log_storage.get_concurrency_keys()):
        info = instance.event_log_storage.get_concurrency_info(pool)
        for run_id in info.pending_run_ids - info.active_run_ids:
            others = ", ".join(sorted(one[:8] for one in info.active_run_ids)) or "nobody just now"
            found[run_id] = f"A step of it waits for the pool {pool}, which is held by {others}."
    return found


def _backfill(backfill: PartitionBackfill, *, daemon: bool | None) -> Request:
    assets = sorted(key.to_user_string() for key in backfill.asset_selection or ())
    return Request(
        kind="backfill",
        id=backfill.backfill_id,
        what=shown(backfill.title or ", ".join(assets) or "a job", _WIDTH),
        partition=None,  # how many is asked of the loaded definitions, which a terminal does without
        state=backfill.status.value.lower(),
        since=datetime.fromtimestamp(backfill.backfill_timestamp, UTC),
        asked_by=shown(_asked_by(backfill.tags), _WIDTH),
        waits="" if daemon else _NO_DAEMON,
    )
