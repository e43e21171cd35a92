"""`cm4ai pull`: large files that archives hold of a release, which nothing else fetches, within a budget of bytes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, err, out
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.identifiers import stated_size
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.choice import release_to_read
from cm4ai_assets.storage.layout import Partition

if TYPE_CHECKING:
    from cm4ai_assets.archives.pulling import Holdings
    from cm4ai_assets.platform import Platform

# What is made anew to record the digests of what was pulled, and what reads it.
_RECORDED = {
    "massive": "key:massive_files or key:secms_*",
    "figshare": "key:figshare_files+",
    "ena": "key:sra_runs",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("pull", help=HELP["pull"])
    parser.add_argument(
        "patterns", nargs="+", metavar="PATTERN",
        help="accession/path: 'MSV000101915/metadata/*', '27261219/*.h5ad', 'SRR31012081/*'",
    )  # fmt: skip
    parser.add_argument("--release", default="latest", metavar="KEY", help="whose inventories to choose from")
    parser.add_argument("--budget", required=True, type=_size, metavar="SIZE", help="at most so much, e.g. 20GB")
    parser.add_argument("--to", type=Path, metavar="DIR", help="give each file its name below this folder as well")
    parser.set_defaults(run=_pull)


def _size(text: str) -> int:
    stated = stated_size(text)
    size = None if stated is None else stated.in_bytes(base=1000)
    if size is None:
        raise argparse.ArgumentTypeError("must be a size like 500MB or 20GB")
    return size


def _pull(args: argparse.Namespace) -> int:
    from cm4ai_assets.archives.pulling import Clients, chosen, plan_pull, pull_all  # noqa: PLC0415
    from cm4ai_assets.platform import Platform  # noqa: PLC0415 - Dagster is slow to import

    platform = Platform(Settings.from_env())
    release = release_to_read(platform.store, args.release)
    held = _holdings(platform, release)
    plan = plan_pull(chosen(held.entries(), args.patterns), args.budget)
    out.print(f"{plan.files.height:,} entries of {release}: {plan.members:,} files, {plan.total_bytes:,} bytes.")
    with platform.massive() as massive, platform.figshare() as figshare, platform.ena() as ena:
        clients = Clients(massive, figshare, ena)
        for one in pull_all(plan, held, clients, platform.blobs, platform.settings.scratch, target=args.to):
            out.print(f"{one.sha256}  {one.accession}/{one.path}")
    again = " or ".join(text for archive, text in _RECORDED.items() if archive in set(plan.files["archive"]))
    err.print(
        f"To record the digests, and to read pulled tables: cm4ai materialize --release {release} --select '{again}'"
    )
    return DONE


def _holdings(platform: Platform, release: str) -> Holdings:
    """The inventories of a release that are materialized.

    Raises:
        NotMaterializedError: None is.
    """
    from cm4ai_assets.archives.pulling import Holdings  # noqa: PLC0415

    tables = {"massive": "massive_files", "figshare": "figshare_files", "runs": "sra_runs"}
    partition = Partition(release)
    there = {kind: name for kind, name in tables.items() if platform.store.has_table(name, partition)}
    if not there:
        raise NotMaterializedError(
            f"No inventory of an archive is materialized for {release}.",
            remedy=f"Run `cm4ai materialize --release {release} --select 'key:massive_files or key:figshare_files or "
            "key:sra_runs'`.",
        )
    return Holdings(**{kind: platform.store.table(name, partition).collect() for kind, name in there.items()})
