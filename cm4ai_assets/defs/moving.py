"""An instance of one machine copied into the database that several machines share, by Dagster's own storage interface.

Events are stored anew, one by one in the order of time, so that everything that Dagster derives from them
(materializations, checks, asset keys, when runs began and ended) has the ids of the new database. Rows would not do:
SQLite keeps a file for each run, and ids that mean another event elsewhere.

Belongs here: what is copied, and in which order. Does not belong here: an instance made from the storage
(`rebuilding`).
"""

from __future__ import annotations

import heapq
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.definitions.sensor_definition import SensorType
from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData

from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.errors import ConfigurationError, RunError

Tell = Callable[[str], None]
_RUNS = Path("history") / "runs.db"  # where SQLite's runs are, below DAGSTER_HOME
_PAGE, _SHOWN_EVERY = 1000, 5000  # events
_NO_RUN = ""  # what Dagster takes for the run of an event that no run emitted
_CONNECTIONS = {"statement_timeout": 60_000, "pool_recycle": 3600, "max_overflow": 5}


@dataclass(frozen=True)
class Moved:
    """What was copied."""

    partitions: int
    runs: int
    events: int
    switches: int
    ticks: int


@contextmanager
def open_files(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance in the SQLite files of a home, whatever its dagster.yaml says by now.

    Raises:
        ConfigurationError: There is none.
    """
    if not (home / _RUNS).is_file():
        raise ConfigurationError(
            f"{home} holds no Dagster instance in SQLite.", remedy="Name the DAGSTER_HOME that was used so far."
        )
    with tempfile.TemporaryDirectory() as folder:
        config = {"storage": {"sqlite": {"base_dir": str(home)}}, "telemetry": {"enabled": False}}
        (Path(folder) / "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.from_config(folder) as instance:
            yield instance


def move(old: dg.DagsterInstance, new: dg.DagsterInstance, tell: Tell) -> Moved:
    """Copy an instance into an empty one: partitions, runs and their events, sensors, schedules, pools, backfills.

    The cursor of `automation` is not copied, because it holds ids of events; it begins anew, as after a rebuild.

    Raises:
        ConfigurationError: The new one is not empty.
        RunError: A run of the old one has not ended.
    """
    if new.get_runs_count() or new.get_asset_keys():
        raise ConfigurationError(
            "The database of CM4AI_DATABASE has runs or assets already.",
            remedy="Copy into an empty database: drop it and create it again if a copy was cut short.",
        )
    if unfinished := [run.run_id for run in old.get_runs() if not run.is_finished]:
        raise RunError(
            f"{len(unfinished)} runs have not ended: {', '.join(unfinished[:5])}.",
            remedy="End `make ui` and wait for them, or cancel them; then run again.",
        )
    new.optimize_for_webserver(**_CONNECTIONS)  # keeps its connections open, as nothing else does
    partitions = old.get_dynamic_partitions(RELEASE)
    new.add_dynamic_partitions(RELEASE, partitions)
    records = sorted(old.get_run_records(), key=lambda record: record.create_timestamp)
    for record in records:
        _add_run(old, new, record)
    events = _copy_events(old, new, records, tell)
    switches, ticks = _copy_switches(old, new)
    for limit in old.event_log_storage.get_pool_limits():
        if not limit.from_default:
            new.event_log_storage.set_concurrency_slots(limit.name, limit.limit)
    for backfill in old.get_backfills():
        new.add_backfill(backfill)
    return Moved(len(partitions), len(records), events, switches, ticks)


def _add_run(old: dg.DagsterInstance, new: dg.DagsterInstance, record: dg.RunRecord) -> None:
    """A run with what it ran. Its times come with its events."""
    run, source, target = record.dagster_run, old.run_storage, new.run_storage
    if run.job_snapshot_id:
        job = source.get_job_snapshot(run.job_snapshot_id)
        if job.lineage_snapshot:
            target.add_job_snapshot(source.get_job_snapshot(job.lineage_snapshot.parent_snapshot_id))
        target.add_job_snapshot(job)
    if run.execution_plan_snapshot_id:
        target.add_execution_plan_snapshot(source.get_execution_plan_snapshot(run.execution_plan_snapshot_id))
    target.add_historical_run(run, record.create_timestamp)


def _copy_events(old: dg.DagsterInstance, new: dg.DagsterInstance, records: list[dg.RunRecord], tell: Tell) -> int:
    number = 0
    for number, event in enumerate(_in_order(old, records), 1):
        new.event_log_storage.store_event(event)
        if event.dagster_event is not None and event.run_id:
            at = datetime.fromtimestamp(event.timestamp, UTC)
            new.run_storage.handle_run_event(event.run_id, event.dagster_event, at)
        if number % _SHOWN_EVERY == 0:
            tell(f"{number} events copied, up to {datetime.fromtimestamp(event.timestamp, UTC):%Y-%m-%d %H:%M}.")
    return number


def _in_order(old: dg.DagsterInstance, records: list[dg.RunRecord]) -> Iterator[dg.EventLogEntry]:
    """The events of all runs in the order of time. A run's own are read when it begins, and keep their order."""
    ahead = deque([(0.0, _NO_RUN), *((r.create_timestamp.timestamp(), r.dagster_run.run_id) for r in records)])
    heap: list[tuple[float, int, dg.EventLogEntry, Iterator[dg.EventLogEntry]]] = []
    latest, begun = 0.0, 0
    while ahead or heap:
        if ahead and (not heap or ahead[0][0] <= heap[0][0]):
            events, begun = _events(old, ahead.popleft()[1]), begun + 1
            number = begun
        else:
            latest, number, event, events = heapq.heappop(heap)
            yield event
        if following := next(events, None):
            # A clock that was set back must not turn the order within a run.
            heapq.heappush(heap, (max(following.timestamp, latest), number, following, events))


def _events(old: dg.DagsterInstance, run_id: str) -> Iterator[dg.EventLogEntry]:
    cursor, has_more = None, True
    while has_more:
        page = old.event_log_storage.get_records_for_run(run_id, cursor=cursor, limit=_PAGE)
        cursor, has_more = page.cursor, page.has_more
        yield from (record.event_log_entry for record in page.records)


def _without_ids(state: InstigatorState) -> InstigatorState:
    """The state of a sensor or schedule. Only cursors of sensors of our own hold no ids of events."""
    data = state.instigator_data
    if isinstance(data, SensorInstigatorData) and data.sensor_type is not SensorType.STANDARD:
        return state._replace(instigator_data=data._replace(cursor=None))
    return state


def _copy_switches(old: dg.DagsterInstance, new: dg.DagsterInstance) -> tuple[int, int]:
    """Which sensors and schedules are on, what they remember, and when they ticked."""
    source, target = old.schedule_storage, new.schedule_storage
    if source is None or target is None:
        return 0, 0
    states, ticks = source.all_instigator_state(), 0
    for state in states:
        target.add_instigator_state(_without_ids(state))
        for tick in reversed(source.get_ticks(state.instigator_origin_id, state.selector_id)):
            target.create_tick(tick.tick_data)
            ticks += 1
    return len(states), ticks
