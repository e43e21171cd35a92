"""Checks that fail or warn now: per check and partition, the latest evaluation.

Belongs here: which evaluations stand, and the incident that each is. Does not belong here: what is checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from cm4ai_assets import runbook
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.defs.pages import RUNBOOK
from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.plain import from_markdown

_OVERDUE = "release_due"
_ROWS = AssetCheckExecutionsTable.c
_AT_ONCE = 200  # evaluations in one question: each may hold a picture
_EVENT = _ROWS.evaluation_event_storage_id
_SAME = (_ROWS.asset_key, _ROWS.check_name, _ROWS.partition)


@dataclass(frozen=True)
class Failing:
    """An evaluation that did not pass, and after which none did: the check, its partition, its run, since when."""

    check: dg.AssetCheckKey
    partition: str | None
    run_id: str
    evaluation: dg.AssetCheckEvaluation
    since: datetime

    @property
    def is_failure(self) -> bool:
        """It blocks: what was held against it is not published."""
        return self.evaluation.severity is dg.AssetCheckSeverity.ERROR


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


def check_incident(failing: Failing) -> Incident:
    """The incident that a failing check is."""
    asset, partition = failing.check.asset_key.to_user_string(), failing.partition
    kind, severity, runbook = _class_of(failing)
    about = f"{asset} of {partition}" if partition else asset
    verb = "failed" if failing.is_failure else "warns"
    title = "A release is overdue" if kind is Kind.RELEASE_OVERDUE else f"Check {failing.check.name} {verb}: {about}"
    return Incident(
        key=f"check:{asset}:{failing.check.name}:{partition or ''}",
        kind=kind,
        severity=severity,
        title=title,
        text=from_markdown(failing.evaluation.description or "It gave no reason."),
        link_path=f"/assets/{quote(asset)}?view=checks&checkDetail={quote(failing.check.name)}",
        runbook=runbook,
        since=failing.since,
    )


def _class_of(failing: Failing) -> tuple[Kind, Severity, str]:
    asset, check = failing.check.asset_key.to_user_string(), failing.check.name
    link = failing.evaluation.metadata.get(RUNBOOK)
    named = runbook.anchor_in(str(link.value)) if link else ""
    section = named or runbook.of_check(check, blocking=failing.is_failure)
    if failing.is_failure:
        return Kind.CHECK_FAILED, Severity.FAILURE, section
    overdue = (asset, check) == (COLLECTION, _OVERDUE)
    return Kind.RELEASE_OVERDUE if overdue else Kind.CHECK_WARNS, Severity.WARNING, section


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
