"""What the Dagster instance has recorded, as plain data: looks at the archive, checks, runs, what waits, what ticks.

Belongs here: the forms. Does not belong here: asking the instance (`defs.status`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

Severity = Literal["failure", "warning"]


@dataclass(frozen=True)
class Look:
    """What is remembered of the looks at the archive.

    Attributes:
        last_look: When it was last asked.
        last_success: When it last answered everything; None if it never did.
        datasets: How many datasets it offers, as far as was seen.
        versions: How many versions of them.
        trouble: What went wrong in the last look; empty if nothing.
        not_before: When it is asked again, after a failure.
    """

    last_look: datetime
    last_success: datetime | None
    datasets: int
    versions: int
    trouble: str = ""
    not_before: datetime | None = None


@dataclass(frozen=True)
class Picture:
    """A picture that a check shows."""

    alt: str
    mime: str
    data: bytes


@dataclass(frozen=True)
class CheckState:
    """A check that warns or fails now, of one partition.

    Attributes:
        asset: Key of its asset.
        check: Its name.
        partition: As Dagster names it; None where the asset has no partitions.
        severity: `failure` blocks, and nothing was published; `warning` is published and flagged.
        summary: What it found.
        since: When it first did not pass, after it last did.
        run_id: The run that evaluated it last; empty for one of a sensor.
        pictures: What its page shows.
    """

    asset: str
    check: str
    partition: str | None
    severity: Severity
    summary: str
    since: datetime
    run_id: str = ""
    pictures: tuple[Picture, ...] = ()

    @property
    def link_path(self) -> str:
        """Where the UI shows it."""
        return f"/assets/{self.asset}?view=checks&checkDetail={self.check}"


@dataclass(frozen=True)
class Request:
    """Something that was asked for and is not done: a run or a backfill, and why it waits.

    Attributes:
        kind: `run` or `backfill`.
        id: As Dagster names it.
        what: The job, or the assets.
        partition: Which partition, or how many; None where there are none.
        state: `queued`, `starting`, `running`, `cancelling`.
        since: When it was asked for.
        asked_by: Why: the sensor's reason, the schedule, a person.
        waits: Why it waits, in a sentence; empty where it does not.
    """

    kind: Literal["run", "backfill"]
    id: str
    what: str
    partition: str | None
    state: str
    since: datetime
    asked_by: str = ""
    waits: str = ""

    @property
    def link_path(self) -> str:
        """Where the UI shows it."""
        return f"/runs/{self.id}" if self.kind == "run" else f"/runs/b/{self.id}"


@dataclass(frozen=True)
class Ticker:
    """A sensor or schedule: whether it is on, and what its last tick said."""

    name: str
    kind: Literal["sensor", "schedule"]
    is_on: bool
    last_tick: datetime | None = None
    outcome: str = "never ticked"
    says: str = ""

    @property
    def link_path(self) -> str:
        """Where the UI shows it."""
        return f"/locations/cm4ai_assets/{self.kind}s/{self.name}"


@dataclass(frozen=True)
class Day:
    """The runs that ended on one day (UTC)."""

    day: date
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True)
class Recorded:
    """All of it.

    Attributes:
        where: The instance, for people.
        look: Looks at the archive; None if the release sensor never looked.
        checks: What warns or fails now.
        evaluated: How many checks, by partition, were ever evaluated.
        requests: What was asked for and is not done.
        tickers: Sensors and schedules that have ever been on or off here.
        days: The runs of the last weeks, oldest day first; days without any are left out.
        daemon: Whether the daemon lives; None if it never ran here.
    """

    where: str
    look: Look | None = None
    checks: tuple[CheckState, ...] = ()
    evaluated: int = 0
    requests: tuple[Request, ...] = ()
    tickers: tuple[Ticker, ...] = ()
    days: tuple[Day, ...] = field(default_factory=tuple)
    daemon: bool | None = None
