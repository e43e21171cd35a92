"""The `cm4ai` command: arguments in, one readable answer out.

Belongs here: parsing, printing, exit statuses (0 done, 1 failed, 2 wrong use). Does not belong here: the work itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as Grid

from cm4ai_assets.conditions import CONDITIONS, condition_of
from cm4ai_assets.errors import Cm4aiError, ConfigurationError, UnknownTreatmentError
from cm4ai_assets.releases import ReleaseKey, ReleaseRecord, newest
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from cm4ai_assets.defs.launching import Outcome

DONE, FAILED, WRONG_USE = 0, 1, 2
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except (ConfigurationError, UnknownTreatmentError) as error:
        return _complain(error, WRONG_USE, debug=args.debug)
    except Cm4aiError as error:
        return _complain(error, FAILED, debug=args.debug)
    except KeyboardInterrupt:
        _err.print("Stopped. What was published is whole; run the same command again to go on.")
        return FAILED
    return status


def _complain(error: Cm4aiError, status: int, *, debug: bool) -> int:
    if debug:
        _err.print_exception()
    _err.print(f"cm4ai: {error}", markup=False)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cm4ai", description="Cell Maps for AI releases as verified, training-ready data."
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    releases = commands.add_parser("releases", help="what the archive offers, what is registered, what is materialized")
    releases.add_argument(
        "--register", action="store_true", help="register what is new, so that it can be materialized"
    )
    releases.set_defaults(run=_releases)

    materialize = commands.add_parser("materialize", help="materialize a release through Dagster")
    materialize.add_argument("--release", required=True, metavar="KEY", help="a release key, or latest")
    materialize.add_argument(
        "--condition", action="append", metavar="C", help="only this condition; may be given again (default: all)"
    )
    materialize.add_argument(
        "--select",
        default="*",
        metavar="SELECTION",
        help="assets in Dagster's syntax: if_fields, +if_tensors, 'group:images or key:release_files' (default: all)",
    )
    materialize.set_defaults(run=_materialize)

    verify = commands.add_parser("verify", help="re-read what is stored and re-check every digest and table")
    verify.add_argument("--release", metavar="KEY", help="only this release, or latest")
    verify.set_defaults(run=_verify)

    sandbox = commands.add_parser("sandbox", help="the embedded archive").add_subparsers(
        required=True, metavar="COMMAND"
    )
    build = sandbox.add_parser("build", help="build a synthetic release history")
    build.add_argument("directory", type=Path, metavar="DIR")
    build.add_argument(
        "--fields", type=_positive, default=24, metavar="N", help="fields of view per condition (default 24)"
    )
    build.add_argument("--seed", type=int, default=1, metavar="S", help="same seed, same bytes (default 1)")
    build.set_defaults(run=_sandbox_build)
    serve = sandbox.add_parser("serve", help="serve it over the archive's own protocol, on 127.0.0.1")
    serve.add_argument("directory", type=Path, metavar="DIR")
    serve.add_argument("--port", type=int, default=8765, metavar="P", help="port (default 8765; 0 takes a free one)")
    serve.set_defaults(run=_sandbox_serve)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


# --- releases
# -----------------------------------------------------------------------------------------------------------


def offered(settings: Settings) -> list[ReleaseRecord]:
    """Every released dataset version of the watched collection, as records still without a key."""
    from cm4ai_assets.archives.dataverse import DataverseClient  # noqa: PLC0415 - not needed to list what is stored
    from cm4ai_assets.archives.pacing import Pacing  # noqa: PLC0415

    # A person is waiting: a server that does not answer is said soon, not waited for as an unattended run would.
    patience = Pacing(tries=3, first=0.5, longest=5.0, limited_first=5.0, limited_longest=5.0, waf_tries=1)
    with DataverseClient(settings.dataverse_url, token=settings.dataverse_token, pacing=patience) as client:
        return client.releases(settings.collection)


def register(settings: Settings, store: Store) -> list[ReleaseRecord]:
    """Register what the archive offers and make it partitions of the Dagster instance; what was new."""
    from cm4ai_assets.defs.instance import open_instance, sync_partitions  # noqa: PLC0415 - Dagster is slow to import

    registry = ReleaseRegistry(store)
    new = registry.register(offered(settings))
    with open_instance() as instance:
        sync_partitions(instance, registry)
    return new


def _releases(args: argparse.Namespace) -> int:
    settings = Settings.from_env()
    store = Store.from_settings(settings)
    status, seen = DONE, []
    try:
        seen = offered(settings)
    except Cm4aiError as error:
        status = _complain(error, FAILED, debug=args.debug)
        _err.print("What follows is what was registered before.")
    if args.register and seen:
        new = register(settings, store)
        _out.print(
            f"{len(new)} new of {len(seen)} offered by {settings.dataverse_url}, collection {settings.collection}."
        )
    records = ReleaseRegistry(store).all()
    registered = {(record.doi, record.version) for record in records}
    grid = Grid("release", "DOI", "version", "released", "state", "title", box=None, pad_edge=False)
    for record in records:
        gone = (
            "" if not seen or any((s.doi, s.version) == (record.doi, record.version) for s in seen) else ", not offered"
        )
        grid.add_row(
            record.key,
            record.doi,
            record.version,
            _day(record.released),
            _state(store, record.key) + gone,
            record.title,
        )
    for record in seen:
        if (record.doi, record.version) not in registered:
            grid.add_row("", record.doi, record.version, _day(record.released), "new", record.title)
    _out.print(grid)
    return status


def _state(store: Store, key: str) -> str:
    """What of a release is published, in a word or two."""
    from cm4ai_assets import tables  # noqa: PLC0415

    made = sum(any(part.release == key for part in store.partitions(table.name)) for table in tables.ALL)
    return f"{made} of {len(tables.ALL)} tables" if made else "registered"


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "not stated"


# --- materialize
# --------------------------------------------------------------------------------------------------------


def _materialize(args: argparse.Namespace) -> int:
    import dagster as dg  # noqa: PLC0415 - slow to import

    from cm4ai_assets.definitions import build as build_definitions  # noqa: PLC0415
    from cm4ai_assets.defs.instance import open_instance, sync_partitions  # noqa: PLC0415
    from cm4ai_assets.defs.launching import materialize, waves  # noqa: PLC0415
    from cm4ai_assets.defs.progress import bars_on  # noqa: PLC0415
    from cm4ai_assets.defs.resources import Platform  # noqa: PLC0415

    settings = Settings.from_env()
    defs = build_definitions(Platform(settings))
    try:
        waves(defs, args.select)
    except dg.DagsterError as error:
        raise ConfigurationError(f"--select {args.select!r} selects nothing: {error}") from error
    store = Store.from_settings(settings)
    conditions = [str(c) for c in CONDITIONS] if not args.condition else [str(condition_of(c)) for c in args.condition]
    release = _resolve(args.release, settings, store)
    _out.print(f"Release {release}: {', '.join(conditions)}; storage {store.location('')}")
    outcomes: list[Outcome] = []
    with open_instance() as instance, bars_on(_err):
        sync_partitions(instance, ReleaseRegistry(store))
        for outcome in materialize(
            defs, instance, release=release, conditions=conditions, selection=args.select,
            announce=lambda wave, partition: _out.print(
                f"[bold]{partition}[/bold]: {', '.join(key.to_user_string() for key in wave.assets)}"
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
            register(settings, store)
        return registry.get(wanted).key
    register(settings, store)
    return newest(record.key for record in registry.all())


def _print_outcome(outcome: Outcome) -> None:
    import dagster as dg  # noqa: PLC0415

    warned = [c for c in outcome.checks if not c.passed and c.severity == dg.AssetCheckSeverity.WARN]
    refused = [c for c in outcome.checks if not c.passed and c.severity == dg.AssetCheckSeverity.ERROR]
    passed = len(outcome.checks) - len(warned) - len(refused)
    state = "done" if outcome.succeeded else "[red]FAILED[/red]"
    _out.print(
        f"  {state}: {len(outcome.made)} assets, {passed} checks passed, {len(warned)} warn, {len(refused)} failed "
        f"(run {outcome.run_id})"
    )
    for check in [*refused, *warned]:
        label = "[red]failed[/red]" if check in refused else "[yellow]warns[/yellow] "
        _out.print(f"  {label} {check.asset_key.to_user_string()}.{check.check_name}: ", end="")
        _out.print(check.description or "", markup=False)
    if outcome.failure:
        _out.print(f"  {outcome.failure}", markup=False)
    if outcome.unmade:
        _out.print(f"  not made: {', '.join(outcome.unmade)}", markup=False)


def _summary(outcomes: Sequence[Outcome], store: Store) -> int:
    made = sum(len(outcome.made) for outcome in outcomes)
    failed = [outcome for outcome in outcomes if not outcome.succeeded]
    _out.print(f"{made} materializations in {len(outcomes)} runs, {len(failed)} failed. Data: {store.location('')}")
    if not outcomes:
        _err.print("cm4ai: the selection has no asset to materialize.")
        return WRONG_USE
    return FAILED if failed else DONE


# --- verify, sandbox
# ----------------------------------------------------------------------------------------------------


def _verify(args: argparse.Namespace) -> int:
    from cm4ai_assets.verification import verify  # noqa: PLC0415 - reads tensors with zarr, slow to import

    settings = Settings.from_env()
    store = Store.from_settings(settings)
    published = {part.release for part in store.partitions("release_files")}
    release = args.release
    if release == "latest":
        release = newest(published)
    elif release is not None:
        release = str(ReleaseKey.parse(release))
    checked = problems = 0
    for item in verify(store, release=release):
        checked += 1
        problems += len(item.problems)
        _out.print(f"{'ok     ' if not item.problems else 'DAMAGED'} {item.what} ({item.detail})", markup=False)
        for problem in item.problems:
            _out.print(f"        {problem}", markup=False)
    _out.print(f"{checked} things checked, {problems} problems. {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    if not checked:
        _err.print("cm4ai: nothing is stored here yet. Run `cm4ai materialize --release latest`.")
        return FAILED
    return FAILED if problems else DONE


def _sandbox_build(args: argparse.Namespace) -> int:
    from cm4ai_assets.sandbox import build  # noqa: PLC0415

    build(args.directory, fields=args.fields, seed=args.seed, progress=_out.print)
    _out.print(f"Sandbox archive in {args.directory}. Serve it with: cm4ai sandbox serve {args.directory}")
    return DONE


def _sandbox_serve(args: argparse.Namespace) -> int:
    from cm4ai_assets.sandbox import serve  # noqa: PLC0415

    serve(args.directory, port=args.port)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
