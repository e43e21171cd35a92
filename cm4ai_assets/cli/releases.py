"""`cm4ai releases`: what the archive offers, what is registered, what is materialized."""

from __future__ import annotations

import argparse
from datetime import datetime

from rich.table import Table as Grid

from cm4ai_assets import tables
from cm4ai_assets.cli.terminal import DONE, FAILED, complain, err, out
from cm4ai_assets.errors import Cm4aiError, ReleaseKeyError
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.registry import DAMAGED_REMEDY, ReleaseRegistry
from cm4ai_assets.storage.store import Store


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("releases", help="what the archive offers, what is registered, what is materialized")
    parser.add_argument("--register", action="store_true", help="register what is new, so that it can be materialized")
    parser.set_defaults(run=_releases)


def offered(settings: Settings) -> list[ReleaseRecord]:
    """Every released dataset version of the watched collection, as records still without a key."""
    from cm4ai_assets.archives.dataverse.client import DataverseClient  # noqa: PLC0415 - not needed to list what is stored
    from cm4ai_assets.transfer.retries import RetryPolicy  # noqa: PLC0415

    # A person is waiting: a server that does not answer is said soon, not waited for as an unattended run would.
    patience = RetryPolicy(tries=3, first=0.5, longest=5.0, limited_first=5.0, limited_longest=5.0, waf_tries=1)
    with DataverseClient(settings.dataverse_url, token=settings.dataverse_token, retries=patience) as client:
        return client.releases(settings.collection)


def register(seen: list[ReleaseRecord], store: Store) -> list[ReleaseRecord]:
    """Register what the archive was seen to offer and make it partitions of the Dagster instance; what was new."""
    from cm4ai_assets.defs.instance import open_instance, sync_partitions  # noqa: PLC0415 - Dagster is slow to import

    registry = ReleaseRegistry(store)
    new = registry.register(seen)
    with open_instance(store) as instance:
        sync_partitions(instance, registry)
    return new


def _releases(args: argparse.Namespace) -> int:
    settings = Settings.from_env()
    store = Store.from_settings(settings)
    status, seen = DONE, []
    try:
        seen = offered(settings)
    except Cm4aiError as error:
        status = complain(error, FAILED, debug=args.debug)
        err.print("What follows is what was registered before.")
    if args.register and seen:
        new = register(seen, store)
        out.print(
            f"{len(new)} new of {len(seen)} offered by {settings.dataverse_url}, collection {settings.collection}."
        )
    registry = ReleaseRegistry(store)
    for damaged in registry.damaged():
        status = complain(ReleaseKeyError(str(damaged), remedy=DAMAGED_REMEDY), FAILED, debug=args.debug)
    records = registry.all()
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
    out.print(grid)
    return status


def _state(store: Store, key: str) -> str:
    """What of a release is published, in a word or two."""
    made = sum(any(part.release == key for part in store.partitions(table.name)) for table in tables.ALL)
    return f"{made} of {len(tables.ALL)} tables" if made else "registered"


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "not stated"
