"""`cm4ai gc`: what of the storage and of the scratch folder nobody needs, and its removal."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, FAILED, err, out
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from cm4ai_assets.retention import Removable, Usage
    from cm4ai_assets.retention.removing import Removed

_SHOWN = 20


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "gc",
        help=HELP["gc"],
        epilog="Without --apply nothing is changed. What a registered release refers to is never removed, nor what was "
        "written within the last 24 hours.",
    )
    parser.add_argument("--apply", action="store_true", help="remove it; no run may be under way")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.set_defaults(run=_gc)


def _gc(args: argparse.Namespace) -> int:
    from cm4ai_assets.retention import usage  # noqa: PLC0415 - reads tables, slow to import

    settings = Settings.from_env()
    store = Store.from_settings(settings, holds=True)
    with ExitStack() as stack:
        if args.apply:
            _keep_runs_away(store, stack)
        found = usage(store, scratch=settings.scratch)
        removed = _remove(store, settings, found) if args.apply else []
    if args.json:
        print(json.dumps(_as_json(found, removed, applied=args.apply), indent=1))
    else:
        _print(found)
        _print_end(found, removed, applied=args.apply)
    for reason in found.unknown:
        err.print(f"cm4ai: {reason} So nothing goes that releases may refer to.")
    return FAILED if args.apply and (found.unknown or not all(one.gone for one in removed)) else DONE


def _keep_runs_away(store: Store, stack: ExitStack) -> None:
    from cm4ai_assets.defs.collecting import alone  # noqa: PLC0415 - Dagster is slow to import
    from cm4ai_assets.defs.instance import open_instance  # noqa: PLC0415

    stack.enter_context(alone(stack.enter_context(open_instance(store, tell=err.print))))


def _remove(store: Store, settings: Settings, found: Usage) -> list[Removed]:
    from cm4ai_assets.retention.removing import remove  # noqa: PLC0415

    return list(remove(store, found.could_go, scratch=settings.scratch))


def _print(found: Usage) -> None:
    for what, group in groupby(found.could_go, key=lambda one: one.what):
        things = list(group)
        out.print(f"{what}: {len(things):,}, {_size(things)}")
        for one in things[:_SHOWN]:
            out.print(f"  {size_in_words(one.size):>10}  {one.path}: {one.reason}")
        if len(things) > _SHOWN:
            out.print(f"  and {len(things) - _SHOWN:,} more; --json names all")


def _print_end(found: Usage, removed: Sequence[Removed], *, applied: bool) -> None:
    if found.young:
        out.print(f"{len(found.young):,} things that nothing refers to are too young to go ({_size(found.young)}).")
    if not applied:
        hint = " Nothing was removed; `cm4ai gc --apply` removes it." if found.could_go else ""
        out.print(f"{size_in_words(found.size_that_could_go)} of {size_in_words(found.stored)} could go.{hint}")
        return
    gone = [one.thing for one in removed if one.gone]
    out.print(f"{len(gone):,} things removed, {_size(gone)}.")
    for one in removed:
        if not one.gone:
            err.print(f"cm4ai: {one.thing.path} is in use or was changed meanwhile, and stays.")


def _size(things: Sequence[Removable]) -> str:
    return size_in_words(sum(one.size for one in things))


def _as_json(found: Usage, removed: Sequence[Removed], *, applied: bool) -> dict[str, Any]:
    return {
        "at": found.at.isoformat(timespec="seconds"),
        "stored": found.stored,
        "could_go": [_thing(one) for one in found.could_go],
        "could_go_size": found.size_that_could_go,
        "by_class": {str(what): {"things": n, "size": size} for what, (n, size) in found.by_class().items()},
        "young": [_thing(one) for one in found.young],
        "unknown": list(found.unknown),
        "applied": applied,
        "removed": [one.thing.path for one in removed if one.gone],
        "left": [one.thing.path for one in removed if not one.gone],
    }


def _thing(one: Removable) -> dict[str, Any]:
    written = one.written.isoformat(timespec="seconds") if one.written else None
    return {
        "class": str(one.what),
        "in": "CM4AI_SCRATCH" if one.what.in_scratch else "CM4AI_STORAGE",
        "path": one.path,
        "size": one.size,
        "reason": one.reason,
        "written": written,
    }
