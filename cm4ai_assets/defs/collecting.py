"""Who removes or copies things, and runs, keep out of each other's way: `cm4ai gc --apply` and `cm4ai backup`.

Belongs here: that agreement. Does not belong here: what is removed (`retention`), and the marks of runs (`dead_runs`).

Who removes or copies holds a name, and then looks for runs that are under way. A run is on record as begun, and then
waits for the name to be free. So whichever comes second sees the other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from cm4ai_assets.coordination import among
from cm4ai_assets.errors import RunError

_NAME = "collecting"
_UNDER_WAY = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_SHOWN = 3

_log = logging.getLogger(__name__)


@contextmanager
def alone(instance: dg.DagsterInstance) -> Iterator[None]:
    """Be sure that no run of this instance works, and that none begins meanwhile.

    Raises:
        RunError: A run is under way, or another process removes things at this moment.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(among(Path(instance.root_directory)).hold([_NAME], patience=0))
        except TimeoutError:
            raise RunError(
                "Another process removes or copies things at this moment.",
                remedy="Wait for it to end, then do the same again.",
            ) from None
        if under_way := instance.get_run_records(dg.RunsFilter(statuses=list(_UNDER_WAY))):
            ids = [record.dagster_run.run_id for record in under_way]
            raise RunError(
                f"{len(ids)} runs are under way: {', '.join(ids[:_SHOWN])}.",
                remedy="Wait for them, or cancel them in the UI (Runs); then do the same again.",
            )
        yield


def wait_until_over(instance: dg.DagsterInstance) -> None:
    """Wait, if things are being removed at this moment. A run does so before it reads or writes anything."""
    if instance.is_ephemeral:
        return

    def say() -> None:
        _log.info("Waiting for `cm4ai gc --apply` or `cm4ai backup` to end.")

    with among(Path(instance.root_directory)).hold([_NAME], waiting=say):
        pass
