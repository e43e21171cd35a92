"""`cm4ai pull`: raw files of the deposits, which nothing else fetches, within a budget of bytes."""

from __future__ import annotations

import argparse
from pathlib import Path

from cm4ai_assets.cli.terminal import DONE, err, out
from cm4ai_assets.identifiers import stated_size
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.choice import release_to_read
from cm4ai_assets.storage.layout import Partition


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("pull", help="fetch raw files of the MassIVE deposits, which nothing else does")
    parser.add_argument("patterns", nargs="+", metavar="PATTERN", help="accession/path: 'MSV000101915/metadata/*'")
    parser.add_argument("--release", default="latest", metavar="KEY", help="whose massive_files to choose from")
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
    from cm4ai_assets.archives.massive.inventory import plan_pull  # noqa: PLC0415
    from cm4ai_assets.archives.massive.pulling import chosen, pull_all  # noqa: PLC0415
    from cm4ai_assets.platform import Platform  # noqa: PLC0415 - Dagster is slow to import

    platform = Platform(Settings.from_env())
    release = release_to_read(platform.store, args.release)
    files = platform.store.table("massive_files", Partition(release)).collect()
    plan = plan_pull(chosen(files, args.patterns), args.budget)
    out.print(f"{plan.files.height:,} entries of {release}: {plan.members:,} files, {plan.total_bytes:,} bytes.")
    with platform.massive() as client:
        for one in pull_all(plan, client, platform.blobs, platform.settings.scratch, target=args.to):
            out.print(f"{one.sha256}  {one.accession}/{one.path}")
    record = f"cm4ai materialize --release {release} --select 'key:massive_files or key:secms_*'"
    err.print(f"To record the digests, and to read pulled SEC-MS tables: {record}")
    return DONE
