"""The `cm4ai` command: arguments in, one readable answer out.

Belongs here: parsing, exit statuses (0 done, 1 failed, 2 wrong use, 130 interrupted), and how every error is shown.
Does not belong here: the work itself. The module of the command that is called, and no other, is imported and adds its
arguments to the parser; heavy libraries are imported by the command that needs them.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cm4ai_assets import causes
from cm4ai_assets.cli.commands import COMMANDS, HELP
from cm4ai_assets.cli.terminal import DONE, FAILED, INTERRUPTED, WRONG_USE, complain, err, out
from cm4ai_assets.cycles import none_at_the_end, seldom_collecting
from cm4ai_assets.errors import ConfigurationError, SelectionError, UnknownReleaseError, UnknownTreatmentError

__all__ = ["DONE", "FAILED", "INTERRUPTED", "WRONG_USE", "main"]
_WRONG = (ConfigurationError, SelectionError, UnknownReleaseError, UnknownTreatmentError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    words = sys.argv[1:] if argv is None else argv
    none_at_the_end()
    with seldom_collecting():
        args = _parser(words).parse_args(words)
        return in_words(lambda: args.run(args), debug=args.debug)


def in_words(run: Callable[[], int], *, debug: bool = False) -> int:
    """Run a command's work; an error becomes one line on standard error, and all of it an exit status."""
    with _terminated_as_interrupted():
        try:
            status = run()
            sys.stdout.flush()
        except _WRONG as error:
            return complain(error, WRONG_USE, debug=debug)
        except KeyboardInterrupt:
            err.print("Stopped. What was published is whole; run the same command again to go on.")
            return INTERRUPTED
        except BrokenPipeError:  # the reader of a pipe (`| head`) has what it wants
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except Exception as error:  # noqa: BLE001 - a person is at the terminal; `--debug` shows where it happened
            return complain(causes.of_exception(error), FAILED, debug=debug)
    return status


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM stops a command as Ctrl-C does: in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Version(argparse.Action):
    """Print the version, and end. It is looked up only here: a checkout is asked for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from cm4ai_assets.software import package_version  # noqa: PLC0415 - for this alone

        out.print(package_version(), highlight=False)
        parser.exit()


def _parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser: every command by its name, with the arguments of the one that `words` call; of all, without words."""
    called = [word for word in words if not word.startswith("-")][:1] if words is not None else HELP
    parser = argparse.ArgumentParser(
        prog="cm4ai", description="Cell Maps for AI releases as verified, training-ready data."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version of this package")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module, named in COMMANDS.items():
        if not named.keys().isdisjoint(called):
            importlib.import_module(f"cm4ai_assets.cli.{module}").add_to(commands)
        else:
            for name, text in named.items():
                commands.add_parser(name, help=text)
    return parser
