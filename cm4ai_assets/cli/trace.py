"""`cm4ai trace`: where a row, a tensor's field or a file comes from, and what was made of a published file."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, FAILED, out
from cm4ai_assets.errors import SelectionError
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.choice import release_to_read
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from cm4ai_assets.lineage.finding import RowLike
    from cm4ai_assets.lineage.traces import Trace


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "trace",
        help=HELP["trace"],
        epilog="A row is a number, from 0, in the file of its partition; a key (field_id=…); or the key alone. Of "
        "if_tensors a number is a field of the tensor. Digests are as recorded: --verify reads everything again.",
    )
    parser.add_argument(
        "thing",
        metavar="TABLE|PATH",
        help="a table; a path in the storage or in an exported folder; or a published file: name, id or digest",
    )
    parser.add_argument("row", nargs="*", metavar="ROW", help="a row of the table")
    parser.add_argument("--release", metavar="KEY", help="a release key, or latest (the default of a table)")
    parser.add_argument("--condition", metavar="C", help="a condition, where the table has several")
    parser.add_argument("--json", action="store_true", help="all of it as JSON on standard output")
    parser.add_argument("--verify", action="store_true", help="read what is stored of it again, and hold each digest")
    parser.set_defaults(run=_trace)


def _trace(args: argparse.Namespace) -> int:
    store = Store.from_settings(Settings.from_env())
    trace = _of(store, args)
    if args.json:
        print(json.dumps(trace.as_json(), indent=1, ensure_ascii=True))
    else:
        for line in str(trace).split("\n"):
            out.print(line)
    return FAILED if any(one.problems for one in trace.held or ()) else DONE


def _of(store: Store, args: argparse.Namespace) -> Trace:
    from cm4ai_assets import tables  # noqa: PLC0415 - a table library is slow to import
    from cm4ai_assets.lineage.trace import trace_table, trace_thing  # noqa: PLC0415

    if args.row or args.condition or args.thing in {table.name for table in tables.ALL}:
        release = release_to_read(store, args.release or "latest")
        return trace_table(store, release, args.thing, _row(args.row), condition=args.condition, verify=args.verify)
    only = None if args.release is None else release_to_read(store, args.release)
    return trace_thing(store, args.thing, release=only, verify=args.verify)


def _row(words: list[str]) -> RowLike | None:
    """The row that some words mean: a number or key, or values by column."""
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return int(words[0]) if words[0].isdecimal() else words[0]
    values = dict(word.partition("=")[::2] for word in words)
    if any("=" not in word for word in words) or len(values) < len(words):
        raise SelectionError(
            f"{' '.join(words)!r} is no row.",
            remedy="A row is a number, a key, or values such as plate=B2AI_1 well=A1.",
        )
    return values
