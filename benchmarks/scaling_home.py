"""A Dagster instance in which so many releases have been made, in bulk: partitions, materializations, checks, runs.

Belongs here: writing them through Dagster's own storage classes, a transaction an asset. Does not belong here: what is
measured over them (`scaling`), and what stands in the storage (`scaling_storage`).

What Dagster's event log holds is what a year of runs leaves there: one materialization of each partition of each asset,
one evaluation of each of its checks, one run of each job and partition. Runs' own logs are not written; with SQLite
they are a file each, and no page that is measured here reads them.
"""

# ruff: noqa: SLF001 - in public Dagster writes one event in a transaction; here are hundreds of thousands
from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.events import AssetKey
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_JOB_NAME
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.defs.jobs import JOBS
from cm4ai_assets.defs.partitions import RELEASE, condition_releases, partition_key
from cm4ai_assets.storage.layout import Partition

ENDED = datetime(2026, 11, 1, tzinfo=UTC)
_PARTITION_TAG = "dagster/partition"
_PLACE = "the-partition"


@dataclass(frozen=True)
class Filled:
    """What was written."""

    materializations: int
    evaluations: int
    runs: int


def fill(instance: dg.DagsterInstance, defs: dg.Definitions, keys: Sequence[str]) -> Filled:
    """Make these releases partitions of a new instance, and record all their products as made and checked."""
    instance.add_dynamic_partitions(RELEASE, list(keys))
    graph, storage = defs.resolve_asset_graph(), instance.event_log_storage
    runs = instance.run_storage
    assert isinstance(storage, SqlEventLogStorage)
    assert isinstance(runs, SqlRunStorage)
    made = checked = 0
    for key in sorted(graph.get_all_asset_keys()):
        partitions = _partitions(graph, key, keys)
        checks = [(check, graph.get(check).blocking) for check in sorted(graph.get_check_keys_for_assets({key}))]
        made, checked = made + len(partitions), checked + len(partitions) * len(checks)
        _write(storage, key, checks, partitions)
    return Filled(made, checked, _write_runs(runs, list(_runs(defs, keys))))


def _partitions(graph: BaseAssetGraph[Any], key: AssetKey, keys: Sequence[str]) -> list[str | None]:
    definition = graph.get(key).partitions_def
    if definition is None:
        return [None]
    return [partition_key(one) for release in keys for one in _of(definition, release)]


def _of(definition: dg.PartitionsDefinition, release: str) -> list[Partition]:
    if definition == condition_releases:
        return [Partition(release, str(condition)) for condition in CONDITIONS]
    return [Partition(release)]


def _made(key: AssetKey, partition: str | None) -> EventLogEntry:
    materialization = dg.AssetMaterialization(
        key,
        partition=partition,
        metadata={"dagster/row_count": 1000, "path": f"tables/{key.path[-1]}/{partition}/data.parquet"},
        tags={"dagster/data_version": uuid.uuid5(uuid.NAMESPACE_URL, f"{key}{partition}").hex},
    )
    return _entry(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(materialization))


def _checked(check: dg.AssetCheckKey, partition: str | None, *, blocking: bool) -> EventLogEntry:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=check.asset_key, check_name=check.name, passed=True, blocking=blocking, partition=partition,
        description="As it should be.",
    )  # fmt: skip
    return _entry(DagsterEventType.ASSET_CHECK_EVALUATION, evaluation)


def _entry(kind: DagsterEventType, data: object) -> EventLogEntry:
    return EventLogEntry(
        error_info=None, level="debug", user_message="", run_id="", timestamp=ENDED.timestamp(),
        job_name=RUNLESS_JOB_NAME,
        dagster_event=DagsterEvent(kind.value, RUNLESS_JOB_NAME, event_specific_data=data),  # type: ignore[arg-type]
    )  # fmt: skip


def _write(
    storage: SqlEventLogStorage,
    key: AssetKey,
    checks: Sequence[tuple[dg.AssetCheckKey, bool]],
    partitions: Sequence[str | None],
) -> None:
    """One transaction for an asset. Ids are consecutive: nobody else writes."""
    with storage.index_transaction() as connection:
        first = 1 + (connection.execute(db.select(db.func.max(SqlEventLogStorageTable.c.id))).scalar() or 0)
        events = [_made(key, partition) for partition in partitions]
        connection.execute(SqlEventLogStorageTable.insert(), [storage._event_to_row(event) for event in events])
        storage._store_asset_event_tags(connection, events, range(first, first + len(events)))
        storage._store_asset_event(connection, events[-1], first + len(events) - 1)
        first += len(events)
        for check, blocking in checks:
            rows = _check_rows(storage, check, partitions, blocking=blocking)
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            connection.execute(
                AssetCheckExecutionsTable.insert(), [_execution(check, row, first + n) for n, row in enumerate(rows)]
            )
            first += len(rows)


def _check_rows(
    storage: SqlEventLogStorage, check: dg.AssetCheckKey, partitions: Sequence[str | None], *, blocking: bool
) -> list[dict[str, Any]]:
    """An event for each partition. It is written out once, and the partition put into it: there are hundreds of
    thousands."""
    if partitions == [None]:
        return [storage._event_to_row(_checked(check, None, blocking=blocking))]
    row = storage._event_to_row(_checked(check, _PLACE, blocking=blocking))
    return [{**row, "partition": one, "event": row["event"].replace(_PLACE, str(one))} for one in partitions]


def _execution(check: dg.AssetCheckKey, row: dict[str, Any], storage_id: int) -> dict[str, Any]:
    return {
        "asset_key": check.asset_key.to_string(),
        "check_name": check.name,
        "partition": row["partition"],
        "run_id": "",
        "execution_status": AssetCheckExecutionRecordStatus.SUCCEEDED.value,
        "evaluation_event": row["event"],
        "evaluation_event_timestamp": row["timestamp"],
        "evaluation_event_storage_id": storage_id,
    }


def _write_runs(storage: SqlRunStorage, runs: Sequence[dg.DagsterRun]) -> int:
    with storage.connect() as connection:
        connection.execute(
            RunsTable.insert(),
            [
                {
                    **storage._get_run_insertion_values(run, ENDED + timedelta(seconds=number)),
                    "start_time": (ENDED + timedelta(seconds=number)).timestamp(),
                    "end_time": (ENDED + timedelta(seconds=number + 60)).timestamp(),
                }
                for number, run in enumerate(runs)
            ],
        )
        tags = [{"run_id": run.run_id, "key": k, "value": v} for run in runs for k, v in run.tags_for_storage().items()]
        connection.execute(RunTagsTable.insert(), tags)
    return len(runs)


def _runs(defs: dg.Definitions, keys: Sequence[str]) -> Iterator[dg.DagsterRun]:
    """A run of each job and partition, oldest release first."""
    definitions = {job.name: defs.resolve_job_def(job.name).partitions_def for job in JOBS}
    for release in keys:
        for job, definition in definitions.items():
            for partition in _of(definition, release) if definition is not None else ():
                tags = {_PARTITION_TAG: partition_key(partition), "cm4ai/release": release}
                yield dg.DagsterRun(job, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags=tags)
