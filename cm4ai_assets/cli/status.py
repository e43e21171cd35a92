"""`cm4ai status`: releases, conditions, freshness, embargoes, disk, checks, and what waits."""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, err, out
from cm4ai_assets.settings import Settings, data_folder, environment
from cm4ai_assets.status import Status, as_json, state_of
from cm4ai_assets.status.lines import lines_of
from cm4ai_assets.storage.store import Store

_NO_INSTANCE = "There is no Dagster instance yet: `cm4ai materialize` or `make ui` makes it."


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "status",
        help=HELP["status"],
        epilog="Reads the storage and the records of Dagster, and changes nothing. The archive is not asked: what it "
        "said last is shown, with its time. The asset platform_status is the same as a page.",
    )
    parser.add_argument("--json", action="store_true", help="all of it as JSON on standard output")
    parser.set_defaults(run=_status)


def _status(args: argparse.Namespace) -> int:
    settings = Settings.from_env()
    store = Store.from_settings(settings)
    now = datetime.now(UTC)
    status = _with_instance(store, settings, now) if _has_instance(settings) else None
    if status is None:
        status = state_of(store, settings, now, unknown=[_NO_INSTANCE])
    if args.json:
        print(json.dumps(as_json(status), indent=1))
    else:
        for line in lines_of(status):
            out.print(line)
    return DONE


def _has_instance(settings: Settings) -> bool:
    """Whether there is one to ask. To look is no reason to make one."""
    home = Path(environment().get("DAGSTER_HOME") or data_folder(os.environ) / ".dagster_home").expanduser()
    return settings.database is not None or (home / "history").is_dir()


def _with_instance(store: Store, settings: Settings, now: datetime) -> Status:
    from cm4ai_assets.defs.instance import open_instance  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.defs.status.reading import read_status  # noqa: PLC0415

    with open_instance(store, tell=err.print) as instance:
        return read_status(instance, store, settings, now)
