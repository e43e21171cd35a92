"""The evaluations of checks that stand and did not pass, by one question to the database of Dagster's events.

Belongs here: that question. Does not belong here: the incident that an evaluation is (`checks`). Whoever loads the code
location needs none of this: SQLAlchemy and Dagster's storages take 0.4 s to import, so this module is imported late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from cm4ai_assets.defs.incidents.checks import Failing

_ROWS = AssetCheckExecutionsTable.c
_AT_ONCE = 200  # evaluations in one question: each may hold a picture
_EVENT = _ROWS.evaluation_event_storage_id
_SAME = (_ROWS.asset_key, _ROWS.check_name, _ROWS.partition)


def failing_checks(instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey]) -> list[Failing]:
    """The evaluations that stand and did not pass, of the checks that there are.

    Dagster's own question for them takes seconds: it asks check by check, or partition by partition (1.13.27), and for
    it a run that was planned and evaluated nothing is the latest state. This is asked every minute.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []
    with storage.index_connection() as connection:
        lasting = {row.event: row for row in connection.execute(_lasting()) if _check(row) in checks}
        rows = [row for events in _in_batches(sorted(lasting)) for row in connection.execute(_evaluations(events))]
    return [failing for row in rows for failing in _failing(row, lasting[row.event].first)]


def _lasting() -> sa.Select[Any]:
    """Per check and partition whose latest evaluation failed: its event, and when the first failed after a success.

    Evaluations are in the order of their events: the row of a long run is older than what is evaluated meanwhile. A row
    that is only planned is no evaluation.
    """
    passed = (
        sa.select(*_SAME, sa.func.max(_EVENT).label("last"))
        .where(_ROWS.execution_status == AssetCheckExecutionRecordStatus.SUCCEEDED.value)
        .group_by(*_SAME)
        .subquery()
    )
    same = [mine.is_not_distinct_from(passed.c[mine.name]) for mine in _SAME]
    return (
        sa.select(
            sa.func.max(_EVENT).label("event"), sa.func.min(_ROWS.evaluation_event_timestamp).label("first"), *_SAME
        )
        .select_from(AssetCheckExecutionsTable.outerjoin(passed, sa.and_(*same)))
        .where(_ROWS.execution_status == AssetCheckExecutionRecordStatus.FAILED.value)
        .where(sa.func.coalesce(passed.c.last, 0) < _EVENT)
        .group_by(*_SAME)
    )


def _evaluations(events: list[int]) -> sa.Select[Any]:
    columns = (_EVENT.label("event"), *_SAME, _ROWS.run_id, _ROWS.evaluation_event)
    return sa.select(*columns).where(_EVENT.in_(events)).order_by(_EVENT)


def _in_batches(events: list[int]) -> list[list[int]]:
    return [events[start : start + _AT_ONCE] for start in range(0, len(events), _AT_ONCE)]


def _check(row: sa.Row[Any]) -> dg.AssetCheckKey | None:
    asset = dg.AssetKey.from_db_string(row.asset_key)
    return None if asset is None else dg.AssetCheckKey(asset, row.check_name)


def _failing(row: sa.Row[Any], first: datetime) -> Iterator[Failing]:
    check, entry = _check(row), dg.deserialize_value(row.evaluation_event, dg.EventLogEntry)
    if check is not None and entry.dagster_event is not None:
        evaluation = entry.dagster_event.asset_check_evaluation_data
        yield Failing(check, row.partition, row.run_id, evaluation, first.replace(tzinfo=UTC))
