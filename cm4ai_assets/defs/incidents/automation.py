"""What should run by itself and does not: the daemon, sensors, schedules, and the look at the archive.

Belongs here: the incidents that each of them is. Does not belong here: sensors and schedules themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, SensorInstigatorData, TickStatus

from cm4ai_assets.alerts.memory import read
from cm4ai_assets.defs.heartbeats import heartbeats
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.incidents import Incident, Kind, Severity

NOT_SEEN_AFTER = timedelta(hours=6)
"""As the freshness of the collection warns; each look is shown after two hours at most."""

SILENT_AFTER = timedelta(minutes=30)
ALERTS = "alerts"
"""The sensor that sends messages."""

_FAILING_TICKS = 3  # in a row: one is the archive's or the network's moment
_DAEMONS = "/deployment/daemons"
_LOCATION = "cm4ai_assets"

Instigator = dg.SensorDefinition | dg.ScheduleDefinition


def automation_incidents(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime
) -> Iterator[Incident]:
    """What does not run by itself. Where the whole daemon is down, that is one incident and nothing else is."""
    down = _daemon_down(instance, now)
    if down is not None:
        yield down
        return
    states = states_of(instance)
    every: list[Instigator] = [*repository.sensor_defs, *repository.schedule_defs]
    for definition in every:
        state = states.get(definition.name)
        if state is not None and definition.default_status.value == "RUNNING":
            yield from _instigator_incidents(instance, definition, state, now)
    yield from _archive_not_seen(instance, now)
    if ALERTS in states:
        yield from _silent_channels(states[ALERTS])


def _daemon_down(instance: dg.DagsterInstance, now: datetime) -> Incident | None:
    """The parts of the daemon that are gone, as one incident; None if all live."""
    beats = heartbeats(instance, now)
    if beats.live:
        return None
    whole = len(beats.silent) == len(beats.parts)
    named = "" if whole else f": {', '.join(beats.silent)}"
    words = "Nothing is requested, queued or watched meanwhile." if beats.last else "It has never run on this instance."
    return Incident(
        key="daemon",
        kind=Kind.DAEMON_STOPPED,
        severity=Severity.FAILURE if beats.last else Severity.WARNING,
        title=f"{'The daemon' if whole else 'A part of the daemon'} is not running{named}",
        text=f"{words} `make ui` starts it.",
        link_path=_DAEMONS,
        runbook="daemon-not-running",
        since=beats.last,
    )


def states_of(instance: dg.DagsterInstance) -> dict[str, InstigatorState]:
    """What the instance knows of sensors and schedules by name; of one loaded in several ways, what runs."""
    states: dict[str, InstigatorState] = {}
    # An instance that only lives for a run has no sensors, and no storage for what they do.
    for state in instance.all_instigator_state() if instance.schedule_storage else ():
        if state.name not in states or state.is_running:
            states[state.name] = state
    return states


def _instigator_incidents(
    instance: dg.DagsterInstance, definition: Instigator, state: InstigatorState, now: datetime
) -> Iterator[Incident]:
    is_sensor = isinstance(definition, dg.SensorDefinition)
    word = "sensor" if is_sensor else "schedule"
    location = state.selector.location_name or _LOCATION
    link = f"/locations/{location}/{word}s/{definition.name}"
    ticks = [tick for tick in _ticks(instance, state) if tick.status is not TickStatus.STARTED]
    last = datetime.fromtimestamp(ticks[0].timestamp, UTC) if ticks else None
    if not state.is_running:
        yield Incident(
            f"stopped:{definition.name}",
            Kind.AUTOMATION_STOPPED,
            Severity.WARNING,
            f"The {word} {definition.name} is switched off",
            f"{definition.description or ''} It is meant to run; switch it on in the UI.",
            link,
            "sensor-stopped",
            last,
        )
    elif failing := _failing(ticks, _FAILING_TICKS if is_sensor else 1):
        error = failing[0].error
        yield Incident(
            f"ticks:{definition.name}",
            Kind.TICKS_FAIL,
            Severity.FAILURE,
            f"The {word} {definition.name} fails",
            error.message if error else "Its last ticks failed.",
            link,
            "ticks-fail",
            datetime.fromtimestamp(failing[-1].timestamp, UTC),
        )
    elif isinstance(definition, dg.SensorDefinition) and (quiet := _silent_since(definition, state, now)):
        yield Incident(
            f"stopped:{definition.name}",
            Kind.AUTOMATION_STOPPED,
            Severity.FAILURE,
            f"The sensor {definition.name} has stopped",
            f"Its last tick was at {quiet:%Y-%m-%d %H:%M} UTC, though the daemon lives. Start the daemon again.",
            link,
            "sensor-stopped",
            quiet,
        )


def _ticks(instance: dg.DagsterInstance, state: InstigatorState) -> list[InstigatorTick]:
    """The latest ticks, newest first; one may be under way."""
    return list(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_FAILING_TICKS + 1))


def _failing(ticks: list[InstigatorTick], enough: int) -> list[InstigatorTick]:
    """The latest ticks if as many as are enough failed in a row; else none."""
    latest = ticks[:enough]
    return latest if len(latest) == enough and all(t.status is TickStatus.FAILURE for t in latest) else []


def _silent_since(definition: dg.SensorDefinition, state: InstigatorState, now: datetime) -> datetime | None:
    data = state.instigator_data
    if not isinstance(data, SensorInstigatorData) or not data.last_tick_timestamp:
        return None
    last = datetime.fromtimestamp(data.last_tick_timestamp, UTC)
    allowed = max(SILENT_AFTER, timedelta(seconds=10 * (definition.minimum_interval_seconds or 0)))
    return last if now - last > allowed else None


def channel_key(channel: str) -> str:
    """The key of the incident that a channel does not take its messages."""
    return f"channel:{channel}"


def _silent_channels(alerts: InstigatorState) -> Iterator[Incident]:
    """Channels that messages do not arrive at: who waits for one sees nothing. Another channel does, and the page."""
    data = alerts.instigator_data
    channels = read(data.cursor) if isinstance(data, SensorInstigatorData) else {}
    for key, channel in channels.items():
        if channel.failures >= _FAILING_TICKS:
            yield Incident(
                channel_key(key),
                Kind.CHANNEL_FAILS,
                Severity.FAILURE,
                f"Messages do not arrive: {key.partition('-')[0]}",
                f"{channel.failures} tries in a row failed: {channel.reason} `cm4ai alerts test` tries it now.",
                f"/locations/{alerts.selector.location_name or _LOCATION}/sensors/{ALERTS}",
                "messages-do-not-arrive",
            )


def _archive_not_seen(instance: dg.DagsterInstance, now: datetime) -> Iterator[Incident]:
    """The release sensor skips its ticks while the archive does not answer: no tick fails of it."""
    event = instance.get_latest_materialization_event(dg.AssetKey(COLLECTION))
    if event is None:
        return
    seen = datetime.fromtimestamp(event.timestamp, UTC)
    if now - seen > NOT_SEEN_AFTER:
        yield Incident(
            "archive-not-seen",
            Kind.ARCHIVE_NOT_SEEN,
            Severity.WARNING,
            "The archive was not looked at",
            f"The last whole look was at {seen:%Y-%m-%d %H:%M} UTC. The ticks of release_sensor say why.",
            f"/assets/{COLLECTION}",
            "archive-not-seen",
            seen,
        )
