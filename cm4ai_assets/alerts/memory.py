"""What each channel knows, and what follows: one message an incident, one when it is over, and none a second time.

Belongs here: the memory between two looks, as the text that a sensor keeps, and the decision what is sent now. It
compares what is open with what a channel knows, not events: a look may be missed or repeated, and a memory that was
lost costs one digest. Does not belong here: sending (`delivery`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec

from cm4ai_assets.alerts.messages import Message, digest, ended_message, new_message
from cm4ai_assets.incidents import Incident, Severity, shown

APART = 3
"""So many incidents get a message each; more at once get one digest."""

PAUSE = timedelta(minutes=10)
"""Warnings and news wait so long after a message, and come together: a release that is made warns for half an hour."""

PER_HOUR = 12
"""Messages that a channel gets in an hour at most; what comes then waits, and comes as a digest."""

MOST_OPEN = 5000
_FIRST_RETRY, _LAST_RETRY = timedelta(minutes=1), timedelta(hours=1)
_TITLE = 80
_FORM = 1


@dataclass(frozen=True)
class Knowledge:
    """What one channel knows, and how it fares.

    Attributes:
        known: Digests of the keys of open incidents that it got a message of, with their titles; without one for news.
        sent: When it got messages, of the last hour (seconds since the epoch).
        failures: Messages in a row that it did not take.
        not_before: When it is tried again.
        reason: Why it did not take the last.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    sent: tuple[float, ...] = ()
    failures: int = 0
    not_before: float = 0.0
    reason: str = ""

    def rests(self, now: datetime) -> bool:
        """It failed, and is not tried again yet."""
        return self.failures > 0 and now.timestamp() < self.not_before

    def took(self, step: Step, now: datetime) -> Knowledge:
        """After it took a message."""
        known = {key: title for key, title in self.known.items() if key not in step.forgets} | dict(step.learns)
        recent = tuple(at for at in self.sent if at > (now - timedelta(hours=1)).timestamp())
        return Knowledge(known, (*recent, now.timestamp()))

    def forgot(self, step: Step) -> Knowledge:
        """Without what has grown old and needs no message."""
        return replace(self, known={key: title for key, title in self.known.items() if key not in step.forgets})

    def failed(self, reason: str, now: datetime) -> Knowledge:
        """After it did not take one: tried again after a minute, then after twice as long, at most after an hour."""
        wait = min(_FIRST_RETRY * 2 ** min(self.failures, 10), _LAST_RETRY)
        later = (now + wait).timestamp()
        return replace(self, failures=self.failures + 1, not_before=later, reason=shown(reason, _TITLE * 2))


@dataclass(frozen=True)
class Step:
    """A message to send, and what the channel knows once it took it. One without a message only forgets."""

    message: Message | None
    learns: Mapping[str, str] = field(default_factory=dict)
    forgets: frozenset[str] = frozenset()


def steps(incidents: Sequence[Incident], channel: Knowledge, ui_url: str, now: datetime) -> list[Step]:
    """What a channel is sent now, in order."""
    if channel.rests(now):
        return []
    opened = {_digest(one): one for one in incidents[:MOST_OPEN]}
    new = {key: one for key, one in opened.items() if key not in channel.known}
    gone = {key: title for key, title in channel.known.items() if key not in opened}
    ended = {key: title for key, title in gone.items() if title}
    silent = [Step(None, forgets=frozenset(gone.keys() - ended.keys()))] if gone.keys() - ended.keys() else []
    if not new and not ended:
        return silent
    urgent = any(one.severity is Severity.FAILURE for one in new.values())
    if not _may_send(channel, now, urgent=urgent):
        return silent
    if len(new) + len(ended) > APART:
        whole = digest(list(new.values()), list(ended.values()), ui_url)
        return [*silent, Step(whole, {key: _title(one) for key, one in new.items()}, frozenset(ended))]
    return [
        *silent,
        *(Step(new_message(one, ui_url), {key: _title(one)}) for key, one in new.items()),
        *(Step(ended_message(title, ui_url), forgets=frozenset([key])) for key, title in ended.items()),
    ]


def _may_send(channel: Knowledge, now: datetime, *, urgent: bool) -> bool:
    """A failure is sent at once, other things after a pause, and nothing beyond what an hour may have."""
    recent = [at for at in channel.sent if at > (now - timedelta(hours=1)).timestamp()]
    paused = bool(recent) and now.timestamp() - recent[-1] < PAUSE.total_seconds()
    return len(recent) < PER_HOUR and (urgent or not paused)


def _digest(incident: Incident) -> str:
    return hashlib.sha256(incident.key.encode()).hexdigest()[:12]


def _title(incident: Incident) -> str:
    return shown(incident.title, _TITLE) if incident.ends else ""


@dataclass(frozen=True)
class _Memory:
    """What is stored: its form, and each channel."""

    form: int
    channels: dict[str, Knowledge]


def read(text: str | None) -> dict[str, Knowledge]:
    """The memory of every channel; empty where the text is none of ours."""
    try:
        memory = msgspec.json.decode(text or "", type=_Memory)
    except msgspec.DecodeError:
        return {}
    return memory.channels if memory.form == _FORM else {}


def write(channels: Mapping[str, Knowledge]) -> str:
    """The memory as a text: no address, no secret, and no message stands in it."""
    return msgspec.json.encode(_Memory(_FORM, dict(channels))).decode()


def troubled(channel: Knowledge, now: datetime) -> str:
    """How a channel that failed fares, in a sentence; empty for one that takes its messages."""
    if not channel.failures:
        return ""
    again = datetime.fromtimestamp(channel.not_before, UTC)
    when = f"It is tried again after {again:%H:%M} UTC." if again > now else "It is tried again now."
    return f"{channel.failures} tries in a row failed: {channel.reason} {when}"
