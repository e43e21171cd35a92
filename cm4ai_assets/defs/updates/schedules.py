"""Schedules: what is made again because time has passed.

Belongs here: when, and for which partitions. Does not belong here: what is new (`sensor`).
"""

# Dagster reads the annotations itself, not as strings: no `from __future__ import annotations` here.
from collections.abc import Container, Iterator
from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from cm4ai_assets.defs.jobs import JOBS, usage
from cm4ai_assets.defs.partitions import RELEASE, partition_key
from cm4ai_assets.defs.updates.requests import tags
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import LATEST
from cm4ai_assets.storage.choice import registered_releases, release_to_make
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.updates.inputs import FEEDS, lock_of
from cm4ai_assets.updates.needs import LOCK_JOB

TIMEZONE = "America/New_York"
"""Where the archive stands: 13 GB are asked for at its night."""
CRON = "0 3 2 1,4,7,10 *"
USAGE_CRON = "0 4 3 * *"
_LOCK_FIRST, _THEN = 10, 5  # priorities in the queue of runs
_SELECTIONS = {job.name: job.selection for job in JOBS}


@dg.schedule(
    # A schedule has one job, and the jobs of this platform are several; this one has every asset.
    job_name=IMPLICIT_ASSET_JOB_NAME,
    name="quarterly_refresh",
    cron_schedule=CRON,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On the second of each quarter, 03:00 in New York, materializes the newest release again, for all its "
    "conditions: the archive is asked whether it still is as it was locked, every check runs, a new code version takes "
    "effect. Bytes that are stored are not fetched again, pixels that are decoded are not decoded again. What gathers "
    "tables follows by itself where they changed.",
)
def quarterly_refresh(
    context: dg.ScheduleEvaluationContext, platform: dg.ResourceParam[Platform]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """The newest release, once a quarter."""
    known = context.instance.get_dynamic_partitions(RELEASE)
    yield from refresh(platform, known, context.repository_def.asset_graph, context.scheduled_execution_time)


def refresh(
    platform: Platform, known: Container[str], graph: BaseAssetGraph[Any], when: datetime
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """The runs that make the newest release again, the lock first.

    Args:
        platform: Where things are.
        known: Release partitions of the instance.
        graph: Every asset.
        when: The time for which the schedule was evaluated; each has its own run keys.
    """
    if not registered_releases(platform.store):
        yield dg.SkipReason("No release is registered yet.")
        return
    key = release_to_make(platform.store, LATEST)
    if key not in known:
        yield dg.SkipReason(f"{key} is registered and not a partition yet; the release sensor adds it.")
        return
    wanted = [(LOCK_JOB, Partition(key), _LOCK_FIRST)]
    # Until there is a lock nobody knows what to fetch. What is missing then is requested by the release sensor.
    if (lock := lock_of(platform.store, key)) is not None:
        wanted += [(feed.job, Partition(key, condition), _THEN) for feed in FEEDS for condition in feed.inputs(lock)]
    for job, partition, priority in wanted:
        yield dg.RunRequest(
            run_key=f"{when:%Y-%m-%d}:{job}:{partition}",
            partition_key=partition_key(partition),
            asset_selection=sorted(_SELECTIONS[job].resolve(graph)),
            tags=tags(partition, "quarterly refresh", priority=priority),
        )


monthly_usage = dg.ScheduleDefinition(
    job=usage,
    name="monthly_usage",
    cron_schedule=USAGE_CRON,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On the third of each month, 04:00 in New York, notes what the services say of the datasets' use.",
)

SCHEDULES = (quarterly_refresh, monthly_usage)
