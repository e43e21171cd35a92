"""`python -m cm4ai_assets.daemon`: Dagster's daemon as a service of its own, beside `cm4ai_assets.ui --without-daemon`.

It is `dagster-daemon run` with the instance made, bound to its storage and given its releases first, and never twice
over one instance. Belongs here: that, for the service and for `ui`. Does not belong here: the server (`ui`).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from cm4ai_assets import causes
from cm4ai_assets.cli.terminal import DONE, FAILED, WRONG_USE, complain, err, out
from cm4ai_assets.coordination import among
from cm4ai_assets.defs.home import describe
from cm4ai_assets.defs.instance import open_instance, sync_partitions
from cm4ai_assets.demo import demo_archive
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import PACKAGE, Settings, environment
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

WORKSPACE = PACKAGE / "workspace.yaml"
# What goes wrong is shown; what goes on stands in the UI.
_QUIET = ("--log-level", "warning", "--code-server-log-level", "warning")


@contextmanager
def running(
    instance: dg.DagsterInstance, store: Store, workspace: Path = WORKSPACE
) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon's process, ended with the context.

    Raises:
        ConfigurationError: Another one works for the same instance.
    """
    with _only_one(instance):
        sync_partitions(instance, ReleaseRegistry(store))
        program = str(Path(sys.executable).with_name("dagster-daemon"))
        daemon = subprocess.Popen([program, "run", "-w", str(workspace), *_QUIET])  # noqa: S603
        try:
            yield daemon
        finally:
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()


@contextmanager
def _only_one(instance: dg.DagsterInstance) -> Iterator[None]:
    """Refuse to run a second daemon beside another: both would request the same."""
    with ExitStack() as stack:
        try:
            stack.enter_context(among(Path(instance.root_directory)).hold(["daemon"], patience=0))
        except TimeoutError as error:
            raise ConfigurationError(
                "Another process, here or on another machine, runs the daemon of this instance.",
                remedy="Start the UI alone (--without-daemon, or --read-only to look only), or end that one first.",
            ) from error
        yield


def end_in_order() -> None:
    """Ctrl-C and SIGTERM both interrupt this process, and so end what it has started.

    A shell that starts a process in the background has SIGINT ignored, and SIGTERM would end it at once.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def serve(workspace: Path) -> int:
    """Run the daemon until interrupted; the exit status. A daemon that ends by itself has failed."""
    # What `.env` says is given to the daemon, which works in DAGSTER_HOME: see `ui.serve`.
    os.environ.update(environment())
    with ExitStack() as stack:
        store = Store.from_settings(Settings.from_env())
        stack.enter_context(demo_archive(store))
        instance = stack.enter_context(open_instance(store, tell=err.print))
        os.chdir(instance.root_directory)
        daemon = stack.enter_context(running(instance, store, workspace))
        out.print(
            f"The daemon works for the storage {store.location('')}, instance {describe(instance)}. Ctrl-C ends it."
        )
        sys.stdout.flush()
        daemon.wait()
    err.print(f"cm4ai: The daemon has ended by itself, with status {daemon.returncode}.")
    return FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit status."""
    args = _parser().parse_args(argv)
    end_in_order()
    try:
        return serve(args.workspace.resolve())
    except ConfigurationError as error:
        return complain(error, WRONG_USE, debug=args.debug)
    except KeyboardInterrupt:
        out.print("The daemon has ended.")
    except Exception as error:  # noqa: BLE001 - a person is at the terminal
        return complain(causes.of_exception(error), FAILED, debug=args.debug)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cm4ai_assets.daemon", description=__doc__)
    add_workspace(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_workspace(parser: argparse.ArgumentParser) -> None:
    """The option that names where the code location is."""
    parser.add_argument(
        "--workspace", type=Path, default=WORKSPACE,
        help="a file of Dagster's that names the code location; default: it is a process of this one",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
