"""The release sensor: what the archive publishes becomes partitions, and what they need becomes runs.

Belongs here: one tick, from the memory of the last to requests, events and a sentence for the UI. Does not belong here:
asking (`updates.watch`), deciding what is needed (`updates.needs`), how often it is tried (`requests`).

A tick has two halves. If it is time, it looks at the archive and registers what is new. Then it compares what is
registered with what is published, and requests what is missing: first the lock, in a later tick what the lock shows to
be new. It compares states, not events, so a tick may be missed, repeated, or run with its cursor lost.
"""

# Dagster reads the annotations itself, not as strings: no `from __future__ import annotations` here.
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import polars as pl

from cm4ai_assets.defs import pages as md
from cm4ai_assets.defs.binding import require_bound
from cm4ai_assets.defs.checks import evaluation
from cm4ai_assets.defs.jobs import JOBS
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.defs.partitions import RELEASE, releases
from cm4ai_assets.defs.release.assets import watched_version
from cm4ai_assets.defs.release.checks import collection_findings
from cm4ai_assets.defs.updates.requests import backfills_of, check_request, history_of, under_way, verdict
from cm4ai_assets.errors import Cm4aiError, ConfigurationError
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import ReleaseKey, ReleaseRecord, newest
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.cursor import Cursor
from cm4ai_assets.updates.inputs import FEEDS, lock_of
from cm4ai_assets.updates.needs import LOCK_JOB, Need, Plan, plan
from cm4ai_assets.updates.upstream import State, UpstreamStatus
from cm4ai_assets.updates.watch import Observation, Watched, observe

TICK_SECONDS = 30
SHOWN_EVERY = timedelta(hours=2)
_NEWEST_FIRST, _BYTES_NEXT, _REST = 10, 5, 0  # priorities in the queue of runs

Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


@dataclass
class _Tick:
    """One tick in the making."""

    platform: Platform
    instance: dg.DagsterInstance
    now: datetime
    cursor: Cursor
    events: list[Event] = field(default_factory=list)
    rechecks: list[dg.RunRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Look at the archive, register what is new, and tell what is no longer as it was locked."""
        records, store = self.platform.registry.all(), self.platform.store
        locks = {partition.release for partition in store.partitions(RELEASE_FILES.name)}
        locked = [record.key for record in records if record.key in locks]
        turn = self.cursor.next_turn(locked)
        watched = Watched(
            collection=self.platform.settings.collection,
            records=records,
            lock=partial(lock_of, store),
            due=self.cursor.order(dict.fromkeys(record.doi for record in records)),
            withdrawn=self.cursor.withdrawn,
            turn=turn,
        )
        seen = observe(self.platform.watcher, watched)
        if seen.left:
            self.notes.append(f"{seen.left} datasets have their turn in a later look")
        new = self._register(seen, list(records))
        changed = [r for r in records if r.key in seen.statuses and self._note(r, seen.statuses[r.key])]
        first = self.cursor.shown is None or self.now >= self.cursor.shown + SHOWN_EVERY
        self.cursor.looked(seen, self.now, turn=turn)
        if seen.is_whole and (new or changed or first):
            self._show(seen, new)

    def _register(self, seen: Observation, known: list[ReleaseRecord]) -> list[ReleaseRecord]:
        """Give every new version its key. One dataset that cannot have one does not keep the others from theirs."""
        new: list[ReleaseRecord] = []
        registered = {(record.doi, record.version) for record in known}
        unknown: dict[str, list[ReleaseRecord]] = {}
        for record in sorted(seen.found, key=lambda record: record.published):
            if (record.doi, record.version) not in registered:
                unknown.setdefault(record.doi, []).append(record)
        for doi, versions in unknown.items():
            try:
                new += self.platform.registry.register(versions, known=known)
            except ConfigurationError as error:
                seen.stopped = error  # this storage is not for this archive
            except Cm4aiError as error:
                seen.problems[doi] = error
        for record in new:
            self.cursor.registered(record, self.now)
        return new

    def _note(self, record: ReleaseRecord, status: UpstreamStatus) -> bool:
        """Remember how a release stands, and have it checked where everybody sees it if that has changed."""
        said = f"{status.state}: {status.summary}"
        before = self.cursor.statuses.get(record.key)
        self.cursor.statuses[record.key] = said
        if said == before or (before is None and status.is_as_locked):
            return False  # the run that made the lock has said so already
        self.rechecks.append(check_request(record, said, self.now))
        return True

    def _show(self, seen: Observation, new: Sequence[ReleaseRecord]) -> None:
        """Bring the collection's page in the UI up to date."""
        self.cursor.shown = self.now
        records = self.platform.registry.all()
        of_doi: dict[str, list[ReleaseRecord]] = {}
        for record in records:
            of_doi.setdefault(record.doi, []).append(record)
        rows = [
            {
                "doi": doi,
                "title": max(versions, key=lambda record: record.came_out).title,
                "offered": ", ".join(self.cursor.versions.get(doi, ())) or "nothing any more",
                "listed": doi in (seen.listed or ()),
                "releases": ", ".join(record.key for record in versions),
            }
            for doi, versions in of_doi.items()
        ]
        self.events += [
            dg.AssetMaterialization(
                COLLECTION,
                description=md.described(
                    f"{len(new)} new: {', '.join(record.key for record in new)}." if new else "Nothing new."
                ),
                metadata={
                    "archive": dg.MetadataValue.url(self.platform.settings.dataverse_url),
                    "last_success": dg.MetadataValue.timestamp(self.now),
                    "datasets": md.rows(pl.DataFrame(rows)),
                    "newest_release": newest(r.key for r in records) if records else "none",
                    "lag_seconds": md.rows(_pairs(self.cursor.lag, "lag")),
                    "not_as_locked": md.rows(_pairs(_odd(self.cursor), "status")),
                    "requests": seen.requests,
                    "seconds": round(seen.seconds, 3),
                },
                tags={"dagster/data_version": watched_version(self.platform.settings)},
            ),
            *(evaluation(COLLECTION, finding) for finding in collection_findings(self.platform, self.now)),
        ]

    def plan(self) -> Plan:
        """What the registered releases need."""
        records = self.platform.registry.all()
        return plan(
            records,
            self.platform.store,
            today=self.now.date(),
            offered={record.key for record in records if self.cursor.offers(record)},
            busy=under_way(self.instance),
            has_token=self.platform.settings.dataverse_token is not None,
            locked=self.platform.locked,
        )

    def requests(self, made: Plan) -> list[dg.RunRequest]:
        """The runs for what is needed that are not under way, tried in vain, or being made by an operator."""
        held = backfills_of(self.instance, {feed.job: [feed.product, *feed.tables] for feed in FEEDS})
        history = history_of(self.instance, made.needs)
        latest = max((need.partition.release for need in made.needs), key=ReleaseKey.parse, default="")
        wanted = []
        for need in made.needs:
            if backfills := held.get(need.job):
                self.notes.append(f"{need.job} of {need.partition} waits for backfill {', '.join(backfills)}")
                continue
            found = verdict(need, history, self.now, priority=_priority(need, latest))
            if found.request is None:
                self.notes.append(found.reason)
            elif not self.cursor.is_launching(str(found.request.run_key), self.now):
                wanted.append(found.request)
        self.cursor.note_requests([str(request.run_key) for request in wanted], self.now)
        return [*self.rechecks, *wanted]


def tick(context: dg.SensorEvaluationContext, platform: Platform, now: datetime) -> dg.SensorResult:
    """One tick of the release sensor."""
    settings = platform.settings
    archive = f"{settings.dataverse_url} {settings.collection}"
    made = _Tick(platform, context.instance, now, Cursor.read(context.cursor, archive=archive))
    cursor = made.cursor
    if cursor.is_due(now, timedelta(seconds=settings.poll_seconds)):
        made.look()
    known = set(context.instance.get_dynamic_partitions(RELEASE))
    keys = [record.key for record in platform.registry.all() if record.key not in known]
    # What is needed is fetched from the archive: while that fails there is no use in starting runs.
    needed = made.plan() if cursor.failures == 0 else Plan()
    requests = made.requests(needed)
    made.notes += [str(damaged).rstrip(".") for damaged in platform.registry.damaged()]
    said = _sentences(cursor, needed, made.notes, now)
    context.log.info(" ".join(said))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else " ".join(said),
        cursor=cursor.text(),
        dynamic_partitions_requests=[releases.build_add_request(keys)] if keys else [],
        asset_events=made.events,
    )


def _sentences(cursor: Cursor, needed: Plan, notes: Iterable[str], now: datetime) -> list[str]:
    """What the tick has to say, most important first."""
    said = []
    if cursor.trouble:
        said.append(cursor.trouble)
    if cursor.not_before and now < cursor.not_before:
        said.append(f"The archive is asked again after {cursor.not_before:%H:%M:%S} UTC.")
    datasets, versions = len(cursor.versions), sum(len(found) for found in cursor.versions.values())
    if cursor.last_success:
        said.append(f"Last success {_ago(now - cursor.last_success)}: {datasets} datasets in {versions} versions.")
    elif not cursor.trouble:
        said.append("The archive has not answered everything yet.")
    said += [f"{release} is {status}" for release, status in _odd(cursor).items()]
    said += [f"{text}." for text in notes]
    said += [f"{job} of {partition} waits: {why}." for (job, partition), why in needed.waiting.items()]
    if needed.shared:
        shared = ", ".join(f"{job} of {partition} (as {key})" for (job, partition), key in needed.shared.items())
        said.append(f"Same bytes as before, nothing to make: {shared}.")
    return said


def _odd(cursor: Cursor) -> dict[str, str]:
    """The releases that are not as they were locked."""
    return {key: said for key, said in sorted(cursor.statuses.items()) if not said.startswith(f"{State.OFFERED}: ")}


def _pairs(values: Mapping[str, object], name: str) -> pl.DataFrame:
    return pl.DataFrame({"release": list(values.keys()), name: list(values.values())})


def _ago(age: timedelta) -> str:
    minutes, seconds = divmod(int(age.total_seconds()), 60)
    return f"{minutes} min ago" if minutes else f"{seconds} s ago"


def _priority(need: Need, latest: str) -> int:
    """The lock of the newest release first, then bytes, then the locks of old releases."""
    if need.job != LOCK_JOB:
        return _BYTES_NEXT
    return _NEWEST_FIRST if need.partition.release == latest else _REST


def build_release_sensor(tick_seconds: int = TICK_SECONDS) -> dg.SensorDefinition:
    """The sensor; tests have it tick faster."""

    @dg.sensor(
        name="release_sensor",
        jobs=JOBS,
        minimum_interval_seconds=tick_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Watches the archive's collection: registers new releases and versions, and requests the runs that "
        "make them. Looks every CM4AI_POLL_SECONDS; ticks in between only compare what is registered with what is "
        "published. Switch it off to fetch nothing unasked.",
    )
    def release_sensor(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SensorResult:
        try:
            require_bound(context.instance, platform.store)
            return tick(context, platform, datetime.now(UTC))
        except Cm4aiError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)

    return release_sensor
