"""The state of everything for programs: the form of `cm4ai status --json` and of `status.json` beside the page.

Belongs here: that form, which docs/operations.md describes. Keys are added and never changed; `format` is raised if one
ever has to be. Times are ISO 8601 in UTC, sizes bytes. What is not known is null, and `unknown` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.incidents import Incident
from cm4ai_assets.overview import UNKNOWN
from cm4ai_assets.retention import Usage
from cm4ai_assets.status.recorded import CheckState, Recorded, Request, Ticker
from cm4ai_assets.status.state import Closed, LostRelease, ReleaseLine, Status

FORMAT: Final = 1

Json = Mapping[str, Any]


def as_json(status: Status) -> dict[str, Any]:
    """The state as plain lists, mappings, texts and numbers."""
    recorded = status.recorded
    return {
        "format": FORMAT,
        "at": _time(status.at),
        "version": status.version,
        "storage": status.storage,
        "instance": None if recorded is None else recorded.where,
        "archive": _archive(status),
        "releases": None if status.releases is None else [*map(_release, status.releases), *map(_lost, status.lost)],
        "freshness": _freshness(status),
        "embargoes": None if status.embargoes is None else [_embargo(one) for one in status.embargoes],
        "disk": None if status.usage is None else _disk(status.usage),
        "checks": None if recorded is None else _checks(recorded),
        "incidents": None if status.incidents is None else [_incident(one) for one in status.incidents],
        "requests": None if recorded is None else [_request(one) for one in recorded.requests],
        "automation": None if recorded is None else _automation(recorded),
        "runs": None if recorded is None else [{**one.__dict__, "day": _time(one.day)} for one in recorded.days],
        "unknown": list(status.unknown),
    }


def _time(at: date | datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds") if isinstance(at, datetime) else at.isoformat()


def _archive(status: Status) -> Json:
    look = status.recorded.look if status.recorded is not None else None
    return {
        "url": status.archive,
        "collection": status.collection,
        "last_look": None if look is None else _time(look.last_look),
        "last_success": None if look is None else _time(look.last_success),
        "asked_again": None if look is None else _time(look.not_before),
        "datasets": None if look is None else look.datasets,
        "versions": None if look is None else look.versions,
        "trouble": None if look is None else look.trouble,
    }


def _release(line: ReleaseLine) -> Json:
    state = line.state
    return {
        "release": state.record.key,
        "doi": state.record.doi,
        "version": state.record.version,
        "title": state.record.title,
        "released": _time(state.record.released),
        "files": state.files,
        "size": state.size,
        "tables": list(state.tables),
        "conditions": {
            name: {"state": one.state, "tables": list(one.tables), "shared_with": one.shared_with}
            for name, one in state.conditions.items()
        },
        "first_written": _time(line.oldest),
        "last_written": _time(line.newest),
        "problem": None if state.problem is None else str(state.problem),
    }


def _lost(one: LostRelease) -> Json:
    """A release of which only its key is known, in the form of the others."""
    return {
        "release": one.key,
        **dict.fromkeys(("doi", "version", "title", "released", "files", "size")),
        "tables": [],
        "conditions": {str(name): {"state": UNKNOWN, "tables": [], "shared_with": None} for name in CONDITIONS},
        **dict.fromkeys(("first_written", "last_written")),
        "problem": str(one.problem),
    }


def _freshness(status: Status) -> Json | None:
    if status.due is None:
        return None
    newest = max(status.releases or (), key=lambda line: line.state.record.came_out, default=None)
    return {
        "newest_release": None if newest is None else newest.state.record.key,
        "days_since_last_dataset": status.due.counts.get("days_since_last"),
        "overdue": status.overdue,
        "summary": status.due.summary,
    }


def _embargo(one: Closed) -> Json:
    return {
        "release": one.release,
        "ends": _time(one.ends),
        "has_ended": one.has_ended,
        "files": list(one.files),
        "size": one.size,
    }


def _disk(usage: Usage) -> Json:
    return {
        "at": _time(usage.at),
        "stored": usage.stored,
        "releases": [
            {
                "release": one.release,
                "size": one.size,
                "own": one.own,
                "shared": one.shared,
                "by_kind": {str(kind): size for kind, size in one.by_kind.items()},
            }
            for one in usage.releases
        ],
        "could_go": {
            "size": usage.size_that_could_go,
            "classes": [
                {"class": str(what), "count": count, "size": size} for what, (count, size) in usage.by_class().items()
            ],
        },
    }


def _checks(recorded: Recorded) -> Json:
    return {"evaluated": recorded.evaluated, "open": [_check(one) for one in recorded.checks]}


def _check(one: CheckState) -> Json:
    return {
        "asset": one.asset,
        "check": one.check,
        "partition": one.partition,
        "severity": one.severity,
        "summary": one.summary,
        "since": _time(one.since),
        "run": one.run_id or None,
        "pictures": len(one.pictures),
        "link": one.link_path,
    }


def _incident(one: Incident) -> Json:
    return {
        "key": one.key,
        "kind": str(one.kind),
        "severity": str(one.severity),
        "title": one.title,
        "text": one.text,
        "since": _time(one.since),
        "runbook": one.runbook,
        "link": one.link_path,
    }


def _request(one: Request) -> Json:
    return {
        "kind": one.kind,
        "id": one.id,
        "what": one.what,
        "partition": one.partition,
        "state": one.state,
        "since": _time(one.since),
        "asked_by": one.asked_by,
        "waits": one.waits or None,
        "link": one.link_path,
    }


def _automation(recorded: Recorded) -> Json:
    return {"daemon": recorded.daemon, "tickers": [_ticker(one) for one in recorded.tickers]}


def _ticker(one: Ticker) -> Json:
    return {
        "name": one.name,
        "kind": one.kind,
        "is_on": one.is_on,
        "last_tick": _time(one.last_tick),
        "outcome": one.outcome,
        "says": one.says,
        "link": one.link_path,
    }
