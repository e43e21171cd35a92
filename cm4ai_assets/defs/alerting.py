"""The sensor that sends messages about what is open.

Belongs here: one tick, from what is open to messages and what each channel knows. Does not belong here: what is open
(`incidents`), what is sent when (`alerts.memory`), and how (`alerts.delivery`).
"""

# Dagster reads the annotations itself, not as strings: no `from __future__ import annotations` here.
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from cm4ai_assets.alerts.delivery import Channel, channels, deliver
from cm4ai_assets.alerts.memory import Knowledge, Step, read, steps, troubled, write
from cm4ai_assets.defs.incidents import open_incidents
from cm4ai_assets.defs.incidents.automation import ALERTS, channel_key
from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.incidents import Incident, counted
from cm4ai_assets.platform import Platform
from cm4ai_assets.settings import Settings

_EVERY_SECONDS = 60


def tick(found: Sequence[Incident], settings: Settings, cursor: str | None, now: datetime) -> tuple[str, str]:
    """Send what is new since the last tick: the cursor for the next, and what there is to say."""
    every, memory = channels(settings), read(cursor)
    known = {channel: memory.get(channel.key, Knowledge()) for channel in every}
    planned = {channel: steps(_but_its_own(found, channel), known[channel], settings.ui_url, now) for channel in every}
    texts = {channel: [step.message for step in sent if step.message] for channel, sent in planned.items()}
    outcomes = deliver(texts)
    said = [f"Open: {counted(found)}."]
    for channel in every:
        outcome = outcomes.get(channel)
        known[channel] = _after(known[channel], planned[channel], outcome.taken if outcome else 0, now)
        if outcome and outcome.reason:
            known[channel] = known[channel].failed(outcome.reason, now)
        said += _sentences(channel, known[channel], outcome.taken if outcome else 0, now)
    return write({channel.key: knowledge for channel, knowledge in known.items()}), " ".join(said)


def _but_its_own(found: Sequence[Incident], channel: Channel) -> list[Incident]:
    """That a channel does not take messages is no news to it."""
    return [one for one in found if one.key != channel_key(channel.key)]


def _after(channel: Knowledge, planned: Sequence[Step], taken: int, now: datetime) -> Knowledge:
    """What a channel knows after it took so many of its messages."""
    for step in planned:
        if step.message is None:
            channel = channel.forgot(step)
        elif taken:
            channel, taken = channel.took(step, now), taken - 1
    return channel


def _sentences(channel: Channel, knowledge: Knowledge, taken: int, now: datetime) -> list[str]:
    trouble = troubled(knowledge, now)
    sent = [f"{channel.name} took {taken} message{'s' if taken > 1 else ''}."] if taken else []
    return [*sent, *([f"{channel.name}: {trouble}"] if trouble else [])]


@dg.sensor(
    name=ALERTS,
    minimum_interval_seconds=_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends messages about failed runs, checks that fail or warn, stopped automation and news to the "
    "channels of CM4AI_ALERTS: one for each incident, one when it is over. Does nothing where none is set.",
)
def alerts(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SensorResult:
    """One look at what is open. Whatever goes wrong here is said here and fails nothing else."""
    repository = context.repository_def
    try:
        if not platform.settings.alerts or repository is None:
            return dg.SensorResult(skip_reason="CM4AI_ALERTS is not set: nothing is sent.", cursor=context.cursor)
        now = datetime.now(UTC)
        found = open_incidents(context.instance, platform.store, repository, now)
        cursor, said = tick(found, platform.settings, context.cursor, now)
    except Cm4aiError as error:
        return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
    return dg.SensorResult(skip_reason=said, cursor=cursor)
