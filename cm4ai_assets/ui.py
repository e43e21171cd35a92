"""`make ui`: the Dagster UI and daemon for one operator, on this machine only.

Dagster's webserver runs mutations that come by GET and looks at neither Host nor Origin, so that binding to 127.0.0.1
is not enough: any web page the operator opens could start runs. This module serves the same application behind a guard
that refuses such requests, with the daemon beside it. `dagster-webserver -w workspace.yaml` and `dg dev` work too,
unguarded.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cm4ai_assets.defs.instance import prepare_home
from cm4ai_assets.settings import PROJECT

HOST = "127.0.0.1"
_NAMES = frozenset({HOST, "localhost", "[::1]", "::1"})
_POLICY_VIOLATION = 1008


class Guard:
    """Lets through only what a page of this very server sends.

    Refuses a Host that is not this machine's (DNS rebinding), an Origin that is another site's (cross-site requests and
    WebSockets), and GraphQL by GET (which would need no preflight).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        refusal = _refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refusal[1]})
        else:
            await PlainTextResponse(refusal[1], status_code=refusal[0])(scope, receive, send)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if urlsplit(f"//{headers.get('host', '')}").hostname not in _NAMES:
        return 421, "This server answers to 127.0.0.1 and localhost only."
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers["host"]:
        return 403, "Requests from other sites are refused."
    if (
        scope["type"] == "http"
        and scope["path"].endswith("/graphql")
        and scope["method"] == "GET"
        and scope["query_string"]
    ):
        return 405, "GraphQL is answered to POST only."
    return None


def serve(port: int, *, read_only: bool) -> None:
    """Serve until interrupted. The daemon is started beside, and ended with it."""
    prepare_home()
    # Both end the server in order. Uvicorn hands signals on to what was set before, whose default would end us at once
    # and leave the daemon behind; and a shell that starts us in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    workspace = str(PROJECT / "workspace.yaml")
    os.chdir(PROJECT)
    daemon = subprocess.Popen([str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", workspace])  # noqa: S603
    try:
        with (
            dg.DagsterInstance.get() as instance,
            WorkspaceProcessContext(
                instance, WorkspaceFileTarget([workspace]), version=dg.__version__, read_only=read_only
            ) as context,
        ):
            app = create_app_from_workspace_process_context(context)
            print(f"The UI is on http://{HOST}:{port} (ctrl-c ends it and the daemon).", flush=True)  # noqa: T201
            uvicorn.run(Guard(app), host=HOST, port=port, log_level="warning")
    except KeyboardInterrupt:
        print("The UI has ended.")  # noqa: T201
    finally:
        daemon.terminate()
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `python -m cm4ai_assets.ui`."""
    parser = argparse.ArgumentParser(prog="make ui", description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("CM4AI_UI_PORT", "3000")))
    parser.add_argument("--read-only", action="store_true", help="look only: no runs, no changes")
    args = parser.parse_args(argv)
    serve(args.port, read_only=args.read_only)


if __name__ == "__main__":
    main()
