"""When `platform_status` is made again: after runs, not after each, and at fixed times.

Belongs here: the job, its sensor and its schedule. Does not belong here: the asset (`assets`).

A run that makes the page is no news to it: the sensor does not count it, so that nothing requests itself.
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg

from cm4ai_assets.defs.names import IN_PROGRESS, REASON_TAG
from cm4ai_assets.defs.status.assets import platform_status
from cm4ai_assets.defs.updates.schedules import TIMEZONE
from cm4ai_assets.tables.status import PLATFORM_STATUS

CRON = "15 */6 * * *"
AT_MOST_EVERY = timedelta(minutes=10)
"""How often the page is made while runs go on. When the last of them has ended it is made at once."""

_JOB = "status"
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_LOOKED_AT = 200
_LAST = {"dagster/priority": "-10"}  # behind everything that is waiting

status_job = dg.define_asset_job(
    _JOB,
    selection=dg.AssetSelection.assets(platform_status),
    description="The page platform_status, made again of what the storage and the instance say now. Fetches nothing.",
    tags=_LAST,
)


class _Memory(NamedTuple):
    """What the sensor remembers: the last ended run that a page was requested for, and when one was requested."""

    seen: datetime | None = None
    requested: datetime | None = None

    @classmethod
    def read(cls, cursor: str | None) -> "_Memory":
        try:
            seen, requested = (datetime.fromisoformat(text) for text in json.loads(cursor or ""))
        except (ValueError, TypeError):
            return cls()
        return cls(seen, requested)

    def text(self) -> str:
        return json.dumps([one.isoformat() for one in self if one is not None])


@dg.sensor(
    job=status_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Has the page platform_status made again when the runs at work have ended, and every ten minutes while "
    "they go on. Runs that make the page do not count.",
)
def status_refresh(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One look at the runs."""
    return refresh(context.instance, context.cursor, datetime.now(UTC))


def refresh(instance: dg.DagsterInstance, cursor: str | None, now: datetime) -> dg.SensorResult | dg.SkipReason:
    """Whether the page is made again now.

    Args:
        instance: Whose runs.
        cursor: What the tick before remembered.
        now: The time, with its zone.
    """
    memory = _Memory.read(cursor)
    ended = _last_end(instance, memory.seen)
    if ended is None:
        return dg.SkipReason("No run has ended since the page was made.")
    under_way = instance.get_runs(dg.RunsFilter(statuses=list(IN_PROGRESS)), limit=_LOOKED_AT)
    if any(map(is_own, under_way)):
        return dg.SkipReason("The page is being made.")
    if under_way and memory.requested is not None and now < memory.requested + AT_MOST_EVERY:
        again = memory.requested + AT_MOST_EVERY
        return dg.SkipReason(
            f"{len(under_way)} runs are under way. The page is made when they have ended, or at {again:%H:%M} UTC."
        )
    request = dg.RunRequest(run_key=f"status:{ended.isoformat()}", tags={REASON_TAG: "runs have ended", **_LAST})
    return dg.SensorResult([request], cursor=_Memory(ended, now).text())


def _last_end(instance: dg.DagsterInstance, seen: datetime | None) -> datetime | None:
    """When the last run ended that is no run of the page; None if none did after `seen`."""
    after = dg.RunsFilter(statuses=list(_ENDED), updated_after=seen)
    records = instance.get_run_records(after, limit=_LOOKED_AT, order_by="update_timestamp", ascending=False)
    ends = (record.update_timestamp.replace(tzinfo=UTC) for record in records if not is_own(record.dagster_run))
    last = max(ends, default=None)
    return last if last is not None and (seen is None or last > seen) else None


def is_own(run: dg.DagsterRun) -> bool:
    """A run makes the page and nothing else."""
    return run.job_name == _JOB or run.asset_selection == {dg.AssetKey(PLATFORM_STATUS.name)}


status_schedule = dg.ScheduleDefinition(
    job=status_job,
    name="status_every_six_hours",
    cron_schedule=CRON,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Has the page platform_status made again every six hours: days pass on which embargoes end, and the "
    "archive may have been silent.",
)
