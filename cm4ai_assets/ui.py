"""`make ui`: the Dagster UI and daemon for one operator, on this machine only.

Belongs here: starting both over one storage and one instance, and ending them in order. Does not belong here: which
requests are let through (`guard`), and the daemon as a service of its own (`daemon`). `dagster-webserver -w
workspace.yaml` and `dg dev` work too, unguarded.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context

from cm4ai_assets import causes, daemon
from cm4ai_assets.cli.terminal import DONE, FAILED, WRONG_USE, complain, err, out
from cm4ai_assets.defs.heartbeats import heartbeats
from cm4ai_assets.defs.home import describe
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.demo import demo_archive
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.guard import HOST, Guard
from cm4ai_assets.handbook import Runbook
from cm4ai_assets.health import Health, Probe
from cm4ai_assets.settings import Settings, environment
from cm4ai_assets.showing import Documents
from cm4ai_assets.storage.identity import storage_id
from cm4ai_assets.storage.store import Store


def serve(
    port: int, *, read_only: bool, with_daemon: bool = True, listen: str = HOST, workspace: Path = daemon.WORKSPACE
) -> None:
    """Serve until interrupted. The daemon is started beside, and ended with it; there is none where one only looks.

    Args:
        port: Of the server; 0: any that is free.
        read_only: Look only.
        with_daemon: False where the daemon is a service of its own.
        listen: The address of the server.
        workspace: Names the code location.

    Raises:
        ConfigurationError: The port is taken, or the instance belongs to another storage.
    """
    # What `.env` says is given to every process that starts here. They work in DAGSTER_HOME, because Dagster would put
    # a `.env` of the folder it works in over what is exported.
    os.environ.update(environment())
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(port, listen))
        store = Store.from_settings(Settings.from_env())
        archive = stack.enter_context(demo_archive(store))
        instance = stack.enter_context(open_instance(store, tell=err.print))
        os.chdir(instance.root_directory)
        if with_daemon and not read_only:
            stack.enter_context(daemon.running(instance, store, workspace))
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                WorkspaceFileTarget([str(workspace)]),
                version=dg.__version__,
                read_only=read_only,
                code_server_log_level="WARNING",
            )
        )
        app = Runbook(Documents(create_app_from_workspace_process_context(context), store))
        guarded = Guard(app, Settings.from_env().ui_hosts)
        config = uvicorn.Config(Health(guarded, _parts(instance, store, read_only=read_only)), log_level="warning")
        out.print(f"Storage {store.location('')}, instance {describe(instance)}")
        if archive:
            out.print(f"The embedded archive of `make demo` is served at {archive}.")
        kind = "look only, no daemon" if read_only else "with the daemon" if with_daemon else "its daemon is apart"
        out.print(f"The UI is on http://{listen}:{listening.getsockname()[1]} ({kind}). Ctrl-C ends it.")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listening])


def _parts(instance: dg.DagsterInstance, store: Store, *, read_only: bool) -> Mapping[str, Probe]:
    """What `/readyz` asks: one light question each. Who only looks needs no daemon."""
    parts: dict[str, Probe] = {
        "database": lambda: instance.get_daemon_heartbeats() is not None,
        "storage": lambda: storage_id(store) is not None,
    }
    return parts if read_only else {**parts, "daemon": lambda: heartbeats(instance).live}


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


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `python -m cm4ai_assets.ui`; the exit status. Ctrl-C is the way to end it, and no failure."""
    args = _parser().parse_args(argv)
    # Uvicorn hands signals on to what was set before.
    daemon.end_in_order()
    try:
        port = Settings.from_env().ui_port if args.port is None else args.port
        serve(
            port,
            read_only=args.read_only,
            with_daemon=args.with_daemon,
            listen=args.listen,
            workspace=args.workspace.resolve(),
        )
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
    parser.add_argument(
        "--without-daemon", dest="with_daemon", action="store_false",
        help="where python -m cm4ai_assets.daemon is a service of its own",
    )  # fmt: skip
    daemon.add_workspace(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
