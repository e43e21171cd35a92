"""`cm4ai materialize`: a release through Dagster, in this process, recorded in the instance."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from cm4ai_assets.cli.releases import offered, register
from cm4ai_assets.cli.terminal import DONE, FAILED, WRONG_USE, err, out
from cm4ai_assets.conditions import CONDITIONS, condition_of
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.releases import ReleaseKey, newest
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from cm4ai_assets.defs.launching import Outcome


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("materialize", help="materialize a release through Dagster")
    parser.add_argument("--release", required=True, metavar="KEY", help="a release key, or latest")
    parser.add_argument(
        "--condition", action="append", metavar="C", help="only this condition; may be given again (default: all)"
    )
    parser.add_argument(
        "--select",
        default="*",
        metavar="SELECTION",
        help="assets in Dagster's syntax: if_fields, +if_tensors, 'group:images or key:release_files' (default: all)",
    )
    parser.set_defaults(run=_materialize)


def _materialize(args: argparse.Namespace) -> int:
    import dagster as dg  # noqa: PLC0415 - slow to import

    from cm4ai_assets.definitions import build as build_definitions  # noqa: PLC0415
    from cm4ai_assets.defs.instance import open_instance, sync_partitions  # noqa: PLC0415
    from cm4ai_assets.defs.launching import materialize, waves  # noqa: PLC0415
    from cm4ai_assets.defs.progress import bars_on  # noqa: PLC0415
    from cm4ai_assets.platform import Platform  # noqa: PLC0415

    settings = Settings.from_env()
    defs = build_definitions(Platform(settings))
    try:
        waves(defs, args.select)
    except dg.DagsterError as error:
        raise ConfigurationError(f"--select {args.select!r} selects nothing: {error}") from error
    store = Store.from_settings(settings)
    conditions = [str(c) for c in CONDITIONS] if not args.condition else [str(condition_of(c)) for c in args.condition]
    release = _resolve(args.release, settings, store)
    out.print(f"Release {release}: {', '.join(conditions)}; storage {store.location('')}")
    outcomes: list[Outcome] = []
    with open_instance() as instance, bars_on(err):
        sync_partitions(instance, ReleaseRegistry(store))
        for outcome in materialize(
            defs, instance, release=release, conditions=conditions, selection=args.select,
            announce=lambda wave, partition: out.print(
                Text.assemble((str(partition), "bold"), f": {', '.join(key.to_user_string() for key in wave.assets)}")
            ),
        ):  # fmt: skip
            outcomes.append(outcome)
            _print_outcome(outcome)
    return _summary(outcomes, store)


def _resolve(key: str, settings: Settings, store: Store) -> str:
    """The release to materialize, registered: the archive is asked only if it has to be."""
    registry = ReleaseRegistry(store)
    if key != "latest":
        wanted = str(ReleaseKey.parse(key))
        if wanted not in {record.key for record in registry.all()}:
            register(offered(settings), store)
        return registry.get(wanted).key
    register(offered(settings), store)
    return newest(record.key for record in registry.all())


def _print_outcome(outcome: Outcome) -> None:
    import dagster as dg  # noqa: PLC0415

    warned = [c for c in outcome.checks if not c.passed and c.severity == dg.AssetCheckSeverity.WARN]
    refused = [c for c in outcome.checks if not c.passed and c.severity == dg.AssetCheckSeverity.ERROR]
    passed = len(outcome.checks) - len(warned) - len(refused)
    out.print("  done" if outcome.succeeded else Text("  FAILED", "red"), end="")
    out.print(
        f": {len(outcome.made)} assets, {passed} checks passed, {len(warned)} warn, {len(refused)} failed "
        f"(run {outcome.run_id})"
    )
    for check in [*refused, *warned]:
        out.print(Text("  failed ", "red") if check in refused else Text("  warns  ", "yellow"), end="")
        out.print(f"{check.asset_key.to_user_string()}.{check.check_name}: ", end="")
        out.print(check.description or "")
    if outcome.failure:
        out.print(f"  {outcome.failure}")
    why = {name: outcome.observed.get(name, "") for name in outcome.unmade}
    for reason in dict.fromkeys(why.values()):
        names = ", ".join(name for name in why if why[name] == reason)
        out.print(f"  not made: {names}" + (f" ({reason})" if reason else ""))


def _summary(outcomes: Sequence[Outcome], store: Store) -> int:
    made = sum(len(outcome.made) for outcome in outcomes)
    failed = [outcome for outcome in outcomes if not outcome.succeeded]
    out.print(f"{made} materializations in {len(outcomes)} runs, {len(failed)} failed. Data: {store.location('')}")
    if not outcomes:
        err.print("cm4ai: the selection has no asset to materialize.")
        return WRONG_USE
    return FAILED if failed else DONE
