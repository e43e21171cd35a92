"""The cause of an error that is not our own, in one readable line, with a remedy where one is known.

Belongs here: what foreign exceptions (the operating system, SQLite, parsers) mean to the person at the terminal. Does
not belong here: our own errors, which carry their remedy (`errors`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from cm4ai_assets.errors import Cm4aiError

INTERRUPTED: Final = "DagsterExecutionInterruptedError"
"""The error of a step that was ended from outside; it says nothing else."""

_INSTANCE = "the Dagster instance (DAGSTER_HOME)"
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"No space left on device|disk is full|Disk quota exceeded",
        "Free some space, or set CM4AI_STORAGE and CM4AI_SCRATCH to a larger disk; then run the same command again.",
        "disk-full",
    ),
    (
        r"Read-only file system|readonly database",
        "Mount it writable, or set CM4AI_STORAGE, CM4AI_SCRATCH and DAGSTER_HOME to folders that can be written.",
        "not-writable",
    ),
    (
        r"Permission denied|unable to open database file",
        "Let this user write there, or set CM4AI_STORAGE, CM4AI_SCRATCH and DAGSTER_HOME to other folders.",
        "not-writable",
    ),
    (
        r"Access ?Denied|Forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|request signature|Access Key Id",
        "Let AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role, use the bucket of CM4AI_STORAGE.",
        "not-writable",
    ),
    (
        r"database is locked",
        f"Another process holds the database of {_INSTANCE}. Wait until it has ended, or end it; then run again.",
        "database-locked",
    ),
    (
        r"overlaps with other requested revisions|[Mm]ultiple head|disk image is malformed|file is not a database",
        f"The database of {_INSTANCE} is damaged. Move that folder away and run `cm4ai rebuild`.",
        "instance-lost",
    ),
    (
        r"psycopg2?\.OperationalError|too many retries for DB connection",
        "The database of CM4AI_DATABASE restarts or cannot be reached. Run again: it goes on from what is stored.",
        "database-away",
    ),
    (r"Too many open files", "Raise the limit of open files (`ulimit -n 4096`) and run again.", "settings"),
)
_ERRNO = re.compile(r"\[Errno \d+\] ")
_PREFIX = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?::\s*(?P<text>.*))?$", re.DOTALL)
_OURS = re.compile(r"^(cm4ai_assets\.[\w.]+)(?=:|$)", re.MULTILINE)
_SAID_PLAINLY = ("cm4ai_assets.", "dagster._core.definitions.events.Failure")


def of_exception(error: BaseException) -> Cm4aiError:
    """An exception as an error of ours: its cause in one line, and a remedy."""
    if isinstance(error, Cm4aiError):
        return error
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    message = sentence(f"{name}: {error}")
    found = Cm4aiError(message, remedy=remedy(message) or "`cm4ai --debug` and the same words show where it happened.")
    found.runbook = runbook(message)
    return found


def sentence(text: str) -> str:
    """The first line of an exception as Python prints it ("ValueError: no"), without errno numbers and our class names.

    >>> sentence("OSError: [Errno 28] No space left on device: '/data/x'")
    "OSError: No space left on device: '/data/x'"
    """
    match = _PREFIX.match(text.strip())
    if match is None:
        return _first_line(text)
    detail = _first_line(_ERRNO.sub("", match["text"] or ""))
    if match["kind"].startswith(_SAID_PLAINLY):
        return detail
    module, _, kind = match["kind"].rpartition(".")
    kind = f"{module.lstrip('_')}.{kind}" if kind == "Error" else kind
    return f"{kind}: {detail}" if detail else kind


def remedy(text: str) -> str:
    """What helps against an error that says this; empty where nothing general is known."""
    return next((said for pattern, said, _ in _KNOWN if re.search(pattern, text)), "")


def runbook(text: str) -> str:
    """The anchor of the runbook's section about an error that says this; empty where nothing general is known.

    What a step raised is known by its text alone: an error of ours by the name of its type, which says it.

    >>> runbook("cm4ai_assets.errors.StorageUnavailableError: The storage failed"), runbook("OSError: disk is full")
    ('storage-away', 'disk-full')
    """
    ours = _OURS.findall(text)
    named = (one.runbook for name in ours for one in _types(Cm4aiError) if f"{one.__module__}.{one.__name__}" == name)
    said = (anchor for pattern, _, anchor in _KNOWN if re.search(pattern, text))
    return next(filter(None, chain(named, said)), "")


def _types(of: type[Cm4aiError]) -> Iterator[type[Cm4aiError]]:
    yield of
    for below in of.__subclasses__():
        yield from _types(below)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[0] if lines else ""
