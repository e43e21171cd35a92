"""The state of everything as lines of at most 80 columns, for a terminal.

Belongs here: what the lines say. Does not belong here: the console, which lets no text act (`cli.terminal`).
"""

from __future__ import annotations

from collections.abc import Iterator

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.incidents import counted, shown
from cm4ai_assets.overview import UNKNOWN
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.status.recorded import Recorded
from cm4ai_assets.status.state import ReleaseLine, Status
from cm4ai_assets.status.words import ago, at, looked, open_checks

WIDTH = 80
_RELEASES, _FEW = 20, 12
_ROW = "{:<19} {:<11}{:<11}{:<11}{:>10} {:>10}"  # 74 characters


def lines_of(status: Status) -> Iterator[str]:
    """The lines; a heading of each part ends with a colon."""
    yield f"Status at {at(status.at)}"
    yield shown(f"storage {status.storage}", WIDTH)
    yield shown(f"instance {status.recorded.where if status.recorded else 'not known'}", WIDTH)
    for part in (_unknown, _incidents, _releases, _freshness, _embargoes, _disk, _checks, _requests, _automation):
        yield from part(status)


def _unknown(status: Status) -> Iterator[str]:
    if status.unknown:
        yield "Not everything could be read:"
        yield from (f"  {text}" for text in status.unknown)


def _incidents(status: Status) -> Iterator[str]:
    if status.incidents is None:
        yield "Needs a person: not known"
        return
    yield f"Needs a person: {counted(status.incidents)}"
    others = [one for one in status.incidents if not one.key.startswith("check:")]
    yield from (_cut(f"{one.severity:<8} {one.title}: {one.text}") for one in others[:_FEW])
    yield from _more(len(others))


def _releases(status: Status) -> Iterator[str]:
    if status.releases is None:
        yield "Releases: not known"
        return
    yield f"Releases: {len(status.releases) + len(status.lost)} registered"
    sizes = {one.release: one.size for one in status.usage.releases} if status.usage else {}
    if status.releases or status.lost:
        yield _ROW.format("", *CONDITIONS, "stored", "written").rstrip()
    yield from (_release(line, sizes.get(line.state.record.key), status) for line in status.releases[-_RELEASES:])
    if len(status.releases) > _RELEASES:
        yield f"  {len(status.releases) - _RELEASES} older ones: `cm4ai releases` lists them"
    yield from (_ROW.format(one.key, *[UNKNOWN] * len(CONDITIONS), "not known", "-") for one in status.lost)


def _release(line: ReleaseLine, size: int | None, status: Status) -> str:
    words = [one.state for one in line.state.conditions.values()]
    stored = "not known" if size is None else size_in_words(size)
    return _ROW.format(line.state.record.key, *words, stored, ago(line.newest, status.at) if line.newest else "-")


def _freshness(status: Status) -> Iterator[str]:
    yield "Freshness:"
    yield f"  {looked(status)}"
    if status.due is not None:
        yield f"  {'OVERDUE. ' if status.overdue else ''}{status.due.summary}"


def _embargoes(status: Status) -> Iterator[str]:
    if status.embargoes is None:
        yield "Embargoes: not known"
        return
    yield f"Embargoes: {len(status.pending) or 'none'} to end"
    for one in status.pending[:_FEW]:
        yield f"  {one.ends}  {one.release}  {len(one.files)} files, {size_in_words(one.size)}"
    yield from _more(len(status.pending))


def _disk(status: Status) -> Iterator[str]:
    disk = status.usage
    if disk is None:
        yield "Disk: not known"
        return
    could_go = "not known what" if disk.unknown else size_in_words(disk.size_that_could_go)
    yield f"Disk: {size_in_words(disk.stored)} stored, {could_go} could go (cm4ai gc)"
    for what, (count, size) in disk.by_class().items():
        yield f"  {what:<26} {count:>6}  {size_in_words(size):>12}"


def _checks(status: Status) -> Iterator[str]:
    recorded = status.recorded
    if recorded is None:
        yield "Checks: not known"
        return
    found = open_checks(recorded.checks)
    yield f"Checks: {len(found) or 'none'} fail or warn, of {recorded.evaluated:,} evaluations"
    for one in found[:_FEW]:
        word = "failure" if one.is_failure else "warning"
        yield _cut(f"{word} {one.name} ({one.partitions or 'no partition'}): {one.latest.summary}")
    yield from _more(len(found))


def _requests(status: Status) -> Iterator[str]:
    recorded = status.recorded
    if recorded is None:
        yield "Asked for and not done: not known"
        return
    yield f"Asked for and not done: {len(recorded.requests) or 'nothing'}"
    for one in recorded.requests[:_FEW]:
        about = f" of {one.partition}" if one.partition else ""
        why = f" {one.waits}" if one.waits else ""
        yield f"  {one.state} {one.kind} {one.id[:8]}: {one.what}{about}.{why}"
    yield from _more(len(recorded.requests))


def _automation(status: Status) -> Iterator[str]:
    recorded = status.recorded
    if recorded is None:
        return
    yield f"Daemon: {_daemon(recorded)}"
    for one in recorded.tickers:
        last = ago(one.last_tick, status.at) if one.last_tick else "never"
        state = "on" if one.is_on else "OFF"
        yield _cut(f"{one.name} {state}, {last}, {one.outcome}: {one.says}")


def _daemon(recorded: Recorded) -> str:
    return {None: "has never run here", True: "running", False: "not running"}[recorded.daemon]


def _more(count: int) -> Iterator[str]:
    if count > _FEW:
        yield f"  and {count - _FEW} more: the page platform_status, or --json"


def _cut(text: str) -> str:
    """One of many lines of a part: what does not fit stands on the page."""
    return f"  {shown(text, WIDTH - 2)}"
