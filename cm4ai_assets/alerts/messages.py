"""What a message says: plain text of bounded length, which acts on no mail program and no chat.

Belongs here: from incidents to a title and a body. Does not belong here: sending (`delivery`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cm4ai_assets import runbook
from cm4ai_assets.incidents import Incident, Severity, counted, in_order, shown

LISTED = 20
"""Incidents that one digest names; of the rest it says how many they are."""

_SIGN = "[CM4AI]"
_ENDED_LISTED = 10
_WORDS = {Severity.FAILURE: "Failure", Severity.WARNING: "Warning", Severity.NEWS: "News"}
_LINE = 240
# Angle brackets make links and mentions in Slack and tags in HTML; some chats call everybody by @ and a word.
_ACTING = str.maketrans({"<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
                         ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"})  # fmt: skip
_MENTION = re.compile(r"@(?=everyone|here|channel|all\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Message:
    """A title on one line, and a body of plain text."""

    title: str
    body: str


def new_message(incident: Incident, ui_url: str) -> Message:
    """The message about one incident."""
    since = [f"Since: {incident.since:%Y-%m-%d %H:%M} UTC"] if incident.since else []
    remedy = [f"What to do: {_address(runbook.address(incident.runbook), ui_url)}"] if incident.runbook else []
    look = f"See: {_address(incident.link_path, ui_url)}"
    return _message(f"{_WORDS[incident.severity]}: {incident.title}", [incident.text, "", *since, look, *remedy])


def ended_message(title: str, ui_url: str) -> Message:
    """The message that an incident is over."""
    return _message(f"Over: {title}", ["This is not open any more.", "", f"See: {_address('/', ui_url)}"])


def digest(new: Sequence[Incident], ended: Sequence[str], ui_url: str) -> Message:
    """One message about many: those that matter most by name, of the rest how many there are."""
    lines = [f"- {_WORDS[one.severity]}: {one.title}" for one in in_order(new)[:LISTED]]
    lines += [f"and {len(new) - LISTED:,} more"] if len(new) > LISTED else []
    over = [f"- {title}" for title in ended[:_ENDED_LISTED]]
    over += [f"and {len(ended) - _ENDED_LISTED:,} more"] if len(ended) > _ENDED_LISTED else []
    title = ", ".join([*([counted(new)] if new else []), *([f"{len(ended):,} over"] if ended else [])])
    heading = ["New:", *lines, ""] if new else []
    heading += ["Over:", *over, ""] if ended else []
    return _message(title, [*heading, f"See: {_address('/runs', ui_url)}"])


def test_message(ui_url: str) -> Message:
    """What `cm4ai alerts test` sends."""
    said = "This is a test: messages about runs, checks and releases come here. Nothing needs to be done."
    return _message("Test message", [said, "", f"See: {_address('/', ui_url)}"])


def _message(title: str, lines: Sequence[str]) -> Message:
    return Message(f"{_SIGN} {harmless(title)}", "\n".join(harmless(line) for line in lines))


def harmless(text: str) -> str:
    """A text on one line that is shown as it is wherever it arrives, without secrets.

    >>> harmless("@everyone look")
    '(at)everyone look'
    """
    return _MENTION.sub("(at)", shown(text, _LINE * 3).translate(_ACTING))


def _address(path: str, ui_url: str) -> str:
    """The whole address of a page of the UI."""
    return f"{ui_url}/{path.lstrip('/')}"
