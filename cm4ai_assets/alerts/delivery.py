"""Sending: by a process of its own, which has a deadline, and whose errors hold no secret.

A receiver may be slow, endless or hostile: it holds up neither the sensor nor another channel and no run. Belongs here:
channels and that process. Does not belong here: what Apprise is asked for (`send`).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cm4ai_assets.alerts.messages import Message
from cm4ai_assets.incidents import shown
from cm4ai_assets.settings import Settings, secret_pieces
from cm4ai_assets.transfer.redaction import HIDDEN, hide

SECONDS = 20
"""What a channel has for all its messages."""

PATIENCE = 45.0
"""Seconds until the whole process is ended, however busy the machine is. Dagster ends the tick of a sensor after 60."""

_SEND = Path(__file__).with_name("send.py")
_REASON = 200
_NOT_FOR_THEM = ("CM4AI_ALERTS", "CM4AI_DATABASE", "CM4AI_BROKER", "DATAVERSE_API_TOKEN")


@dataclass(frozen=True)
class Channel:
    """One way to people: its address, a secret; its name, which is shown; and the key that its memory is kept under."""

    url: str = field(repr=False)
    name: str
    key: str


@dataclass(frozen=True)
class Outcome:
    """How many of its messages a channel took, one after the other, and why not the next; empty if it took all."""

    taken: int
    reason: str = ""


def channels(settings: Settings) -> list[Channel]:
    """The channels of CM4AI_ALERTS, whose secrets are kept out of everything that this process writes from now on."""
    for secret in settings.secrets:
        hide(secret)
    found: dict[str, Channel] = {}
    for number, url in enumerate(settings.alerts, start=1):
        scheme = url.partition("://")[0].lower()
        # Another address is another channel. 16 bits tell a few channels apart and say next to nothing of a secret.
        key = f"{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:4]}"
        found.setdefault(key, Channel(url, f"channel {number} ({scheme})", key))
    return list(found.values())


def deliver(batches: Mapping[Channel, Sequence[Message]], *, seconds: int = SECONDS) -> dict[Channel, Outcome]:
    """Send each channel its messages, all channels at once. Nothing is raised for a channel that does not take them.

    The addresses go into the process by its input, where no list of processes shows them.
    """
    wanted = {channel: [asdict(message) for message in messages] for channel, messages in batches.items() if messages}
    if not wanted:
        return {}
    asked = {"seconds": seconds, "channels": [{"url": one.url, "messages": texts} for one, texts in wanted.items()]}
    lines = _lines(json.dumps(asked).encode())
    return {
        channel: _outcome(channel, len(texts), [line for of, _, line in lines if of == str(number)])
        for number, (channel, texts) in enumerate(wanted.items())
    }


def _lines(asked: bytes) -> list[tuple[str, str, str]]:
    """What the process says, each line apart at its first blank."""
    process = subprocess.Popen(  # noqa: S603 - this interpreter, and a file of this package
        [sys.executable, "-P", str(_SEND)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name not in _NOT_FOR_THEM},
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(asked, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
    return [line.partition(" ") for line in said.decode("utf-8", "replace").splitlines()]


def _outcome(channel: Channel, asked: int, lines: Sequence[str]) -> Outcome:
    taken = lines.count("taken")
    if taken >= asked:
        return Outcome(taken)
    refused = [line.removeprefix("refused: ") for line in lines if line.startswith("refused: ")]
    return Outcome(taken, _without_pieces([*refused, "Sending did not end in time."][0], channel.url))


def _without_pieces(reason: str, url: str) -> str:
    """A reason without the parts of the address that may be secret: errors quote whole addresses."""
    for piece in sorted([url, *secret_pieces(url)], key=len, reverse=True):
        reason = reason.replace(piece, HIDDEN)
    return shown(reason, _REASON)
