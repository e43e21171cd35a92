"""`cm4ai sandbox build` and `serve`: the embedded archive."""

from __future__ import annotations

import argparse
from pathlib import Path

from cm4ai_assets.cli.commands import HELP
from cm4ai_assets.cli.terminal import DONE, INTERRUPTED, out


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    sandbox = commands.add_parser("sandbox", help=HELP["sandbox"]).add_subparsers(required=True, metavar="COMMAND")
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


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _sandbox_build(args: argparse.Namespace) -> int:
    from cm4ai_assets.sandbox import build  # noqa: PLC0415

    build(args.directory, fields=args.fields, seed=args.seed, progress=out.print)
    out.print(f"Sandbox archive in {args.directory}. Serve it with: cm4ai sandbox serve {args.directory}")
    return DONE


def _sandbox_serve(args: argparse.Namespace) -> int:
    from cm4ai_assets.sandbox import serve  # noqa: PLC0415

    serve(args.directory, port=args.port)  # until it is interrupted
    return INTERRUPTED
