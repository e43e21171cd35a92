"""`cm4ai rebuild`: a Dagster instance that is gone or empty, from what the storage knows."""

from __future__ import annotations

import argparse

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, FAILED, err, out
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "rebuild",
        help=HELP["rebuild"],
        epilog="Fetches nothing and makes nothing. What the instance knows already is left as it is.",
    )
    parser.set_defaults(run=_rebuild)


def _rebuild(args: argparse.Namespace) -> int:
    from cm4ai_assets.definitions import build as build_definitions  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.defs.instance import open_instance, sync_partitions  # noqa: PLC0415
    from cm4ai_assets.defs.rebuilding import rebuild  # noqa: PLC0415
    from cm4ai_assets.platform import Platform  # noqa: PLC0415

    del args
    settings = Settings.from_env()
    store = Store.from_settings(settings)
    recorded = failed = 0
    with open_instance(store, tell=err.print) as instance:
        new = sync_partitions(instance, ReleaseRegistry(store))
        out.print(f"{len(new)} releases became partitions of {instance.root_directory}.")
        for one in rebuild(build_definitions(Platform(settings)), instance, store):
            recorded += len(one.tables)
            failed += bool(one.failure)
            out.print(f"{one.partition}: {', '.join(one.tables)}; {one.checks} warning checks run")
            if one.failure:
                err.print(f"cm4ai: {one.partition}: {one.failure}")
    out.print(f"{recorded} tables recorded from {store.location('')}.")
    return FAILED if failed else DONE
