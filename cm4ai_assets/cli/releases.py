"""`cm4ai releases`: what the archive offers, what is registered, what is materialized."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, FAILED, complain, err, out
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.errors import Cm4aiError, ReleaseRecordError
from cm4ai_assets.overview import ReleaseState, by_dataset, overview
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.registry import DAMAGED_REMEDY, ReleaseRegistry
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    import dagster as dg

_WIDTH = 80


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "releases",
        help=HELP["releases"],
        epilog="States of a condition: new (offered, not registered), registered, locked (its files are known), in "
        "part, stored (the image ZIP is here), tensors (made), shared (made from the same bytes for another release), "
        "unknown (its lock cannot be read).",
    )
    parser.add_argument("--register", action="store_true", help="register what is new, so that it can be materialized")
    parser.add_argument("--json", action="store_true", help="all of it as JSON on standard output")
    parser.set_defaults(run=_releases)


def offered(settings: Settings) -> list[ReleaseRecord]:
    """Every released dataset version of the watched collection, as records still without a key."""
    from cm4ai_assets.archives.dataverse.client import DataverseClient  # noqa: PLC0415 - not needed to list what is stored
    from cm4ai_assets.transfer.retries import RetryPolicy  # noqa: PLC0415

    # A person is waiting: a server that does not answer is said soon, not waited for as an unattended run would.
    patience = RetryPolicy(tries=3, first=0.5, longest=5.0, limited_first=5.0, limited_longest=5.0, waf_tries=1)
    with DataverseClient(settings.dataverse_url, token=settings.dataverse_token, retries=patience) as client:
        return client.releases(settings.collection)


def register(
    seen: list[ReleaseRecord], store: Store, settings: Settings, instance: dg.DagsterInstance
) -> list[ReleaseRecord]:
    """Register what the archive was seen to offer and make it partitions of the storage's instance; what was new."""
    from cm4ai_assets.defs.instance import sync_partitions  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.defs.release.assets import registered_by_hand  # noqa: PLC0415

    registry = ReleaseRegistry(store)
    new = registry.register(seen)
    sync_partitions(instance, registry)
    instance.report_runless_asset_event(registered_by_hand(settings, len(seen)))
    return new


def _releases(args: argparse.Namespace) -> int:
    settings = Settings.from_env()
    store = Store.from_settings(settings)
    status, seen = DONE, None
    try:
        seen = offered(settings)
    except Cm4aiError as error:
        status = complain(error, FAILED, debug=args.debug)
        err.print("What follows is what was registered before.")
    if args.register and seen:
        from cm4ai_assets.defs.instance import open_instance  # noqa: PLC0415 - Dagster is slow to import

        with open_instance(store, tell=err.print) as instance:  # which refuses a storage that is not its own
            new = register(seen, store, settings, instance)
        said = f"{len(new)} new of {len(seen)} offered by {settings.dataverse_url}, collection {settings.collection}."
        (err if args.json else out).print(said)
    for damaged in ReleaseRegistry(store).damaged():
        status = complain(ReleaseRecordError(str(damaged), remedy=DAMAGED_REMEDY), FAILED, debug=args.debug)
    states = overview(store, seen)
    for problem in (state.problem for state in states if state.problem is not None):
        status = complain(problem, FAILED, debug=args.debug)
    if args.json:
        print(json.dumps([_as_json(state) for state in states], indent=1))
    else:
        _print_table(states)
    return status


_ROW = "{:<19} {:<10} {:>8}  {:<11}{:<11}{}"  # 75 characters at most


def _print_table(states: list[ReleaseState]) -> None:
    """A heading per dataset, with its whole DOI, and below it a line per version."""
    out.print(_ROW.format("release", "released", "size", *CONDITIONS))
    for doi, versions in by_dataset(states).items():
        title = " ".join(versions[-1].record.title.split())
        room = _WIDTH - len(doi) - 2
        out.print(f"{doi}  {title if len(title) <= room else '…' + title[1 - room :]}")
        for state in versions:
            out.print(_line(state))


def _line(state: ReleaseState) -> str:
    record = state.record
    size = "-" if state.size is None else _in_words(state.size)
    released = f"{record.released:%Y-%m-%d}" if record.released else "not stated"
    words = [one.state for one in state.conditions.values()]
    line = _ROW.format(record.key or f"v{record.version}", released, size, *words)
    return line if state.offered is not False else f"{line}\n{'':<19} no longer offered by the archive"


def _in_words(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def _as_json(state: ReleaseState) -> dict[str, Any]:
    record = state.record
    return {
        "release": record.key or None,
        "doi": record.doi,
        "version": record.version,
        "title": record.title,
        "released": record.released.isoformat() if record.released else None,
        "offered": state.offered,
        "files": state.files,
        "size": state.size,
        "tables": state.tables,
        "conditions": {name: one.__dict__ for name, one in state.conditions.items()},
    }
