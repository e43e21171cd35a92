"""What needs a person: one form for a failed run, a warning check, a stopped sensor, and for news such as a release.

Belongs here: that form, and that its texts may be shown anywhere. Does not belong here: which incidents are open now
(`defs.incidents`), who gets a message of them (`alerts`), and the page that lists them (`status`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from cm4ai_assets.plain import for_terminal
from cm4ai_assets.transfer.redaction import without_secrets

TITLE_WIDTH, TEXT_WIDTH, KEY_WIDTH = 140, 600, 240
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Severity(StrEnum):
    """How much an incident matters, worst first."""

    FAILURE = "failure"
    WARNING = "warning"
    NEWS = "news"


class Kind(StrEnum):
    """What an incident is about."""

    RUN_FAILED = "run failed"
    CHECK_FAILED = "check failed"
    CHECK_WARNS = "check warns"
    RELEASE_NEW = "new release"
    RELEASE_OVERDUE = "release overdue"
    EMBARGO_ENDED = "embargo ended"
    AUTOMATION_STOPPED = "automation stopped"
    TICKS_FAIL = "ticks fail"
    ARCHIVE_NOT_SEEN = "archive not seen"
    CHANNEL_FAILS = "messages do not arrive"
    STORAGE_AWAY = "storage cannot be read"
    LOCK_DAMAGED = "lock cannot be read"
    DAEMON_STOPPED = "daemon not running"


@dataclass(frozen=True)
class Incident:
    """Something that needs a person, or that one wants to hear of, as long as it lasts.

    Its texts are one line each, bounded, without secrets, and act on no terminal: they may quote what an archive or a
    server wrote. Who shows them in HTML or Markdown escapes them like any other text.

    Attributes:
        key: Names the incident as long as it lasts: the same fault seen again has the same key.
        kind: What it is about.
        severity: How much it matters.
        title: What happened, in a few words.
        text: What is known of it: the error's own words, the summary of the check.
        link_path: Where the UI shows it: a path, from the first slash, to be put behind the UI's address.
        runbook: The section of the runbook (`runbook.address`); None where there is none.
        since: When it began (UTC); None where nothing says so.
    """

    key: str
    kind: Kind
    severity: Severity
    title: str
    text: str
    link_path: str = "/"
    runbook: str | None = None
    since: datetime | None = field(default=None)

    def __post_init__(self) -> None:
        """Make the texts such that they may be shown."""
        for name, width in (("key", KEY_WIDTH), ("title", TITLE_WIDTH), ("text", TEXT_WIDTH)):
            object.__setattr__(self, name, shown(getattr(self, name), width))

    @property
    def ends(self) -> bool:
        """It is over some day, which is worth a message. News only grow old."""
        return self.severity is not Severity.NEWS


def shown(text: str, width: int) -> str:
    r"""A text as one line of at most `width` characters, without secrets and without what acts on a terminal.

    >>> shown("a\nb" + "c" * 9, 6)
    'a bcc…'
    """
    line = " ".join(for_terminal(without_secrets(text)).split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def in_order(found: Iterable[Incident]) -> list[Incident]:
    """Worst first, and of one severity the newest first."""
    rank = {severity: number for number, severity in enumerate(Severity)}
    newest = sorted(found, key=lambda one: (one.since or _EARLIEST, one.key), reverse=True)
    return sorted(newest, key=lambda one: rank[one.severity])


def counted(found: Iterable[Incident]) -> str:
    """How many there are of each severity.

    >>> counted([])
    'nothing'
    """
    counts = Counter(one.severity for one in found)
    words = {Severity.FAILURE: "failure", Severity.WARNING: "warning", Severity.NEWS: "news"}
    said = [
        f"{counts[severity]} {word}{'s' if counts[severity] > 1 and severity is not Severity.NEWS else ''}"
        for severity, word in words.items()
        if counts[severity]
    ]
    return ", ".join(said) or "nothing"
