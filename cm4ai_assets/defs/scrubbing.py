"""Scrubbing: what is stored is read again in the course of time, because only reading finds what a disk has lost.

Belongs here: the job and its schedule. Does not belong here: what is read and how (`verification`).
"""

# Dagster reads the annotations itself, not as strings: no `from __future__ import annotations` here.
from datetime import timedelta

import dagster as dg

from cm4ai_assets.defs.executor import in_process
from cm4ai_assets.defs.pages import failure
from cm4ai_assets.defs.updates.schedules import TIMEZONE
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.placing import give_up_uploads
from cm4ai_assets.verification import Verified, scrub

CRON = "0 1 * * *"
_SHOWN = 20
_ABANDONED = timedelta(days=1)


@dg.op(
    description="Reads what was not verified for the longest time, at most CM4AI_SCRUB_GB of it, and fails if anything "
    "is not what was published. It mends nothing: each message says what does."
)
def read_again(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    """One night's share of everything that is stored."""
    for name in give_up_uploads(platform.store.fs, platform.store.root, age=_ABANDONED):
        context.log.info(f"The upload of {name} was begun more than a day ago and never ended. It was given up.")
    budget = platform.settings.scrub_bytes
    if not budget:
        context.log.info("CM4AI_SCRUB_GB is 0: nothing is read.")
        return
    results = []
    for result in scrub(platform.store, budget=budget):
        results.append(result)
        for problem in result.problems:
            context.log.error(for_terminal(f"{result.what}: {problem}"))
    read = sum(result.size for result in results)
    context.log.info(f"{len(results)} things read again, {read:,} bytes.")
    refuse([result for result in results if result.problems], checked=len(results))


def refuse(damaged: list[Verified], *, checked: int) -> None:
    """Fail the step if anything is damaged.

    Raises:
        dagster.Failure: Names what; a retry would not help.
    """
    if damaged:
        first = damaged[0]
        raise failure(
            f"{len(damaged)} of {checked} stored things are not what was published. {first.what}: {first.problems[0]}",
            metadata={"damaged": "\n".join(f"{one.what}: {one.problems[0]}" for one in damaged[:_SHOWN])},
            about_it=StoredBytesDamagedError.runbook,
        )


@dg.job(name="scrub", executor_def=in_process, description=read_again.description)
def scrub_job() -> None:
    """Everything that is stored, in turn."""
    read_again()


nightly_scrub = dg.ScheduleDefinition(
    job=scrub_job,
    name="nightly_scrub",
    cron_schedule=CRON,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each night at 01:00 in New York, reads again what was not verified for the longest time, at most "
    "CM4AI_SCRUB_GB of it. Damage that nobody reads is damage that nobody finds, until the good copy is gone too.",
)
