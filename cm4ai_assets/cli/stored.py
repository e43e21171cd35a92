"""`cm4ai verify`, `withdraw` and `link`: what is stored, checked again and given names."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, FAILED, err, out
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.choice import release_to_read
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from cm4ai_assets.archives.dataverse.locked_file import LockedFile


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    verify = commands.add_parser("verify", help=HELP["verify"])
    verify.add_argument("--release", metavar="KEY", help="only this release, or latest")
    verify.set_defaults(run=_verify)

    withdraw = commands.add_parser("withdraw", help=HELP["withdraw"])
    withdraw.add_argument("thing", metavar="DIGEST", help="a blob's SHA-256 or a path, as `cm4ai verify` names it")
    withdraw.set_defaults(run=_withdraw)

    link = commands.add_parser("link", help=HELP["link"])
    link.add_argument("directory", type=Path, metavar="DIR")
    link.add_argument("--release", required=True, metavar="KEY", help="a release key, or latest")
    link.set_defaults(run=_link)


def _verify(args: argparse.Namespace) -> int:
    from cm4ai_assets.verification import verify  # noqa: PLC0415 - reads tensors with zarr, slow to import

    settings = Settings.from_env()
    store = Store.from_settings(settings)
    release = None if args.release is None else release_to_read(store, args.release)
    checked = problems = 0
    for item in verify(store, release=release):
        checked += 1
        problems += len(item.problems)
        out.print(f"{'ok     ' if not item.problems else 'DAMAGED'} {item.what} ({item.detail})")
        for problem in item.problems:
            out.print(f"        {problem}")
    out.print(f"{checked} things read again, {problems} problems. {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    if not checked:
        err.print("cm4ai: nothing is stored here yet. Run `cm4ai materialize --release latest`.")
        return FAILED
    return FAILED if problems else DONE


def _withdraw(args: argparse.Namespace) -> int:
    from cm4ai_assets.withdrawal import withdraw  # noqa: PLC0415 - reads tensors with zarr, slow to import

    store = Store.from_settings(Settings.from_env())
    problem = withdraw(store, args.thing)
    out.print(f"{problem} It is withdrawn; materialize what needs it, and it is made or fetched again.", markup=False)
    return DONE


def _link(args: argparse.Namespace) -> int:
    from cm4ai_assets.archives.dataverse import exports  # noqa: PLC0415
    from cm4ai_assets.storage.blobs import BlobStore  # noqa: PLC0415

    store = Store.from_settings(Settings.from_env())
    key, files = _locked(args.release, store)
    missing = exports.link_tree(files, BlobStore(store.fs, store.root), args.directory)
    out.print(f"{len(files) - len(missing)} of {len(files)} files of {key} are in {args.directory}")
    for file in missing:
        out.print(f"  not stored: {file.path} ({file.access})")
    return DONE


def _locked(key: str, store: Store) -> tuple[str, list[LockedFile]]:
    """The files of a release, by its lock."""
    from cm4ai_assets.access import open_release  # noqa: PLC0415
    from cm4ai_assets.archives.dataverse.lock import locked_files  # noqa: PLC0415

    release = open_release(key, storage=store.url)
    return release.key, locked_files(release.table("release_files").collect())
