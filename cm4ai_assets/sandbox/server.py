"""The sandbox over HTTP: the archive's own protocol, on a port of this machine.

Belongs here: sockets, threads, the request log. Does not belong here: what is answered (`routes`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.sandbox.exchange import Answer, CutConnection, Fault, Record, Request
from cm4ai_assets.sandbox.routes import Archive
from cm4ai_assets.settings import service_variables

_LOGGED = ("range", "accept-encoding", "user-agent", "x-dataverse-key", "authorization")


class SandboxServer:
    """Serves a sandbox while it is entered as a context.

    >>> with SandboxServer(directory) as server:            # doctest: +SKIP
    ...     httpx2.get(f"{server.url}/api/info/version")

    `faults` are asked in order before the archive is; `log` is what was asked so far. Whoever sends `token` may read
    what is closed to guests; any other token is refused.

    Raises:
        ConfigurationError: The directory holds no sandbox, or the port is taken.
    """

    def __init__(self, directory: Path, host: str = "127.0.0.1", port: int = 0, *, token: str | None = None) -> None:
        self._archive = Archive(directory, token=token)
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self.faults: list[Fault] = []
        try:
            self._http = _Server((host, port), self)
        except OSError as error:
            raise ConfigurationError(
                f"The sandbox cannot listen on {host}:{port}: {error.strerror}.",
                remedy="Name another port, or 0 for any that is free.",
            ) from error
        self.url = f"http://{host}:{self._http.server_address[1]}"
        self._thread: threading.Thread | None = None

    @property
    def log(self) -> list[Record]:
        """A copy of the request log, in the order of arrival."""
        with self._lock:
            return [replace(record) for record in self._records]

    def clear_log(self) -> None:
        """Forget what was asked so far."""
        with self._lock:
            self._records.clear()

    def publish_until(self, moment: datetime | None) -> None:
        """Travel in time: versions released after the moment do not exist yet. None is today."""
        self._archive.until = moment

    def answer(self, request: Request) -> Answer:
        """What the archive itself answers, whatever the faults."""
        return self._archive.answer(request, self.url)

    def respond(self, request: Request) -> Answer:
        """What is sent: the first fault that has an answer, else the archive's."""
        for fault in list(self.faults):
            answer = fault(request)
            if answer is not None:
                return answer
        return self.answer(request)

    def record(self, record: Record) -> None:
        """Add to the log."""
        with self._lock:
            self._records.append(record)

    def serve_forever(self) -> None:
        """Serve in this thread until interrupted."""
        self._http.serve_forever()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="sandbox", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _announce(url: str) -> None:
    settings = " ".join(f"{name}={value}" for name, value in service_variables(url).items())
    message = f"Sandbox archive at {url}\nexport {settings}"
    print(message, flush=True)  # noqa: T201 - what the command is for


def serve(directory: Path, port: int = 0, *, ready: Callable[[str], None] = _announce) -> None:
    """Serve a sandbox until interrupted; `ready` gets the URL once it answers."""
    server = SandboxServer(directory, port=port)
    try:
        with suppress(KeyboardInterrupt):
            ready(server.url)
            server.serve_forever()
    finally:
        server.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], owner: SandboxServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service what this machine is called, which can take seconds offline."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class does not say
        """Report what went wrong here, but not that a client went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Payara"  # what UVA's front names is not known; nothing may depend on it
    sys_version = ""
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: object) -> None:
        """The request log is the server's; nothing goes to stderr."""

    def _handle(self) -> None:
        owner = self.server.owner
        request = self._request()
        if int(request.headers.get("content-length", 0)):
            self.close_connection = True  # bodies are not read: nothing here takes one
        answer = owner.respond(request)
        logged = {name: value for name, value in request.headers.items() if name in _LOGGED}
        asked = request.headers.get("range")
        record = Record(
            request.method,
            request.target,
            request.path,
            request.query,
            logged,
            asked,
            int(answer.status),
            0,
            answer.counted,
        )
        # Before the first byte goes out, so that a client that has its answer finds it in the log.
        owner.record(record)
        try:
            self._send(answer, record)
        except (CutConnection, ConnectionError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the base class names them

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        for prefix in ("/api/v1/", "/api/"):
            if path.startswith(prefix):
                path = "/" + path[len(prefix) :]
                break
        else:
            path = f"/outside{path}"
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers)

    def _send(self, answer: Answer, record: Record) -> None:
        """Send an answer. HEAD runs the path of GET, without the body."""
        self.send_response(HTTPStatus(answer.status))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        if self.command == "HEAD":
            return
        for chunk in answer.body:
            record.sent += len(chunk)
            self.wfile.write(chunk)
