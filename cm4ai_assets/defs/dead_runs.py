"""Runs whose process has died: found by a lock that only a living process holds, ended, and their pool slots freed.

Dagster takes a run for alive until its process says otherwise. One that was killed stays STARTED, fills the queue, and
keeps its pool slots: the next run waits for ever. Here each run bears a mark while it works, which ends with the
process, however it ends: a locked file of the instance, or a lock in the database that several machines share.

Belongs here: that mark, the end of the record of a run that died or broke off, waiting for living ones. Does not belong
here: starting runs (`launching`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from cm4ai_assets.causes import of_exception
from cm4ai_assets.coordination import Coordination, among, machines
from cm4ai_assets.defs.collecting import wait_until_over
from cm4ai_assets.errors import RunError

_log = logging.getLogger(__name__)
_FOLDER = "processes"  # below DAGSTER_HOME
_UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_ENDED = "The process of this run has died (killed, out of memory, or the machine went down). Start it again."
_PATIENCE, _AGAIN = 60.0, 1.0  # seconds for a database that is away, and between two tries


@dataclass(frozen=True)
class Waiting:
    """How a run waits for pool slots of living runs: seconds at most, seconds between looks, who gets the message."""

    limit: float = 3600.0
    every: float = 5.0
    tell: Callable[[str], None] = lambda _message: None


@contextmanager
def alive(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Bear the mark of a run while it works in this process; it waits for things that are just being removed."""
    marks = _marks(instance)
    with marks.mark(run_id) if marks else nullcontext():
        wait_until_over(instance)
        yield


@contextmanager
def recorded(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Record as the run's failure what Dagster could not: where its database is away, it loses the end of the run too.

    With a database, its restart is waited for, for a minute: from then on the mark is missing long enough for any other
    process to end the run (`end_dead_runs`).
    """
    try:
        yield
    except Exception as error:
        patience = _PATIENCE if machines() else 0.0
        _end_patiently(instance, run_id, f"The run broke off. {of_exception(error)}", patience)
        raise


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the record of every run whose process has died and free its pool slots; the ids of these runs.

    With a database, a mark has to be missing for a minute: all are gone for a moment when its server restarts.
    """
    marks = _marks(instance)
    ended = []
    for run_id in marks.lost() if marks else []:
        if _end(instance, run_id, _ENDED):
            ended.append(run_id)
        if marks:
            marks.forget(run_id)
    _free_slots(instance)
    return ended


def _end(instance: dg.DagsterInstance, run_id: str, why: str) -> bool:
    """End the record of a run, if it has not ended; whether it had not."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in _UNFINISHED:
        return False
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, why)
    else:
        instance.report_run_failed(run, why)
    return True


def _end_patiently(instance: dg.DagsterInstance, run_id: str, why: str, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            _end(instance, run_id, why)
        except Exception as error:  # noqa: BLE001 - of any storage; what broke the run off is raised, not this
            if time.monotonic() >= until:
                _log.warning(
                    "The end of run %s could not be recorded: %s The next process that opens the instance ends it.",
                    run_id, of_exception(error).message,
                )  # fmt: skip
                return
            time.sleep(_AGAIN)
        else:
            return


def wait_for_pools(instance: dg.DagsterInstance, pools: Iterable[str], waiting: Waiting) -> None:
    """Wait until each pool has a free slot, if living runs hold them all: with a message, and not for ever.

    Raises:
        RunError: The slots were not free within the limit.
    """
    announced, until = False, time.monotonic() + waiting.limit
    while holders := _holders(instance, pools):
        if not announced:
            runs = "; ".join(f"{pool} is used by run {', '.join(ids)}" for pool, ids in holders.items())
            waiting.tell(
                f"Waiting at most {waiting.limit / 60:.0f} min for another run to end: {runs}. Ctrl-C stops waiting."
            )
            announced = True
        if time.monotonic() >= until:
            names = ", ".join(sorted({run for ids in holders.values() for run in ids}))
            raise RunError(
                f"Run {names} still uses the pool {', '.join(holders)} after {waiting.limit / 60:.0f} min.",
                remedy="Wait for it or cancel it in the UI (Runs), then run the same command again.",
            )
        time.sleep(waiting.every)
        end_dead_runs(instance)


def _holders(instance: dg.DagsterInstance, pools: Iterable[str]) -> dict[str, list[str]]:
    """The pools of which every slot is taken, and the runs that took them."""
    found = {}
    for pool in sorted(pools):
        info = instance.event_log_storage.get_concurrency_info(pool)
        runs = sorted({slot.run_id for slot in info.claimed_slots})
        if info.slot_count and len(info.claimed_slots) >= info.slot_count:
            found[pool] = runs
    return found


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free the slots of runs that have ended, or that nobody knows."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)


def _marks(instance: dg.DagsterInstance) -> Coordination | None:
    """Where runs are marked; None where the instance has no folder of its own."""
    return None if instance.is_ephemeral else among(Path(instance.root_directory) / _FOLDER)
