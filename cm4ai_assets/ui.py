"""`make ui`: the Dagster UI and daemon for one operator, on this machine only.

Belongs here: starting both over one storage and one instance, and ending them in order. Does not belong here: which
requests are let through (`guard`). `dagster-webserver -w workspace.yaml` and `dg dev` work too, unguarded.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context

from cm4ai_assets import causes
from cm4ai_assets.cli.terminal import DONE, FAILED, WRONG_USE, complain, err, out
from cm4ai_assets.coordination import machines
from cm4ai_assets.defs.home import describe
from cm4ai_assets.defs.instance import open_instance, sync_partitions
from cm4ai_assets.demo import demo_archive
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.guard import HOST, Guard
from cm4ai_assets.handbook import Runbook
from cm4ai_assets.settings import PACKAGE, Settings, environment
from cm4ai_assets.showing import Documents
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

# What goes wrong is shown; what goes on stands in the UI.
_QUIET = ("--log-level", "warning", "--code-server-log-level", "warning")


def serve(port: int, *, read_only: bool, listen: str = HOST) -> None:
    """Serve until interrupted. The daemon is started beside, and ended with it; there is none where one only looks.

    Raises:
        ConfigurationError: The port is taken, or the instance belongs to another storage.
    """
    # What `.env` says is given to every process that starts here. They work in DAGSTER_HOME, because Dagster would put
    # a `.env` of the folder it works in over what is exported.
    os.environ.update(environment())
    workspace = str(PACKAGE / "workspace.yaml")
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(port, listen))
        store = Store.from_settings(Settings.from_env())
        archive = stack.enter_context(demo_archive(store))
        instance = stack.enter_context(open_instance(store, tell=err.print))
        os.chdir(instance.root_directory)
        if not read_only:
            stack.enter_context(_only_daemon())
            sync_partitions(instance, ReleaseRegistry(store))
            stack.enter_context(_daemon(workspace))
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                WorkspaceFileTarget([workspace]),
                version=dg.__version__,
                read_only=read_only,
                code_server_log_level="WARNING",
            )
        )
        app = Runbook(Documents(create_app_from_workspace_process_context(context), store))
        config = uvicorn.Config(Guard(app, Settings.from_env().ui_hosts), log_level="warning")
        out.print(f"Storage {store.location('')}, instance {describe(instance)}")
        if archive:
            out.print(f"The embedded archive of `make demo` is served at {archive}.")
        kind = "look only, no daemon" if read_only else "with the daemon"
        out.print(f"The UI is on http://{listen}:{listening.getsockname()[1]} ({kind}). Ctrl-C ends it.")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _listening(port: int, address: str) -> Iterator[socket.socket]:
    """The socket of the UI, taken before anything is started."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
            listening.listen()
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} of {address} cannot be used: {error.strerror}.",
                remedy="End what uses it, or choose another one: CM4AI_UI_PORT=3001 make ui.",
            ) from error
        yield listening


@contextmanager
def _only_daemon() -> Iterator[None]:
    """Refuse to run a second daemon beside another machine's: both would request the same."""
    with ExitStack() as stack:
        if others := machines():
            try:
                stack.enter_context(others.hold(["daemon"], patience=0))
            except TimeoutError as error:
                raise ConfigurationError(
                    "Another machine runs the daemon of this instance.",
                    remedy="Look only (--read-only, see docs/operations.md), or end that one first.",
                ) from error
        yield


@contextmanager
def _daemon(workspace: str) -> Iterator[None]:
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", workspace, *_QUIET]
    daemon = subprocess.Popen(command)  # noqa: S603
    try:
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `python -m cm4ai_assets.ui`; the exit status. Ctrl-C is the way to end it, and no failure."""
    args = _parser().parse_args(argv)
    # Both end the server in order. Uvicorn hands signals on to what was set before, whose default would end us at once
    # and leave the daemon behind; and a shell that starts us in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        port = Settings.from_env().ui_port if args.port is None else args.port
        serve(port, read_only=args.read_only, listen=args.listen)
    except ConfigurationError as error:
        return complain(error, WRONG_USE, debug=args.debug)
    except KeyboardInterrupt:
        out.print("The UI has ended.")
    except Exception as error:  # noqa: BLE001 - a person is at the terminal
        return complain(causes.of_exception(error), FAILED, debug=args.debug)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make ui", description=__doc__)
    parser.add_argument("--port", type=int, help="default: CM4AI_UI_PORT, or 3000")
    parser.add_argument(
        "--listen", default=HOST, help="the address; another one than %(default)s only in a container of its own"
    )
    parser.add_argument("--read-only", action="store_true", help="look only: no daemon, no runs, no changes")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
