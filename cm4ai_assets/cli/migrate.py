"""`cm4ai migrate`: the Dagster instance of one machine, copied into the database that several machines share."""

from __future__ import annotations

import argparse
from pathlib import Path

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, err, out
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.store import Store


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "migrate",
        help=HELP["migrate"],
        epilog="The database must be empty. The files of the instance are only read, and can be opened again without "
        "CM4AI_DATABASE.",
    )
    parser.add_argument("home", metavar="HOME", type=Path, help="the DAGSTER_HOME that was used so far")
    parser.set_defaults(run=_migrate)


def _migrate(args: argparse.Namespace) -> int:
    from cm4ai_assets.defs.binding import bind  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.defs.home import describe  # noqa: PLC0415
    from cm4ai_assets.defs.instance import open_instance  # noqa: PLC0415
    from cm4ai_assets.defs.moving import move, open_files  # noqa: PLC0415

    settings = Settings.from_env()
    if settings.database is None:
        raise ConfigurationError("CM4AI_DATABASE is not set.", remedy="Set it to the database to copy into.")
    store, home = Store.from_settings(settings), args.home.expanduser().absolute()
    with open_files(home) as old:
        bind(home, store)  # the files are about this storage, or nothing is copied
        with open_instance(store, tell=err.print) as new:
            moved = move(old, new, err.print)
            out.print(
                f"Copied {moved.runs} runs with {moved.events} events, {moved.partitions} partitions, {moved.switches} "
                f"sensors and schedules with {moved.ticks} ticks, from {home} to {describe(new)}."
            )
    return DONE
