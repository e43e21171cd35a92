"""`cm4ai materialize`: a release through Dagster, in this process, recorded in the instance."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from cm4ai_assets import software
from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.releases import offered, register
from cm4ai_assets.cli.terminal import DONE, FAILED, err, out
from cm4ai_assets.conditions import CONDITIONS, condition_of
from cm4ai_assets.plain import from_markdown
from cm4ai_assets.releases import LATEST, ReleaseKey
from cm4ai_assets.runbook import with_section
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.choice import registered_releases, release_to_make
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import ALL

if TYPE_CHECKING:
    import dagster as dg

    from cm4ai_assets.defs.launching import Outcome


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "materialize",
        help=HELP["materialize"],
        epilog="What a selection reads and is not there yet is made as well. Exit status: 0 all runs and blocking "
        "checks passed, 1 one failed, 2 wrong use, 130 interrupted.",
    )
    parser.add_argument("--release", required=True, metavar="KEY", help="a release key, or latest (newest registered)")
    parser.add_argument(
        "--condition", action="append", metavar="C", help="only this condition; may be given again (default: all)"
    )
    parser.add_argument(
        "--select",
        default="*",
        metavar="SELECTION",
        help="asset names with commas, or Dagster's syntax: if_fields,if_quality, +if_tensors, "
        "'group:images or key:release_files' (default: all)",
    )
    parser.set_defaults(run=_materialize)


@dataclass(frozen=True)
class Shows:
    """What a person sees of a materialization as it goes on: who asked for it chooses.

    Attributes:
        start: Of a run, with its partition, its assets, and what was asked for.
        end: Of a run, with its outcome and the storage.
        log_level: Of what steps say meanwhile.
    """

    start: Callable[[Partition, Sequence[dg.AssetKey], set[dg.AssetKey]], None]
    end: Callable[[Outcome, Store], None]
    log_level: str = "INFO"


def _materialize(args: argparse.Namespace) -> int:
    shows = Shows(_print_start, lambda outcome, _store: print_outcome(outcome, debug=args.debug))
    return materialize_release(args.release, args.condition or (), args.select, shows)


def materialize_release(asked: str, asked_conditions: Sequence[str], selection: str, shows: Shows) -> int:
    """Materialize a selection of a release in this process, recorded in the instance; the exit status.

    Args:
        asked: A release key, or `latest`.
        asked_conditions: Names of conditions; none for all.
        selection: What `--select` takes.
        shows: What is printed of the runs.
    """
    software.look_ahead()  # every record of what is made asks for it
    from cm4ai_assets.definitions import build as build_definitions  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.defs.dead_runs import Waiting  # noqa: PLC0415
    from cm4ai_assets.defs.instance import open_instance, sync_partitions  # noqa: PLC0415
    from cm4ai_assets.defs.launching import materialize  # noqa: PLC0415
    from cm4ai_assets.defs.progress import bars_on  # noqa: PLC0415
    from cm4ai_assets.defs.selection import chosen_assets  # noqa: PLC0415
    from cm4ai_assets.platform import Platform  # noqa: PLC0415

    settings = Settings.from_env()
    defs = build_definitions(Platform(settings))
    chosen = chosen_assets(defs.resolve_asset_graph(), selection)
    store = Store.from_settings(settings)
    conditions = [str(condition_of(c)) for c in asked_conditions] or [str(c) for c in CONDITIONS]
    outcomes: list[Outcome] = []
    with open_instance(store, tell=_tell) as instance, bars_on(err):
        release = _resolve(asked, settings, store, instance)
        out.print(f"Release {release}: {', '.join(conditions)}; storage {store.location('')}")
        sync_partitions(instance, ReleaseRegistry(store))
        try:
            for outcome in materialize(
                defs, instance, release=release, conditions=list(dict.fromkeys(conditions)), selection=selection,
                is_published=lambda name, partition: _is_published(store, name, partition),
                announce=lambda partition, assets: shows.start(partition, assets, chosen),
                leave_out=lambda partition, asset, lacks: out.print(
                    f"  not made for {partition}: {asset.to_user_string()} (not made before it: {', '.join(lacks)})"
                ),
                wait=Waiting(tell=_tell), log_level=shows.log_level,
            ):  # fmt: skip
                outcomes.append(outcome)
                shows.end(outcome, store)
        except KeyboardInterrupt:
            _print_summary(outcomes, store)
            raise
    _print_summary(outcomes, store)
    return DONE if all(outcome.succeeded for outcome in outcomes) else FAILED


def _resolve(key: str, settings: Settings, store: Store, instance: dg.DagsterInstance) -> str:
    """The release to materialize, registered: the archive is asked only if it has to be."""
    if key == LATEST or (ReleaseKey.is_valid(key) and key not in registered_releases(store)):
        register(offered(settings), store, settings, instance)
    return release_to_make(store, key)


def _is_published(store: Store, name: str, partition: Partition) -> bool:
    """Whether an asset's table is published; what is no table is not asked for."""
    return name not in {table.name for table in ALL} or store.has_table(name, partition)


def _tell(message: str) -> None:
    err.print(f"cm4ai: {message}")


def _print_start(partition: Partition, assets: Sequence[dg.AssetKey], chosen: set[dg.AssetKey]) -> None:
    added = [key.to_user_string() for key in assets if key not in chosen]
    names = ", ".join(key.to_user_string() for key in assets if key in chosen)
    also = f"{', '.join(added)} (needed and not there)" if added else ""
    out.print(Text.assemble((str(partition), "bold"), f": {'; '.join(part for part in (names, also) if part)}"))


def print_outcome(outcome: Outcome, *, debug: bool) -> None:
    """Print how a run ended, each check that did not hold, and why assets were not made."""
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
        out.print(from_markdown(check.description or ""))
    if outcome.failure:
        err.print(f"cm4ai: {outcome.partition}: {with_section(outcome.failure, outcome.runbook)}")
    if debug and outcome.details:
        err.print(outcome.details)
    why = {name: outcome.observed.get(name, "") for name in outcome.unmade}
    for reason in dict.fromkeys(why.values()):
        names = ", ".join(name for name in why if why[name] == reason)
        out.print(f"  not made: {names}" + (f" ({reason})" if reason else ""))


def _print_summary(outcomes: Sequence[Outcome], store: Store) -> None:
    made = sum(len(outcome.made) for outcome in outcomes)
    failed = sum(not outcome.succeeded for outcome in outcomes)
    out.print(f"{made} materializations in {len(outcomes)} runs, {failed} failed. Data: {store.location('')}")
