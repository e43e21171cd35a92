"""`cm4ai publish`: a release as a folder that somebody can deposit as it is."""

from __future__ import annotations

import argparse
from pathlib import Path

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, out, shown_progress
from cm4ai_assets.settings import Settings


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "publish",
        help=HELP["publish"],
        description="Writes a release with its crate, Croissant, datasheet and checksums into a folder (BagIt) that an "
        "archive such as Dataverse or Zenodo takes as it is. Nothing is uploaded. An interrupted call is gone on with.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder to write: new, empty, or begun")
    parser.add_argument("--release", required=True, metavar="KEY", help="a release key, or latest")
    parser.set_defaults(run=_publish)


def _publish(args: argparse.Namespace) -> int:
    from cm4ai_assets.access import open_release  # noqa: PLC0415
    from cm4ai_assets.publication.folder import publish  # noqa: PLC0415 - what it needs is slow to import

    release = open_release(args.release, storage=Settings.from_env().storage)
    with shown_progress("publish") as progress:
        made = publish(release, args.folder, progress=progress)
    kept = f", {made.kept:,} of them from before" if made.kept else ""
    out.print(f"{made.parts:,} files{kept}, {made.counted}, in {made.folder}. All were read again.")
    out.print(f"Licence: {made.license}. README.md there says how to read it and what it is made from.")
    return DONE
