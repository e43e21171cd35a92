"""What the instance has recorded, as the plain data of `status.recorded`, by a few questions whatever its size.

Belongs here: asking. No definitions are loaded: they take seconds, and a person waits at a terminal. Does not belong
here: what waits and why (`requests`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import dagster as dg
import sqlalchemy as sa
from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData, TickStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from cm4ai_assets.defs.heartbeats import heartbeats
from cm4ai_assets.defs.home import describe
from cm4ai_assets.defs.incidents.automation import states_of
from cm4ai_assets.defs.incidents.checks import Failing
from cm4ai_assets.defs.incidents.evaluations import failing_checks
from cm4ai_assets.defs.status.requests import requests
from cm4ai_assets.incidents import TEXT_WIDTH, shown
from cm4ai_assets.plain import from_markdown
from cm4ai_assets.settings import Settings
from cm4ai_assets.status.recorded import CheckState, Day, Look, Picture, Recorded, Ticker
from cm4ai_assets.updates.cursor import Cursor

RELEASE_SENSOR: Final = "release_sensor"
DAYS: Final = timedelta(days=28)
_MOST_RUNS = 5_000
_PICTURE = re.compile(
    r"!\[(?P<alt>(?:[^\]\\]|\\.)*)\]\(data:(?P<mime>image/[a-z+]+);base64,(?P<data>[A-Za-z0-9+/=]+)\)"
)
_ROWS = AssetCheckExecutionsTable.c


@dataclass(frozen=True)
class Checks:
    """The checks that were ever evaluated here and in how many partitions, and the evaluations that did not pass."""

    evaluated: Mapping[dg.AssetCheckKey, int]
    failing: Sequence[Failing]


def checks_of(instance: dg.DagsterInstance) -> Checks:
    """Ask an instance, once for the page and for what needs a person."""
    known = known_checks(instance)
    return Checks(known, failing_checks(instance, known))


def recorded(instance: dg.DagsterInstance, settings: Settings, now: datetime, checks: Checks) -> Recorded:
    """What an instance has recorded.

    Args:
        instance: The instance.
        settings: Which archive is watched.
        now: The time, with its zone.
        checks: What `checks_of` says of it.
    """
    states = states_of(instance)
    beats = heartbeats(instance, now)
    daemon = beats.live if beats.ever else None
    return Recorded(
        where=describe(instance),
        look=_look(states.get(RELEASE_SENSOR), settings),
        checks=tuple(map(_check, checks.failing)),
        evaluated=sum(checks.evaluated.values()),
        requests=tuple(requests(instance, daemon=daemon)),
        tickers=tuple(_ticker(instance, state) for _, state in sorted(states.items())),
        days=tuple(_days(instance, now)),
        daemon=daemon,
    )


def known_checks(instance: dg.DagsterInstance) -> dict[dg.AssetCheckKey, int]:
    """The checks that were ever evaluated here, and in how many partitions."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return {}
    same = (_ROWS.asset_key, _ROWS.check_name, _ROWS.partition)
    evaluated = _ROWS.execution_status != AssetCheckExecutionRecordStatus.PLANNED.value
    with storage.index_connection() as connection:
        rows = connection.execute(sa.select(*same).where(evaluated).distinct()).all()
    keys = ((dg.AssetKey.from_db_string(row.asset_key), row.check_name) for row in rows)
    return dict(Counter(dg.AssetCheckKey(asset, name) for asset, name in keys if asset is not None))


def _check(failing: Failing) -> CheckState:
    evaluation = failing.evaluation
    return CheckState(
        asset=failing.check.asset_key.to_user_string(),
        check=failing.check.name,
        partition=failing.partition,
        severity="failure" if failing.is_failure else "warning",
        summary=shown(from_markdown(evaluation.description or "It gave no reason."), TEXT_WIDTH),
        since=failing.since,
        run_id=failing.run_id,
        pictures=tuple(pictures(evaluation)),
    )


def pictures(evaluation: dg.AssetCheckEvaluation) -> Iterator[Picture]:
    """The pictures that stand in the metadata of an evaluation; what cannot be decoded is none."""
    for value in evaluation.metadata.values():
        if isinstance(value, dg.MarkdownMetadataValue) and value.md_str:
            for found in _PICTURE.finditer(value.md_str):
                try:
                    data = base64.b64decode(found["data"], validate=True)
                except binascii.Error:
                    continue
                yield Picture(from_markdown(found["alt"]), found["mime"], data)


def _look(state: InstigatorState | None, settings: Settings) -> Look | None:
    data = None if state is None else state.instigator_data
    if not isinstance(data, SensorInstigatorData):
        return None
    cursor = Cursor.read(data.cursor, archive=f"{settings.dataverse_url} {settings.collection}")
    if cursor.last_look is None:
        return None
    return Look(
        last_look=cursor.last_look,
        last_success=cursor.last_success,
        datasets=len(cursor.versions),
        versions=sum(map(len, cursor.versions.values())),
        trouble=cursor.trouble,
        not_before=cursor.not_before,
    )


def _ticker(instance: dg.DagsterInstance, state: InstigatorState) -> Ticker:
    kind: Literal["sensor", "schedule"] = "schedule" if state.instigator_type.value == "SCHEDULE" else "sensor"
    found = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
    ticks = [tick for tick in found if tick.status is not TickStatus.STARTED]
    if not ticks:
        return Ticker(state.name, kind, is_on=state.is_running)
    tick = ticks[0]
    said = tick.error.message if tick.error else tick.skip_reason or ""
    if tick.run_ids:
        said = f"{len(tick.run_ids)} runs requested. {said}"
    return Ticker(
        state.name,
        kind,
        is_on=state.is_running,
        last_tick=datetime.fromtimestamp(tick.timestamp, UTC),
        outcome=tick.status.value.lower(),
        says=shown(said, TEXT_WIDTH),
    )


def _days(instance: dg.DagsterInstance, now: datetime) -> Iterator[Day]:
    """The runs that ended in the last weeks, by day."""
    ended = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        updated_after=now - DAYS,
    )
    counts = Counter(
        (datetime.fromtimestamp(record.end_time, UTC).date(), record.dagster_run.status)
        for record in instance.get_run_records(ended, limit=_MOST_RUNS)
        if record.end_time
    )
    for day in sorted({day for day, _ in counts}):
        succeeded, failed, cancelled = (
            counts[day, one]
            for one in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
        )
        yield Day(day, succeeded, failed, cancelled)
