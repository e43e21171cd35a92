"""`cm4ai alerts`: what is open now, and a test message to every channel."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, FAILED, err, out
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import Settings

_EXAMPLE = "CM4AI_ALERTS='mailtos://user:password@mail.example.org?to=team@example.org'"
_REMEDY = (
    "Mend the address in CM4AI_ALERTS (docs/alerts.md has an example of each kind; a password has @ as %40 and / as "
    "%2F), or the receiver, and run `cm4ai alerts test` again."
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("alerts", help=HELP["alerts"], epilog=f"Channels: {_EXAMPLE}; see docs/alerts.md.")
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    test = actions.add_parser("test", help="send a test message to every channel of CM4AI_ALERTS")
    test.set_defaults(run=_test)


def _list(_: argparse.Namespace) -> int:
    from cm4ai_assets.definitions import defs  # noqa: PLC0415
    from cm4ai_assets.defs.incidents import open_incidents  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.defs.instance import open_instance  # noqa: PLC0415
    from cm4ai_assets.incidents import counted  # noqa: PLC0415
    from cm4ai_assets.storage.store import Store  # noqa: PLC0415

    store = Store.from_settings(Settings.from_env())
    with open_instance(store, tell=err.print) as instance:
        found = open_incidents(instance, store, defs.get_repository_def(), datetime.now(UTC))
    for one in found:
        since = f" (since {one.since:%Y-%m-%d %H:%M} UTC)" if one.since else ""
        out.print(f"{one.severity}: {one.title}{since}. {one.text}")
    out.print(f"Open: {counted(found)}.")
    return DONE


def _test(_: argparse.Namespace) -> int:
    from cm4ai_assets.alerts.delivery import channels, deliver  # noqa: PLC0415
    from cm4ai_assets.alerts.messages import test_message  # noqa: PLC0415

    settings = Settings.from_env()
    every = channels(settings)
    if not every:
        raise ConfigurationError("CM4AI_ALERTS is not set: there is no channel.", remedy=f"Set it, such as {_EXAMPLE}.")
    outcomes = deliver({channel: [test_message(settings.ui_url)] for channel in every})
    for channel, outcome in outcomes.items():
        out.print(f"{channel.name}: {f'refused. {outcome.reason}' if outcome.reason else 'taken'}")
    refused = [channel.name for channel, outcome in outcomes.items() if outcome.reason]
    if refused:
        err.print(f"cm4ai: The test message was not taken by {', '.join(refused)}. {_REMEDY}")
    return FAILED if refused else DONE
