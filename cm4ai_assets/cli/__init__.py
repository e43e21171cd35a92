"""The `cm4ai` command: arguments in, one readable answer out.

Belongs here: parsing, printing, exit statuses (0 done, 1 failed, 2 wrong use). Does not belong here: the work itself.
Each module adds its own commands to the parser; heavy libraries are imported by the command that needs them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cm4ai_assets.cli import materialize, pull, releases, sandbox, stored
from cm4ai_assets.cli.terminal import DONE, FAILED, WRONG_USE, complain, err
from cm4ai_assets.errors import Cm4aiError, ConfigurationError, UnknownTreatmentError

__all__ = ["DONE", "FAILED", "WRONG_USE", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except (ConfigurationError, UnknownTreatmentError) as error:
        return complain(error, WRONG_USE, debug=args.debug)
    except Cm4aiError as error:
        return complain(error, FAILED, debug=args.debug)
    except KeyboardInterrupt:
        err.print("Stopped. What was published is whole; run the same command again to go on.")
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cm4ai", description="Cell Maps for AI releases as verified, training-ready data."
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (releases, materialize, pull, stored, sandbox):
        module.add_to(commands)
    return parser
