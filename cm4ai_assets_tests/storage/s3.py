"""A local S3 server for the tests: moto's, in a thread of this process, reached by s3fs as any other would be.

Every request is counted (`Requests`), and a test may put a fault before one (`Faults`): an answer of its own, a
connection that is reset, an answer that is lost.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import fsspec
import httpx2
import pytest

BUCKET = "cm4ai-tests"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


@dataclass(frozen=True)
class Request:
    """One request, as S3 bills it: its operation, the key below the bucket, and the bytes either way."""

    operation: str
    key: str
    received: int
    sent: int
    status: int


@dataclass
class Requests:
    """The requests that a server has answered since `clear`."""

    seen: list[Request] = field(default_factory=list)

    def clear(self) -> None:
        """Count from here."""
        self.seen.clear()

    def by_operation(self) -> Counter[str]:
        """How many of each operation."""
        return Counter(request.operation for request in self.seen)

    def of(self, pattern: str) -> list[Request]:
        """Those whose operation and key, as in `GET tables/x`, match a pattern at their beginning."""
        return [one for one in self.seen if re.match(pattern, f"{one.operation} {one.key}")]

    @property
    def bytes_in(self) -> int:
        """Bytes that were uploaded."""
        return sum(request.received for request in self.seen)

    @property
    def bytes_out(self) -> int:
        """Bytes that were downloaded."""
        return sum(request.sent for request in self.seen)


Fault = Callable[[Application, Environ, StartResponse], "Iterable[bytes] | None"]
"""Answers a request in the server's place; None lets the server answer."""


class WatchedServer:
    """The application with counting and faults around it.

    Attributes:
        requests: What was asked.
        faults: Asked in turn before the server is; the first that answers does.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self.requests = Requests()
        self.faults: list[Fault] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        status: list[int] = []

        def started(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            status.append(int(line.split(" ", 1)[0]))
            return start_response(line, headers, *rest)

        answer: Iterable[bytes] | None = None
        for fault in list(self.faults):
            answer = fault(self._application, environ, started)
            if answer is not None:
                break
        if answer is None:
            answer = self._application(environ, started)
        body = list(answer)
        sent = sum(map(len, body)) if environ["REQUEST_METHOD"] != "HEAD" else 0
        received = int(environ.get("CONTENT_LENGTH") or 0)
        operation, key = operation_of(environ)
        if operation != "OTHER":
            self.requests.seen.append(Request(operation, key, received, sent, status[0] if status else 0))
        return body


def operation_of(environ: Environ) -> tuple[str, str]:
    """The operation of a request, by the names under which S3 bills them, and its key; `OTHER` for moto's own."""
    method, query = environ["REQUEST_METHOD"], parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    _, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
    if not environ["PATH_INFO"].startswith(f"/{BUCKET}"):
        return "OTHER", key
    if not key:
        return ("DELETE" if "delete" in query else "LIST" if method == "GET" else method), query.get("prefix", [""])[0]
    if "uploadId" in query or "uploads" in query:
        if "uploads" in query:
            return "BEGIN", key
        return {"PUT": "PART", "DELETE": "ABORT"}.get(method, "COMPLETE"), key
    return ("COPY" if "HTTP_X_AMZ_COPY_SOURCE" in environ else method), key


def refusing(
    status: int,
    code: str,
    *,
    until: Callable[[], bool],
    where: str = "",
    text: str = "Please reduce your request rate.",
) -> Fault:
    """A fault: the server answers this error to what matches `where`, until that says so."""

    def fault(_: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        operation, key = operation_of(environ)
        if operation == "OTHER" or until() or not re.match(where, f"{operation} {key}"):
            return None
        _read(environ)
        body = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        start_response(f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body.encode()]

    return fault


def resetting(times: int, *, where: str, answered: bool = False) -> Fault:
    """A fault: the connection of so many requests that match is reset.

    With `answered` the server did what was asked before: the answer is lost.
    """
    left, lock = [times], threading.Lock()

    def fault(application: Application, environ: Environ, _: StartResponse) -> Iterable[bytes] | None:
        operation, key = operation_of(environ)
        if not re.match(where, f"{operation} {key}"):
            return None
        with lock:
            if left[0] <= 0:
                return None
            left[0] -= 1
        if answered:
            list(application(environ, lambda *_: None))  # type: ignore[arg-type]
        _reset(environ["werkzeug.socket"])
        raise ConnectionResetError

    return fault


def before(action: Callable[[], object], *, where: str, number: int = 1) -> Fault:
    """No fault: something else happens just before the request of that number, of those that match, is answered."""
    seen, lock = [0], threading.Lock()

    def fault(_: Application, environ: Environ, __: StartResponse) -> None:
        if not re.match(where, " ".join(operation_of(environ))):
            return
        with lock:
            seen[0] += 1
            is_it = seen[0] == number
        if is_it:
            action()

    return fault


def breaking_off(times: int, *, where: str) -> Fault:
    """A fault: so many answers that match end in their middle."""
    left = [times]

    def fault(application: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        if not re.match(where, " ".join(operation_of(environ))) or left[0] <= 0:
            return None
        left[0] -= 1
        body = b"".join(application(environ, start_response))
        return [body[: len(body) // 2]]

    return fault


def altering(times: int, *, where: str) -> Fault:
    """A fault: a bit of so many uploads that match changes on the way. As S3 does, a stated checksum is held."""
    left = [times]

    def fault(application: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        if not re.match(where, " ".join(operation_of(environ))) or left[0] <= 0:
            return None
        left[0] -= 1
        body = bytearray(_read(environ))
        body[0] ^= 1
        stated = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
        if stated not in {None, base64.b64encode(hashlib.sha256(body).digest()).decode()}:
            text = b"<Error><Code>BadDigest</Code><Message>The checksum did not match.</Message></Error>"
            start_response("400 Bad Request", [("Content-Length", str(len(text)))])
            return [text]
        return application({**environ, "wsgi.input": io.BytesIO(body)}, start_response)

    return fault


def _read(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return bytes(environ["wsgi.input"].read(length)) if length else b""


def _reset(connection: socket.socket) -> None:
    """End a connection by RST, as a server that dies does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def watched_s3_server() -> Iterator[tuple[str, WatchedServer]]:
    """A server with one empty bucket, named by the environment as operators name theirs: the bucket's URL, and it."""
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - slow to import
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    from cm4ai_assets.storage.s3 import PatientS3  # noqa: PLC0415 - an extra

    class Handler(MotoRequestHandler):
        def log_request(self, *_: Any) -> None:
            """Of a thousand requests none is worth a line."""

    watched = WatchedServer(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, watched, threaded=True, request_handler=Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    httpx2.post(f"{address}/moto-api/reset")  # what an earlier server of this process held is still there
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", address)
        environment.setenv("AWS_ACCESS_KEY_ID", "tests")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        watched.requests.clear()
        try:
            yield f"s3://{BUCKET}", watched
        finally:
            server.shutdown()
            thread.join()
            for known in (fsspec.get_filesystem_class("s3"), PatientS3):
                known.clear_instance_cache()


@contextmanager
def s3_server() -> Iterator[str]:
    """See `watched_s3_server`, for a test that watches nothing: the bucket's URL."""
    with watched_s3_server() as (url, _):
        yield url
