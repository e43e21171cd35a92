"""`cm4ai backup`: a copy of the storage and of the Dagster instance from which both can be restored."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, err, out
from cm4ai_assets.errors import RunError
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    import dagster as dg

_EVERY = 5.0  # seconds between two looks for runs


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "backup",
        help=HELP["backup"],
        epilog="An earlier backup in DIR is brought up to date. Runs that begin meanwhile wait; the UI may stay. "
        "How to restore: docs/backup.md.",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="a new folder, or one with an earlier backup")
    parser.add_argument(
        "--wait", metavar="MINUTES", type=float, default=60.0, help="how long to wait for runs that are under way (60)"
    )
    parser.set_defaults(run=_backup)


def _backup(args: argparse.Namespace) -> int:
    from cm4ai_assets.defs.instance import open_instance  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.retention.backup import (  # noqa: PLC0415 - reads listings with table libraries
        copy_content,
        copy_home,
        copy_rest,
        require_target,
    )

    settings, target = Settings.from_env(), args.directory.expanduser().absolute()
    store = Store.from_settings(settings)
    with ExitStack() as stack:
        instance = stack.enter_context(open_instance(store, tell=err.print))
        require_target(store, target / "storage")
        copied = copy_content(store, target / "storage")
        _keep_runs_away(instance, stack, until=time.monotonic() + 60 * args.wait)
        copied += copy_rest(store, target / "storage")
        copy_home(Path(instance.root_directory), target / "home")
    out.print(f"{size_in_words(copied)} copied. {target} has {store.location('')} and {instance.root_directory}.")
    if settings.database is not None:
        err.print("The records of runs are in the database of CM4AI_DATABASE: pg_dump copies it (docs/backup.md).")
    return DONE


def _keep_runs_away(instance: dg.DagsterInstance, stack: ExitStack, *, until: float) -> None:
    """Be alone, as soon as no run is under way.

    Raises:
        RunError: One still was after the patience.
    """
    from cm4ai_assets.defs.collecting import alone  # noqa: PLC0415

    said = False
    while True:
        try:
            stack.enter_context(alone(instance))
        except RunError as error:
            if time.monotonic() >= until:
                raise
            if not said:
                err.print(f"Waiting: {error.message}")
            said = True
            time.sleep(_EVERY)
        else:
            return
