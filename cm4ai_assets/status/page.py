"""The state of everything as one page that needs nothing beside itself.

Belongs here: which section says what. Does not belong here: how blocks become HTML (`publication.html`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from cm4ai_assets import runbook
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.drawing import PNG
from cm4ai_assets.incidents import Incident, Severity, counted
from cm4ai_assets.overview import UNKNOWN, ConditionState
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.publication.blocks import (
    Badge,
    Block,
    Bullets,
    Content,
    Facts,
    Figure,
    Inline,
    Link,
    Mono,
    Note,
    Page,
    Section,
    Strong,
    Table,
    Text,
)
from cm4ai_assets.retention import Usage
from cm4ai_assets.settings import Settings
from cm4ai_assets.status import pictures
from cm4ai_assets.status.recorded import CheckState, Recorded, Request, Ticker
from cm4ai_assets.status.state import LostRelease, ReleaseLine, Status
from cm4ai_assets.status.words import OpenCheck, ago, at, looked, open_checks

BESIDE: Final = "../.."
"""From the page, where the UI shows it, to the UI's own pages."""

ROWS, PICTURES, RUN_DAYS = 60, 24, timedelta(days=28)
_UNKNOWN = "not known"
_GOOD = frozenset({"tensors", "shared"})


def ui_of(settings: Settings) -> str:
    """What leads to the UI: the address that the operator stated, else the way from where the UI shows the page."""
    is_stated = settings.ui_url != f"http://127.0.0.1:{settings.ui_port}"
    return settings.ui_url if is_stated else BESIDE


def page_of(status: Status, *, ui: str = BESIDE) -> Page:
    """The page.

    Args:
        status: What it says.
        ui: What stands before a path of the UI in links: its address, or what leads there from the page.
    """
    return _Writer(status, ui).page()


class _Writer:
    def __init__(self, status: Status, ui: str) -> None:
        self._status, self._ui = status, ui.rstrip("/")

    def page(self) -> Page:
        status = self._status
        sections = (
            Section("At a glance", list(self._glance())),
            Section("What needs a person", list(self._incidents())),
            Section("Releases", list(self._releases())),
            Section("Freshness", list(self._freshness())),
            Section("Embargoes", list(self._embargoes())),
            Section("Disk", list(self._disk())),
            Section("Checks", list(self._checks())),
            Section("What was asked for", list(self._requests())),
            Section("Sensors and schedules", list(self._automation())),
        )
        return Page(
            "Status of the platform",
            sections,
            f"As it was read at {at(status.at)}.",
            [
                f"cm4ai_assets {status.version}, storage ",
                Mono(status.storage),
                ". ",
                Mono("cm4ai status"),
                " says it as it is now.",
            ],
        )

    def _link(self, text: str, path: str) -> Link:
        return Link(text, f"{self._ui}{path}")

    def _glance(self) -> Iterator[Block]:
        status, recorded = self._status, self._status.recorded
        lines = status.releases
        disk = status.usage
        look = recorded.look if recorded is not None else None
        yield Facts([
            ("needs a person", _UNKNOWN if status.incidents is None else counted(_pressing(status.incidents))),
            ("releases registered", _UNKNOWN if lines is None else len(lines) + len(status.lost)),
            ("of them with tensors", _UNKNOWN if lines is None else sum(map(_has_tensors, lines))),
            ("last look at the archive", _UNKNOWN if look is None else ago(look.last_look, status.at)),
            ("embargoes to end", _UNKNOWN if status.embargoes is None else len(status.pending)),
            ("stored", _UNKNOWN if disk is None else size_in_words(disk.stored)),
            ("could go", _UNKNOWN if disk is None or disk.unknown else size_in_words(disk.size_that_could_go)),
            ("asked for and not done", _UNKNOWN if recorded is None else len(recorded.requests)),
        ])  # fmt: skip
        if status.unknown:
            yield Note([Strong("Not everything could be read.")])
            others = [text for text in status.unknown if text not in status.of_releases]
            known: list[Content] = [["How far some releases are: see ", Link("Releases", "#releases"), "."]]
            yield Bullets([*(known if status.of_releases else []), *others])

    def _incidents(self) -> Iterator[Block]:
        found = self._status.incidents
        if found is None:
            yield Text("What needs a person is not known: the records of Dagster could not be read, or there are none.")
            return
        others = [one for one in found if not one.key.startswith("check:")]
        checks = len(found) - len(others)
        if not found:
            yield Text("Nothing.")
        if others:
            rows = [self._incident(one) for one in others[:ROWS]]
            yield Table(_caption("Open now", len(rows), len(others)), ["what", "text", "severity", "since"], rows, "")
        if checks:
            yield Text([f"{checks} evaluations of checks warn or fail: see ", Link("Checks", "#checks"), "."])

    def _incident(self, one: Incident) -> list[Content]:
        since = at(one.since) if one.since else None
        what: list[Inline] = [self._link(one.title, one.link_path)]
        if one.runbook:
            what += [" (", self._link("what to do", f"{runbook.PATH}#{one.runbook}"), ")"]
        return [what, one.text, _badge_of(one), since]

    def _releases(self) -> Iterator[Block]:
        lines = self._status.releases
        if lines is None:
            yield Text("The releases could not be read.")
        elif not lines and not self._status.lost:
            yield Text(["None is registered. ", Mono("cm4ai releases --register"), " asks the archive for them."])
        else:
            shown = lines[::-1][:ROWS]
            heads = ["release", "came out", *CONDITIONS, "tables of it", "published files", "written here"]
            rows = [*map(self._lost, self._status.lost), *map(self._release, shown)]
            count = len(lines) + len(self._status.lost)
            order = (
                "Newest first, after those of which the record cannot be read" if self._status.lost else "Newest first"
            )
            yield Table(_caption(order, len(rows), count), heads, rows, "none")
            yield from self._problems()
            yield Text(
                "States of a condition: registered; locked (its files are known); in part; stored (the image ZIP is "
                "here); tensors (made); shared (made from the same bytes for another release); unknown (see above)."
            )

    def _problems(self) -> Iterator[Block]:
        """What keeps some releases from being known, each with what to do."""
        found = self._status.problems
        if found:
            yield Note([Strong("How far a release is, is not known of: "), ", ".join(found), ". All others go on."])
            rows: list[list[Content]] = [
                [key, str(problem), self._link("What to do", f"{runbook.PATH}#{problem.runbook}")]
                for key, problem in found.items()
            ]
            yield Table("What cannot be read", ["release", "why, and what helps", "runbook"], rows, "")

    def _release(self, line: ReleaseLine) -> list[Content]:
        state = line.state
        published = None if state.files is None or state.size is None else f"{state.files}, {size_in_words(state.size)}"
        return [
            self._to_release(state.record.key),
            f"{state.record.came_out:%Y-%m-%d}",
            *(self._condition(state.conditions.get(str(one))) for one in CONDITIONS),
            len(state.tables),
            published,
            ago(line.newest, self._status.at) if line.newest else None,
        ]

    def _lost(self, one: LostRelease) -> list[Content]:
        return [one.key, None, *(self._condition(ConditionState(UNKNOWN)) for _ in CONDITIONS), None, None, None]

    def _condition(self, state: ConditionState | None) -> Content:
        if state is None:
            return None
        badge = Badge(state.state, "good" if state.state in _GOOD else "bad" if state.state == UNKNOWN else "neutral")
        return [badge, " ", self._to_release(state.shared_with)] if state.shared_with else badge

    def _to_release(self, key: str) -> Link:
        return self._link(key, f"/assets/release_files?view=partitions&partition={key}")

    def _freshness(self) -> Iterator[Block]:
        status = self._status
        yield Text(["The archive, ", Link(status.archive, status.archive), f", collection {status.collection}. ",
                    looked(status), " This page asks nobody."])  # fmt: skip
        if status.due is not None:
            kinds: dict[bool | None, Inline] = {False: Badge("in time", "good"), True: Badge("overdue", "warning")}
            kind = kinds.get(status.overdue, Badge(_UNKNOWN))
            yield Text([*([kind, " "] if status.releases else []), status.due.summary])
        if status.releases:
            words = "When each release came out, and when its tables were last written here."
            yield Figure(pictures.timeline(status.releases, status.at), PNG, words, words)

    def _embargoes(self) -> Iterator[Block]:
        found = self._status.embargoes
        if found is None:
            yield Text("The locks of the releases could not be read.")
        elif not found:
            yield Text("No lock states a day on which an embargo ends.")
        else:
            rows: list[list[Content]] = [
                [one.release, one.ends, Badge("ended", "good") if one.has_ended else Badge("embargoed", "warning"),
                 len(one.files), size_in_words(one.size), ", ".join(one.files)]
                for one in found[-ROWS:]
            ]  # fmt: skip
            heads = ["release", "ends on", "state", "files", "size", "names"]
            yield Table(_caption("By the locks, as the archive stated them", len(rows), len(found)), heads, rows)

    def _disk(self) -> Iterator[Block]:
        disk = self._status.usage
        if disk is None:
            yield Text("The storage could not be listed.")
            return
        yield Text(f"{size_in_words(disk.stored)} are stored, by one listing at {at(disk.at)}.")
        if disk.releases:
            words = "Bytes of each release: what only it refers to, and what it shares with others."
            yield Figure(pictures.disk(disk.releases), PNG, words, words)
            largest = sorted(disk.releases, key=lambda one: one.size, reverse=True)
            rows: list[list[Content]] = [
                [one.release, size_in_words(one.size), size_in_words(one.own), size_in_words(one.shared)]
                for one in largest[:ROWS]
            ]
            caption = _caption("Releases, the largest first", len(rows), len(largest))
            yield Table(caption, ["release", "all of it", "its own", "shared"], rows)
        yield from _could_go(disk)

    def _checks(self) -> Iterator[Block]:
        recorded = self._status.recorded
        if recorded is None:
            yield Text("What checks found is not known: the records of Dagster could not be read, or there are none.")
            return
        found = open_checks(recorded.checks)
        yield Text(
            f"{recorded.evaluated:,} checks have been evaluated, each partition counted; of these evaluations "
            f"{len(recorded.checks):,} do not pass."
        )
        if found:
            rows = [self._check(one) for one in found[:ROWS]]
            heads = ["check", "what it found last", "severity", "partitions", "since"]
            yield Table(_caption("Checks that fail or warn", len(rows), len(found)), heads, rows, "")
        yield from self._pictures(found)

    def _check(self, one: OpenCheck) -> list[Content]:
        latest = one.latest
        badge = Badge("failure", "bad") if one.is_failure else Badge("warning", "warning")
        return [self._link(one.name, latest.link_path), latest.summary, badge, one.partitions, at(latest.since)]

    def _pictures(self, found: Sequence[OpenCheck]) -> Iterator[Block]:
        """The pictures of the newest evaluation of each check, as many as a page can hold."""
        with_some = [one.latest for one in found if one.latest.pictures]
        every = [(state, picture) for state in with_some for picture in state.pictures]
        if not every:
            return
        blocks: list[Block] = [
            Figure(picture.data, picture.mime, picture.alt or f"what {state.check} shows", self._caption(state))
            for state, picture in every[:PICTURES]
        ]
        if len(every) > PICTURES:
            blocks.append(Text(f"{len(every) - PICTURES} more pictures stand on the checks' own pages."))
        yield Section("What they show", blocks)

    def _caption(self, state: CheckState) -> Content:
        link = self._link(f"{state.asset}.{state.check}", state.link_path)
        about = f" of {state.partition}" if state.partition else ""
        return [link, f"{about}: {state.summary}"]

    def _requests(self) -> Iterator[Block]:
        recorded = self._status.recorded
        if recorded is None:
            yield Text("Not known: the records of Dagster could not be read, or there are none.")
            return
        if recorded.requests:
            rows = [self._request(one) for one in recorded.requests[:ROWS]]
            heads = ["what", "state", "since", "asked for by", "why it waits"]
            yield Table(_caption("Not done yet", len(rows), len(recorded.requests)), heads, rows, "")
        else:
            yield Text("Nothing is under way or waiting.")
        words = f"Runs that ended in the last {RUN_DAYS.days} days, by how they ended."
        yield Figure(pictures.runs(recorded.days, self._status.at, RUN_DAYS), PNG, words, words)

    def _request(self, one: Request) -> list[Content]:
        about = f" of {one.partition}" if one.partition else ""
        return [self._link(f"{one.kind} {one.what}{about}", one.link_path), one.state, at(one.since), one.asked_by,
                one.waits]  # fmt: skip

    def _automation(self) -> Iterator[Block]:
        recorded = self._status.recorded
        if recorded is None:
            yield Text("Not known: the records of Dagster could not be read, or there are none.")
            return
        yield Text(_daemon(recorded))
        rows = [self._ticker(one) for one in recorded.tickers]
        if rows:
            heads = ["name", "kind", "state", "last tick", "outcome", "what it said"]
            yield Table("Sensors and schedules, and why they did nothing", heads, rows, "")

    def _ticker(self, one: Ticker) -> list[Content]:
        state = Badge("on", "good") if one.is_on else Badge("off", "warning")
        last = at(one.last_tick) if one.last_tick else None
        return [self._link(one.name, one.link_path), one.kind, state, last, one.outcome, one.says]


def _could_go(disk: Usage) -> Iterator[Block]:
    if disk.unknown:
        yield Note("What could go is not known for certain, so nothing of it is named:")
        yield Bullets(list(disk.unknown))
    classes = disk.by_class()
    if not classes:
        if not disk.unknown:
            yield Text("Nothing could go.")
        return
    rows: list[list[Content]] = [[str(what), count, size_in_words(size)] for what, (count, size) in classes.items()]
    yield Table("What could go", ["class", "things", "size"], rows)
    yield Text(
        ["Nothing goes by itself. ", Mono("cm4ai gc"), " lists it, ", Mono("cm4ai gc --apply"), " takes it away."]
    )


def _daemon(recorded: Recorded) -> Content:
    if recorded.daemon is None:
        return ["The daemon has never run here, so nothing is made unasked. ", Mono("make ui"), " starts it."]
    if recorded.daemon:
        return "The daemon is running."
    return [Strong("The daemon is not running"), ", so nothing is made unasked. ", Mono("make ui"), " starts it."]


def _pressing(found: Sequence[Incident]) -> list[Incident]:
    return [one for one in found if one.severity is not Severity.NEWS]


def _badge_of(one: Incident) -> Badge:
    kinds: dict[Severity, Badge] = {
        Severity.FAILURE: Badge("failure", "bad"),
        Severity.WARNING: Badge("warning", "warning"),
        Severity.NEWS: Badge("news"),
    }
    return kinds[one.severity]


def _has_tensors(line: ReleaseLine) -> bool:
    return any(one.state in _GOOD for one in line.state.conditions.values())


def _caption(text: str, shown: int, count: int) -> str:
    return text if shown == count else f"{text} ({shown:,} of {count:,})"
