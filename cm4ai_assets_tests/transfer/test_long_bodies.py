"""A long body is read from the connection itself, byte for byte as it was sent, and whatever ends it is said."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
import trustme

from cm4ai_assets.transfer import connections
from cm4ai_assets.transfer.errors import NetworkError
from cm4ai_assets.transfer.http import HttpClient
from cm4ai_assets_tests.transfer.bench import bytes_of
from cm4ai_assets_tests.transfer.server import Answer, Exchange, Server, serving

DATA = bytes_of(3_000_000, seed=1)


@pytest.fixture(autouse=True)
def _all_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LONG", 1_000_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def _sent(data: bytes, *, with_head: int = 0, more: bytes = b"") -> Answer:
    """Headers together with the first bytes of a body, then the rest."""

    def answer(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        exchange.write(head + data[:with_head])
        exchange.write(data[with_head:] + more)

    return answer


def _read(client: HttpClient, path: str) -> tuple[bytes, list[type]]:
    data = bytearray()
    kinds = _taken(client, path, data)
    return bytes(data), kinds


def _taken(client: HttpClient, path: str, data: bytearray) -> list[type]:
    kinds = []
    with client.stream(client.url(path)) as answer:
        for chunk in answer.chunks():
            data += chunk
            kinds.append(type(chunk))
    return kinds


@pytest.mark.parametrize("with_head", [0, 1, 5_000, len(DATA)])
def test_what_came_with_the_headers_is_not_lost(server: Server, with_head: int) -> None:
    server.on("/x", _sent(DATA, with_head=with_head))
    with HttpClient(server.url) as client:
        data, kinds = _read(client, "/x")
    assert data == DATA
    assert kinds[0] is bytes
    assert memoryview in kinds or with_head == len(DATA)


def test_one_piece_of_memory_serves_a_whole_body_and_is_no_larger_than_a_read(server: Server) -> None:
    server.on("/x", _sent(DATA))
    with HttpClient(server.url) as client, client.stream(client.url("/x")) as answer:
        views = [chunk for chunk in answer.chunks() if isinstance(chunk, memoryview)]
    assert len(views) > 1
    assert len({id(view.obj) for view in views}) == 1
    assert views[0].nbytes <= len(views[0].obj) == connections.READ_BYTES  # type: ignore[arg-type]


def test_a_long_body_is_read_into_the_memory_of_whoever_takes_it(server: Server) -> None:
    server.on("/x", _sent(DATA, with_head=5_000))
    memory, taken = memoryview(bytearray(len(DATA))), [0]
    with HttpClient(server.url) as client, client.stream(client.url("/x")) as answer:
        for chunk in answer.chunks(lambda: memory[sum(taken) :]):
            if isinstance(chunk, bytes):
                memory[: len(chunk)] = chunk
            else:
                assert chunk.obj is memory.obj
                assert len(chunk) <= connections.READ_BYTES
            taken.append(len(chunk))
    assert memory == DATA


def test_bytes_behind_the_announced_end_are_of_no_body(server: Server) -> None:
    server.on("/x", _sent(DATA, more=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))
    server.on("/y", _sent(b"good"))
    with HttpClient(server.url) as client:
        assert _read(client, "/x")[0] == DATA
        assert _read(client, "/y")[0] == b"good"


@pytest.mark.parametrize(("size", "opened"), [(999_999, 1), (1_000_000, 2)])
def test_the_connection_of_a_long_body_is_not_used_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, size: int, opened: int
) -> None:
    made: list[object] = []
    connect = connections._Backend.connect_tcp
    monkeypatch.setattr(
        connections._Backend, "connect_tcp", lambda *args, **more: made.append(1) or connect(*args, **more)
    )
    server.on("/x", _sent(DATA[:size]))
    server.on("/y", _sent(b"next"))
    with HttpClient(server.url) as client:
        assert _read(client, "/x")[0] == DATA[:size]
        assert _read(client, "/y")[0] == b"next"
    assert len(made) == opened


def test_a_body_that_ends_early_gives_all_that_came_and_an_error(server: Server) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=str(len(DATA)))
        exchange.write(DATA[:2_000_001])
        exchange.close()

    server.on("/x", cut)
    data = bytearray()
    with HttpClient(server.url) as client, pytest.raises(NetworkError, match="closed before the end of the body"):
        _taken(client, "/x", data)
    assert data == DATA[:2_000_001]


@pytest.mark.parametrize("through_tls", [False, True], ids=["directly", "through the TLS of a proxy"])
def test_by_tls_a_chunk_is_larger_than_a_record_and_through_the_tls_of_a_proxy_the_parser_reads(
    monkeypatch: pytest.MonkeyPatch, *, through_tls: bool
) -> None:
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    with _speaking_tls(authority) as url, _speaking_tls(authority) as other:
        proxy = httpx2.Proxy(other, ssl_context=trusting) if through_tls else None
        monkeypatch.setattr(connections, "proxy_of", lambda _: proxy)
        with HttpClient(url, verify=trusting) as client:
            data, kinds = _read(client, "/x")
    assert data == DATA
    assert (memoryview in kinds) is not through_tls
    if not through_tls:
        assert len(kinds) < len(DATA) / 16_384 / 4


class _Handler(BaseHTTPRequestHandler):
    """An archive, or a proxy before one."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def do_CONNECT(self) -> None:
        host, _, port = self.path.partition(":")
        self.send_response_only(200)
        self.end_headers()
        with socket.create_connection((host, int(port))) as onward:
            ways = {self.connection: onward, onward: self.connection}
            while ready := select.select(list(ways), [], [], 5)[0]:
                for one in ready:
                    if not (data := one.recv(65536)):
                        self.close_connection = True
                        return
                    ways[one].sendall(data)


@contextlib.contextmanager
def _speaking_tls(authority: trustme.CA) -> Iterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
