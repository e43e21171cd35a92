"""Answers that never end although each byte comes in time: headers have a deadline, bodies a floor, everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import repeat

import pytest

from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.transfer.connections import Exchange
from cm4ai_assets.transfer.errors import ServerUnavailableError, StalledError
from cm4ai_assets.transfer.http import HttpClient, Timeouts
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets_tests.transfer.bench import FAST
from cm4ai_assets_tests.transfer.server import Answer, Server, serving
from cm4ai_assets_tests.transfer.server import Exchange as Answering

pytestmark = pytest.mark.usefixtures("bodies")

ONCE = RetryPolicy(tries=1, stall_window=0.3, stall_floor=50_000.0)
SHORT = Timeouts(connect=0.1, read=0.6)
SOON = 4.0


def dripping(head: bytes, pieces: Iterator[bytes] | None = None, *, every: float = 0.02) -> Callable[[], Answer]:
    """The head at once, then a piece now and then, until the client has had enough."""

    def make() -> Answer:
        def answer(exchange: Answering) -> None:
            exchange.close()
            exchange.write(head)
            for piece in pieces or repeat(b"x"):
                time.sleep(every)
                exchange.write(piece)

        return answer

    return make


HEADERS = [
    pytest.param(dripping(b"HTTP/1.1 200 OK\r\nX-Long: "), id="a header"),
    pytest.param(dripping(b"HTTP/1.1 2"), id="the status line"),
    pytest.param(dripping(b"HTTP/1.1 200 OK\r\n", repeat(b"A: b\r\n")), id="header lines"),
    pytest.param(dripping(b"", repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n")), id="interim answers"),
    pytest.param(dripping(b"", repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 50), every=0), id="a flood of them"),
]
BODIES = [
    pytest.param(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"), id="a body"),
    pytest.param(dripping(b"HTTP/1.1 200 OK\r\n\r\n"), id="a body without length"),
    pytest.param(dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"), id="framing"),
    pytest.param(dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: "), id="trailers"),
]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.mark.parametrize("make", HEADERS)
def test_headers_have_one_deadline(server: Server, make: Callable[[], Answer]) -> None:
    server.on("/x", make())
    started = time.monotonic()
    with (
        HttpClient(server.url, retries=ONCE, timeouts=SHORT) as client,
        pytest.raises(StalledError, match="headers of the answer were not complete after 1 s"),
    ):
        client.json("/x")
    assert time.monotonic() - started < SOON


@pytest.mark.parametrize("make", BODIES)
def test_bodies_have_a_floor(server: Server, make: Callable[[], Answer]) -> None:
    server.on("/x", make())
    started = time.monotonic()
    with (
        HttpClient(server.url, retries=ONCE) as client,
        pytest.raises(StalledError, match="below the floor"),
    ):
        client.json("/x")
    assert time.monotonic() - started < SOON


def test_the_body_of_a_refusal_has_it_too_and_the_refusal_stands(server: Server) -> None:
    server.on("/x", dripping(b"HTTP/1.1 500 Oh\r\nContent-Length: 60000\r\n\r\nit broke ", repeat(b"."))())
    started = time.monotonic()
    with (
        HttpClient(server.url, retries=ONCE) as client,
        pytest.raises(ServerUnavailableError, match=r"HTTP 500 .*: it broke"),
    ):
        client.json("/x")
    assert time.monotonic() - started < SOON


def test_a_listing_has_it_too(server: Server) -> None:
    server.on("/datasette/database/filename.csv", dripping(b"HTTP/1.1 200 OK\r\n\r\nfilepath,size\n")())
    with (
        MassiveClient(server.url, retries=ONCE) as client,
        pytest.raises(StalledError, match="below the floor"),
    ):
        client.cached_listing("MSV000098237")


def test_an_answer_that_follows_a_slow_one_on_the_same_connection_has_its_own_deadline(server: Server) -> None:
    def answer(exchange: Answering) -> None:
        time.sleep(0.25)
        exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    server.on("/x", answer)
    with HttpClient(server.url, retries=FAST, timeouts=SHORT) as client:
        assert [client.json("/x").body for _ in range(6)] == [{}] * 6  # longer than the deadline in all


def test_what_is_done_with_the_bytes_is_not_held_against_the_server() -> None:
    now = [0.0]
    exchange = Exchange(10, RetryPolicy(stall_window=1.0, stall_floor=100.0), clock=lambda: now[0])

    def read(_: float | None, *, takes: float, gives: int) -> bytes:
        now[0] += takes
        return b"x" * gives

    exchange.body_begins()
    for _ in range(100):
        assert exchange.read(lambda seconds: read(seconds, takes=0.01, gives=10), 60)
        now[0] += 600  # a slow disk
    with pytest.raises(StalledError, match="below the floor"):
        exchange.read(lambda seconds: read(seconds, takes=2.0, gives=1), 60)
