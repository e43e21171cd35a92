"""`cm4ai export`: a release for other people's tools, as a list of its files or as a folder in a format of theirs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, out, shown_progress
from cm4ai_assets.conditions import condition_of
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.exports.formats import FORMATS, SHARD_FIELDS
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from cm4ai_assets.exports.making import Made
    from cm4ai_assets.exports.selection import Selection

_LISTS = ("sha256sums", "md5sums", "pooch", "aria2", "metalink", "bagit")
_SELECTING = {
    "gene": "a symbol, Ensembl id or UniProt accession",
    "antibody": "an antibody id",
    "plate": "a plate, e.g. B2AI_1",
    "well": "a well, e.g. A1",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    shown = "\n".join(f"  {one.name:<14}{one.summary}" for one in FORMATS.values())
    parser = commands.add_parser(
        "export",
        help=HELP["export"],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Lists of the published files, on standard output:\n  {', '.join(_LISTS)}\n"
        f"Folders, which say licence and origin; an interrupted export is gone on with:\n{shown}",
    )
    parser.add_argument("--release", required=True, metavar="KEY", help="a release key, or latest")
    parser.add_argument(
        "--format", required=True, choices=(*_LISTS, *FORMATS), metavar="FORMAT", help="one of those below"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="the folder to write (default: cm4ai-KEY-FORMAT, here)"
    )
    parser.add_argument("--condition", action="append", default=[], metavar="C", help="only this one; may be repeated")
    for name, text in _SELECTING.items():
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=name[0].upper(), help=f"only {text}; may be repeated"
        )
    parser.add_argument("--split", metavar="S", help="only this side of the scheme: train, validation or test")
    parser.add_argument("--scheme", default="protein", metavar="S", help="a scheme of the table splits (protein)")
    parser.add_argument("--with-controls", action="store_true", help="also wells without a primary antibody")
    parser.add_argument("--pixels", metavar="FORM", help=f"{_pixel_forms()} (default: the first)")
    parser.add_argument("--shard-fields", type=_positive, metavar="N", help=f"fields in a shard ({SHARD_FIELDS})")
    parser.set_defaults(run=_export)


def _pixel_forms() -> str:
    return "; ".join(f"{one.name}: {', '.join(one.pixels)}" for one in FORMATS.values() if one.pixels)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a number from 1")
    return int(text)


def _export(args: argparse.Namespace) -> int:
    return _folder(args) if args.format in FORMATS else _list(args)


def _folder(args: argparse.Namespace) -> int:
    from cm4ai_assets.access import open_release  # noqa: PLC0415
    from cm4ai_assets.exports.job import export  # noqa: PLC0415 - what it needs is slow to import

    selection = _selection(args)
    release = open_release(args.release, storage=Settings.from_env().storage)
    folder = args.output or Path(f"cm4ai-{release.key}-{args.format}")
    with shown_progress() as progress:
        made = export(
            release, args.format, folder, selection=selection, pixels=args.pixels, shard_fields=args.shard_fields,
            progress=progress,
        )  # fmt: skip
    _say(made)
    return DONE


def _selection(args: argparse.Namespace) -> Selection:
    from cm4ai_assets.exports.selection import Selection  # noqa: PLC0415

    return Selection(
        conditions=tuple(dict.fromkeys(condition_of(label) for label in args.condition)),
        genes=tuple(args.gene),
        antibodies=tuple(args.antibody),
        plates=tuple(args.plate),
        wells=tuple(args.well),
        split=args.split,
        scheme=args.scheme,
        with_controls=args.with_controls,
    )


def _say(made: Made) -> None:
    kept = f", {made.kept:,} of them from before" if made.kept else ""
    out.print(f"{made.parts:,} parts{kept} in {made.folder}. {made.counted}.")
    out.print(f"Licence: {made.license}. README.md there says how to read it and what it is made from.")


def _list(args: argparse.Namespace) -> int:
    from cm4ai_assets.access import open_release  # noqa: PLC0415
    from cm4ai_assets.archives.dataverse import exports  # noqa: PLC0415
    from cm4ai_assets.archives.dataverse.lock import locked_files  # noqa: PLC0415
    from cm4ai_assets.storage.blobs import BlobStore  # noqa: PLC0415

    choices = ("output", "condition", *_SELECTING, "split", "with_controls", "pixels", "shard_fields")
    if asked := [name for name in choices if getattr(args, name)]:
        raise ConfigurationError(
            f"{args.format} lists every published file on standard output; it takes no --{asked[0].replace('_', '-')}.",
            remedy="Leave it out.",
        )
    store = Store.from_settings(Settings.from_env())
    release = open_release(args.release, storage=store.url)
    files = locked_files(release.table("release_files").collect())
    archive = ReleaseRegistry(store).get(release.key).archive
    written = {
        "sha256sums": lambda: exports.sha256_sums(files, BlobStore(store.fs, store.root)),
        "md5sums": lambda: exports.published_sums(files, "MD5"),
        "pooch": lambda: exports.pooch_registry(files, archive),
        "aria2": lambda: exports.aria2_input(files, archive),
        "metalink": lambda: exports.metalink(files, archive),
        "bagit": lambda: exports.bagit_fetch(files, archive),
    }
    print(written[args.format](), end="")
    return DONE
