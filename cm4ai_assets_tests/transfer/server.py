"""A small archive over real sockets that misbehaves on request.

Two servers on two ports and two host names (127.0.0.1, localhost) stand for the archive and its object store. What a
path answers is a script: the first request gets the first answer, and so on; the last one stays. Everything is logged.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from cm4ai_assets_tests.fixtures import protocol


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def range_start(self) -> int | None:
        value = self.headers.get("range")
        return int(value.removeprefix("bytes=").split("-")[0]) if value else None

    @property
    def range_end(self) -> int | None:
        """Where an asked-for piece ends; None if it goes to the end of the file."""
        end = self.headers.get("range", "").partition("-")[2]
        return int(end) + 1 if end else None


class Exchange:
    """One request being answered; what answers write with."""

    def __init__(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        self.handler, self.seen = handler, seen

    def head(self, status: int, **headers: str) -> None:
        self.handler.send_response_only(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.flush()

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def close(self) -> None:
        self.handler.close_connection = True

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        self.handler.close_connection = True
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.close()


Answer = Callable[[Exchange], None]


@dataclass
class Server:
    """A scripted HTTP server in a thread."""

    host: str
    log: list[Seen] = field(default_factory=list)
    scripts: dict[str, list[Answer]] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer._serve(self)

            do_HEAD = do_POST = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self._server.server_port}"

    def on(self, path: str, *answers: Answer) -> None:
        """Script a path."""
        self.scripts[path] = list(answers)

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.log if seen.path == path]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("content-length") or 0)
        seen = Seen(
            handler.command, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in handler.headers.items()}, handler.rfile.read(length),
        )  # fmt: skip
        with self._lock:
            self.log.append(seen)
            script = self.scripts.get(parts.path)
            answer = unknown if not script else script.pop(0) if len(script) > 1 else script[0]
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                answer(Exchange(handler, seen))
        finally:
            with self._lock:
                self.at_once -= 1


@contextlib.contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Server]:
    server = Server(host)
    server.start()
    try:
        yield server
    finally:
        server.stop()


# --- answers ---


def unknown(exchange: Exchange) -> None:
    refused("error_404_datafile_unknown.json", 404)(exchange)


def body(status: int, data: bytes, **headers: str) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.head(status, **{"Content_Length": str(len(data)), **headers})
        exchange.write(data)

    return answer


def as_json(value: object, status: int = 200, **headers: str) -> Answer:
    return body(status, json.dumps(value).encode(), Content_Type="application/json", **headers)


def fixture(name: str) -> bytes:
    """The body of that name; see `fixtures.protocol`."""
    return protocol.answer(name)


def refused(name: str, status: int, **headers: str) -> Answer:
    """One of the refusals of `fixtures.refusals`."""

    def answer(exchange: Exchange) -> None:
        kind = {"json": "application/json", "html": "text/html; charset=iso-8859-1", "xml": "application/xml"}
        body(status, fixture(name), Content_Type=kind[name.rsplit(".", 1)[1]], **headers)(exchange)

    return answer


def _span(exchange: Exchange, data: bytes) -> tuple[int, bool]:
    """Where a ranged answer begins, after its head was sent; whether anything is to follow."""
    start = exchange.seen.range_start
    if start is not None and start >= len(data):
        refused("error_416_range.json", 416)(exchange)
        return 0, False
    return start or 0, True


def _file_head(exchange: Exchange, data: bytes, start: int, kind: str, **more: str) -> None:
    end = min(exchange.seen.range_end or len(data), len(data))
    headers = {
        "Content_Disposition": 'attachment; filename="../../evil.sh"',
        "Content_Type": f'{kind}; name="other.zip"',
        "Content_Length": str(end - start),
        **more,
    }
    if exchange.seen.range_start is None:
        exchange.head(200, **headers)
    else:
        stated = f"bytes {start}-{end - 1}/{len(data)}"
        exchange.head(206, **{"Accept_Ranges": "bytes", "Content_Range": stated, **headers})


def whole(data: bytes, kind: str = "application/zip", **headers: str) -> Answer:
    """The file, or the piece of it that was asked for, as Dataverse's local store gives it."""

    def answer(exchange: Exchange) -> None:
        start, go_on = _span(exchange, data)
        if go_on:
            _file_head(exchange, data, start, kind, **headers)
            exchange.write(data[start : exchange.seen.range_end])

    return answer


def cut(data: bytes, after: int, *, reset: bool = False, announced: bool = True) -> Answer:
    """The file, broken off after so many bytes of the answer."""

    def answer(exchange: Exchange) -> None:
        start, go_on = _span(exchange, data)
        if not go_on:
            return
        if announced:
            _file_head(exchange, data, start, "application/zip")
        elif exchange.seen.range_start is None:
            exchange.head(200, Content_Type="application/zip", Connection="close")
        else:
            stated = f"bytes {start}-{len(data) - 1}/{len(data)}"
            exchange.head(206, Content_Type="application/zip", Content_Range=stated, Connection="close")
        exchange.write(data[start : start + after])
        if reset:
            exchange.reset()
        exchange.close()

    return answer


def slow(data: bytes, *, first: int, then: float, step: int = 1) -> Answer:
    """The first bytes at once, then a few at a time."""

    def answer(exchange: Exchange) -> None:
        start, go_on = _span(exchange, data)
        if not go_on:
            return
        _file_head(exchange, data, start, "application/zip")
        exchange.write(data[start : start + first])
        for at in range(start + first, len(data), step):
            time.sleep(then)
            exchange.write(data[at : at + step])

    return answer


def ignoring_range(data: bytes) -> Answer:
    return body(200, data, Content_Type="application/zip")


def claiming(data: bytes, stated: str, status: int = 206) -> Answer:
    """A piece whose Content-Range is not what it should be."""

    def answer(exchange: Exchange) -> None:
        start = exchange.seen.range_start or 0
        exchange.head(
            status, Content_Range=stated, Content_Type="application/zip", Content_Length=str(len(data) - start)
        )
        exchange.write(data[start:])

    return answer


def endless(data: bytes, extra: bytes) -> Answer:
    """The file and then more, chunked, so that nothing announces the length."""

    def answer(exchange: Exchange) -> None:
        exchange.head(200, Content_Type="application/zip", Transfer_Encoding="chunked")
        for block in (data, *([extra] * 1000)):
            exchange.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        exchange.write(b"0\r\n\r\n")

    return answer


def redirect(url: Callable[[], str], status: int = 303) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.head(status, Location=url(), Content_Length="0")

    return answer


def reset(exchange: Exchange) -> None:
    exchange.reset()
