"""The connections below the clients: large reads, one deadline for headers, one floor for bodies.

A timeout of the library is one of a single read. A server that sends a byte now and then, header lines or interim
answers without end, keeps within each of them for ever. So each exchange is measured where its bytes arrive, whatever
they are a part of: framing, headers, a refusal's body or a download. Belongs here: the transport and the network
backend that the library lets a client bring along, and how a long body is read. Does not belong here: requests and
their errors (`http`, `ftps`).
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import httpcore2
import httpx2

from cm4ai_assets.transfer.errors import StalledError
from cm4ai_assets.transfer.origins import proxy_of
from cm4ai_assets.transfer.retries import RetryPolicy, StallFloor

READ_BYTES = 512 * 1024
"""What one read from a socket may return. At 64 KiB, the library's own number, a third of a download's CPU time goes
into handing 15,000 pieces a gigabyte through four layers."""

LONG = 64 * 1024 * 1024
"""From how many bytes on a body is read from the connection itself (`body`), which is not kept then."""

Chunk = bytes | memoryview
"""Bytes of a body. A view is of memory that is used again: it is valid until the next chunk is asked for."""

Room = Callable[[], memoryview]
"""Gives memory that whoever takes the chunks wants them in, where the source can read into it."""

_FILLING = 0.5  # seconds that a chunk waits for more before it is handed on
_Read = TypeVar("_Read", bound=Chunk)

EXCHANGE = "cm4ai_exchange"
"""Name of the request's extension that holds its `Exchange`."""


class Exchange:
    """What one request is allowed: when its headers must be complete, and how fast its body must come.

    Args:
        head_seconds: From now until the headers are complete, the connection and every interim answer included.
        retries: The policy that states the floor. Only time spent waiting for bytes counts, not what is done with them.
        clock: Measures time.
        awaited: What must be complete by the deadline, in the plural.
    """

    def __init__(
        self,
        head_seconds: float,
        retries: RetryPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        awaited: str = "headers of the answer",
    ) -> None:
        self._clock, self._head_seconds, self._awaited = clock, head_seconds, awaited
        self._deadline: float | None = clock() + head_seconds
        self._waited = 0.0
        self._floor = StallFloor(retries, lambda: self._waited)

    def read(self, read: Callable[[float | None], _Read], timeout: float | None) -> _Read:
        """One read, within what is left of the deadline or above the floor.

        Raises:
            StalledError: The headers are late, or the body comes too slowly.
        """
        started = self._clock()
        if self._deadline is None:
            data = read(timeout)
            self._waited += self._clock() - started
            self._floor.arrived(len(data))
            return data
        left = self._deadline - started
        if left <= 0:
            raise self._late()
        try:
            return read(left if timeout is None else min(left, timeout))
        except (httpcore2.ReadTimeout, TimeoutError) as error:
            if timeout is None or left < timeout:
                raise self._late() from error
            raise

    def body_begins(self) -> None:
        """The headers are complete: from now on the floor counts."""
        self._deadline = None

    def _late(self) -> StalledError:
        return StalledError(f"The {self._awaited} were not complete after {self._head_seconds:.0f} s.")


class _Stream(httpcore2.NetworkStream):
    """A connection whose reads are large, and measured by the exchange that it serves at the time."""

    def __init__(self, inner: httpcore2.NetworkStream, current: threading.local) -> None:
        self._inner, self._current = inner, current
        self._exchange: Exchange | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        def once(seconds: float | None) -> bytes:
            return self._inner.read(max(max_bytes, READ_BYTES), seconds)

        return self._measured(once, timeout)

    def _measured(self, once: Callable[[float | None], _Read], timeout: float | None) -> _Read:
        return self._exchange.read(once, timeout) if self._exchange else once(timeout)

    def fill(self, room: memoryview, timeout: float | None) -> tuple[int, Exception | None]:
        """Read into memory until it is full or half a second is over; how much came, and what ended it before.

        By TLS a read returns 16 KiB at most, and each chunk costs whoever takes it.
        """
        connection, filled = self.get_extra_info("socket"), 0

        def once(seconds: float | None) -> memoryview:
            connection.settimeout(seconds)
            return room[filled : filled + connection.recv_into(room[filled:])]

        until = time.monotonic() + _FILLING
        try:
            while filled < len(room) and time.monotonic() < until:
                came = len(self._measured(once, timeout))
                if not came:
                    return filled, httpx2.RemoteProtocolError("the connection was closed before the end of the body")
                filled += came
        except TimeoutError as error:
            return filled, httpx2.ReadTimeout(str(error))
        except OSError as error:
            return filled, httpx2.ReadError(str(error))
        except StalledError as error:
            return filled, error
        return filled, None

    @property
    def is_plain(self) -> bool:
        """Whether what its socket reads is the body: not so where TLS is spoken through the TLS of a proxy."""
        return isinstance(self.get_extra_info("socket"), socket.socket) and not isinstance(
            self.get_extra_info("ssl_object"), ssl.SSLObject
        )

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A kept connection serves one request after the other: whoever writes is who the next bytes are for.
        self._exchange = getattr(self._current, "exchange", None)
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._current)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the library's signature
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.SyncBackend):
    """Opens connections that are measured."""

    def __init__(self) -> None:
        self._current = threading.local()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options), self._current)

    @contextmanager
    def serving(self, exchange: Exchange | None) -> Iterator[None]:
        """What this thread writes meanwhile belongs to this exchange."""
        self._current.exchange = exchange
        try:
            yield
        finally:
            self._current.exchange = None


class _Way(httpx2.HTTPTransport):
    """The library's transport over our backend, which its constructor does not take; `contract` tests hold it so."""

    def __init__(self, backend: _Backend, *, verify: ssl.SSLContext, proxy: str | None) -> None:
        super().__init__(verify=verify, limits=httpx2.Limits(max_connections=None), proxy=proxy)
        self._pool._network_backend = backend  # noqa: SLF001 - the one thing that has no public door


@cache
def _default_trust(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """What the environment trusts. Reading some 140 certificates takes longer than a request, so once."""
    return httpx2.create_ssl_context()


class Transport(httpx2.BaseTransport):
    """Sends each request directly or by the proxy of the environment, and measures it."""

    def __init__(self, *, verify: ssl.SSLContext | None = None) -> None:
        self._verify = verify or _default_trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        self._backend, self._lock = _Backend(), threading.Lock()
        self._ways: dict[str | None, _Way] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, with its headers complete and its body still to come."""
        exchange: Exchange | None = request.extensions.get(EXCHANGE)
        with self._backend.serving(exchange):
            response = self._way(proxy_of(str(request.url))).handle_request(request)
        if exchange:
            exchange.body_begins()
        return response

    def _way(self, proxy: str | None) -> _Way:
        with self._lock:
            if proxy not in self._ways:
                self._ways[proxy] = _Way(self._backend, verify=self._verify, proxy=proxy)
            return self._ways[proxy]

    def close(self) -> None:
        """Close every connection."""
        for way in self._ways.values():
            way.close()


def body(response: httpx2.Response, room: Room | None = None) -> Iterator[Chunk]:
    """The body of an answer as it arrives, not decoded.

    The library's parser copies each byte four times on its way. So a long body of stated length is read from the
    connection into memory that is used again, once the parser has handed out what came with the headers: into that
    which `room` gives, or some of its own. The connection is not kept then.

    Raises:
        httpx2.TransportError: The connection broke before the end that was announced.
        StalledError: The bytes come too slowly.
    """
    pieces, stream = response.iter_raw(), response.extensions.get("network_stream")
    left = _stated_length(response.headers)
    if left < LONG or not isinstance(stream, _Stream) or not stream.is_plain:
        yield from pieces
        return
    first = next(pieces, b"")
    yield first
    left -= len(first)
    timeout = response.request.extensions.get("timeout", {}).get("read")
    own = memoryview(b"" if room else bytearray(READ_BYTES))
    while left:
        memory = (room() if room else own)[: min(left, READ_BYTES)]
        filled, problem = stream.fill(memory, timeout)
        if filled:
            left -= filled
            yield memory[:filled]
        if problem:
            raise problem


def _stated_length(headers: httpx2.Headers) -> int:
    """The length of the body, if that alone says where it ends; else 0."""
    stated = headers.get("content-length", "")
    return int(stated) if stated.isdigit() and "transfer-encoding" not in headers else 0
