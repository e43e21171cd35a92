"""From what a release needs to a run that makes it: asked for once, again after a failure, and then no more.

Belongs here: run keys, tags, and how often something is tried. Does not belong here: what is needed
(`updates.needs`), and when that is looked at (`sensor`, `schedules`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

import dagster as dg

from cm4ai_assets.defs.names import IN_PROGRESS, REASON_TAG
from cm4ai_assets.defs.partitions import partition_key, partition_of
from cm4ai_assets.defs.release.checks import STILL_PUBLISHED
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.needs import LOCK_JOB, Need

REQUEST_TAG = "cm4ai/request"
RELEASE_TAG = "cm4ai/release"
_PARTITION_TAG = "dagster/partition"
_PRIORITY_TAG = "dagster/priority"
_AT_ONCE = 500  # keys in one question: databases limit them

RETRY_AFTER = (timedelta(minutes=10), timedelta(hours=6))
"""How long after the first and the second run that came to nothing the next is requested. Then a person is needed."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a need: the request of a run, or why there is none."""

    request: dg.RunRequest | None
    reason: str = ""


def run_request(need: Need, attempt: int = 1, *, priority: int = 0) -> dg.RunRequest:
    """The run that makes what is needed.

    The run key names dataset, version, condition and attempt. Dagster starts one run per key, ever: a tick that is
    repeated, or a cursor that was reset, starts nothing twice.
    """
    assets = [dg.AssetKey(name) for name in need.tables] or None
    return dg.RunRequest(
        run_key=f"{need.key}#{attempt}",
        job_name=need.job,
        partition_key=partition_key(need.partition),
        asset_selection=assets,
        tags={REQUEST_TAG: need.key, **tags(need.partition, need.reason, priority=priority)},
    )


def check_request(record: ReleaseRecord, said: str, now: datetime) -> dg.RunRequest:
    """The run that evaluates `still_published` of a release again, and nothing else.

    A sensor could report an evaluation itself, but Dagster keeps only one without a run for each partition, ever.
    """
    return dg.RunRequest(
        run_key=f"{STILL_PUBLISHED}:{record.key}@{record.doi}:{now:%Y-%m-%dT%H:%M:%S}",
        job_name=LOCK_JOB,
        partition_key=record.key,
        asset_selection=[],
        asset_check_keys=[dg.AssetCheckKey(dg.AssetKey(RELEASE_FILES.name), STILL_PUBLISHED)],
        tags=tags(Partition(record.key), said, priority=0),
    )


def tags(partition: Partition, reason: str, *, priority: int) -> dict[str, str]:
    """Tags of a requested run: its release, why it was requested, and its place in the queue."""
    return {RELEASE_TAG: partition.release, REASON_TAG: reason, _PRIORITY_TAG: str(priority)}


@dataclass(frozen=True)
class History:
    """What is known of runs: the partitions that one is under way for, those requested by the key of their need."""

    busy: frozenset[Partition] = frozenset()
    requested: Mapping[str, Sequence[dg.RunRecord]] = field(default_factory=dict)


def history_of(instance: dg.DagsterInstance, needs: Sequence[Need]) -> History:
    """The runs that matter for these needs, by as many questions whatever their number is, or nearly."""
    if not needs:
        return History()
    requested: dict[str, list[dg.RunRecord]] = {}
    for keys in _in_batches((need.key for need in needs), _AT_ONCE):
        for record in instance.get_run_records(dg.RunsFilter(tags={REQUEST_TAG: keys})):
            requested.setdefault(record.dagster_run.tags[REQUEST_TAG], []).append(record)
    return History(frozenset(partition for _, partition in under_way(instance)), requested)


def verdict(need: Need, history: History, now: datetime, *, priority: int = 0) -> Verdict:
    """Whether a run is requested now for what is needed, by what became of the runs before."""
    if need.partition in history.busy:
        return Verdict(None, f"{need.job} of {need.partition} waits for a run of that partition")
    records = history.requested.get(need.key, ())
    if any(record.dagster_run.status is dg.DagsterRunStatus.CANCELED for record in records):
        return Verdict(None, f"{need.job} of {need.partition}: a run was cancelled, so it is left to you")
    if not records:
        return Verdict(run_request(need, priority=priority))
    if len(records) > len(RETRY_AFTER):
        return Verdict(
            None, f"{need.job} of {need.partition}: {len(records)} runs came to nothing, so it is left to you"
        )
    ended = max(
        datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC) for record in records
    )
    again = ended + RETRY_AFTER[len(records) - 1]
    if now < again:
        return Verdict(None, f"{need.job} of {need.partition} is tried again after {again:%Y-%m-%d %H:%M} UTC")
    return Verdict(run_request(need, len(records) + 1, priority=priority))


def under_way(instance: dg.DagsterInstance) -> set[tuple[str, Partition]]:
    """Jobs and partitions whose runs have not ended."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(IN_PROGRESS)))
    return {(run.job_name, partition_of(run.tags[_PARTITION_TAG])) for run in runs if _PARTITION_TAG in run.tags}


def backfills_of(instance: dg.DagsterInstance, tables: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """By job, the asset backfills under way that may still make one of the job's tables."""
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus  # noqa: PLC0415 - slow to import

    running = instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]))
    wanted = {job: {dg.AssetKey(name) for name in names} for job, names in tables.items()}
    return {
        job: [one.backfill_id for one in running if keys & set(one.asset_selection or ())]
        for job, keys in wanted.items()
    }


def _in_batches(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, size)):
        yield batch
