"""Downloads by FTP over TLS from a real server that misbehaves on request. Fault 55 of the reference."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped]
from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler  # type: ignore[import-untyped]
from pyftpdlib.servers import ThreadedFTPServer  # type: ignore[import-untyped]

from cm4ai_assets.archives.massive.listing import FtpsLister
from cm4ai_assets.errors import ArchiveError, DigestMismatchError, SizeMismatchError
from cm4ai_assets.transfer.download import Fetched, fetch
from cm4ai_assets.transfer.errors import (
    AccessDeniedError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    ServerUnavailableError,
    StalledError,
    TlsError,
)
from cm4ai_assets.transfer.ftps import FtpsFile
from cm4ai_assets.transfer.http import Timeouts
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets.transfer.wanted import Wanted
from cm4ai_assets_tests.transfer.bench import FAST, bytes_of, sha256

DATA = bytes_of(3_000_000)
NAME = "a report, with blanks.tsv"
SHORT = Timeouts(connect=0.5, read=0.5)
SILENT = Timeouts(read=1)  # for a server that says nothing after a cut
ONCE = RetryPolicy(tries=1)
FLOOR = RetryPolicy(tries=1, stall_window=0.3, stall_floor=50_000.0)
SOON = 6.0


@pytest.fixture(scope="module")
def authority() -> Iterator[tuple[str, ssl.SSLContext]]:
    ca = trustme.CA()
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.tempfile() as path:
        yield path, context


@contextmanager
def serving(folder: Path, certificate: str, **overrides: Any) -> Iterator[int]:
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(folder))
    attributes = {
        "authorizer": authorizer, "certfile": certificate, "tls_control_required": True, "tls_data_required": True,
        "ssl_context": None, **overrides,
    }  # fmt: skip
    handler = type("Handler", (TLS_FTPHandler,), attributes)
    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    server = ThreadedFTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.01, "handle_exit": False}, daemon=True)
    thread.start()
    try:
        yield int(server.address[1])
    finally:
        server.close_all()
        thread.join(5)


class Bench:
    def __init__(self, start: Callable[..., FtpsFile], scratch: Path) -> None:
        self.start, self._scratch = start, scratch

    def fetch(self, *, digest: str | None = None, size: int = len(DATA), **overrides: Any) -> Fetched:
        """Download from a server with these handler attributes."""
        wanted = Wanted("massive-1", size, "SHA-256" if digest else None, digest)
        return fetch(self.start(**overrides), wanted, self._scratch, retries=FAST)


@pytest.fixture
def bench(tmp_path: Path, authority: tuple[str, ssl.SSLContext]) -> Iterator[Bench]:
    folder = tmp_path / "v10"
    folder.mkdir()
    (folder / NAME).write_bytes(DATA)
    with ExitStack() as stack:

        def start(limits: Timeouts = Timeouts(), retries: RetryPolicy = ONCE, **overrides: Any) -> FtpsFile:  # noqa: B008
            port = stack.enter_context(serving(tmp_path, authority[0], **overrides))
            return FtpsFile(f"ftp://127.0.0.1:{port}/v10/{NAME.replace(' ', '%20')}", authority[1], limits, retries)

        yield Bench(start, tmp_path / "scratch")


def answering(reply: str) -> Callable[..., None]:
    def command(handler: Any, *_: object, **__: object) -> None:
        handler.respond(reply)

    return command


def breaking(after: int, log: list[int], times: int = 1000) -> dict[str, Any]:
    """Handler attributes for a server whose data connection breaks after so many bytes."""
    left = [times]

    def retrieve(handler: Any, file: str) -> object:
        log.append(handler._restart_position)
        return TLS_FTPHandler.ftp_RETR(handler, file)

    class Breaking(TLS_DTPHandler):  # type: ignore[misc]
        def send(self, data: bytes) -> int:
            sent: int = super().send(data)
            if left[0] and self.tot_bytes_sent + sent >= after:
                left[0] -= 1
                self.socket.shutdown(socket.SHUT_RDWR)
            return sent

    return {"ftp_RETR": retrieve, "dtp_handler": Breaking}


def test_a_file_is_fetched_and_digested(bench: Bench) -> None:
    fetched = bench.fetch()
    assert fetched.path.read_bytes() == DATA
    assert fetched.digests == {"SHA-256": sha256(DATA)}
    assert (fetched.requests, fetched.fetched_bytes) == (1, len(DATA))


def test_55_a_cut_is_resumed_where_it_was(bench: Bench) -> None:
    starts: list[int] = []
    fetched = bench.fetch(limits=SILENT, **breaking(1_000_000, starts))
    assert fetched.path.read_bytes() == DATA
    assert starts[0] == 0
    assert starts[1:] == sorted(starts[1:])
    assert all(start > 0 for start in starts[1:])
    assert fetched.fetched_bytes == len(DATA)


@pytest.mark.parametrize("reply", ["502 Command not implemented.", "501 No.", "202 Superfluous."])
def test_55_where_rest_is_refused_it_begins_again(bench: Bench, reply: str) -> None:
    starts: list[int] = []
    fetched = bench.fetch(limits=SILENT, **breaking(1_000_000, starts, times=1), ftp_REST=answering(reply))
    assert fetched.path.read_bytes() == DATA
    assert starts == [0, 0]


@pytest.mark.parametrize(
    "reply", ["421 Too many connections.", "425 Cannot open data connection.", "426 Aborted.", "450 Busy."]
)
def test_55_a_busy_server_is_waited_for(bench: Bench, reply: str) -> None:
    refused = [2]

    def retrieve(handler: Any, file: str) -> object:
        if refused[0]:
            refused[0] -= 1
            handler.respond(reply)
            return None
        return TLS_FTPHandler.ftp_RETR(handler, file)

    fetched = bench.fetch(ftp_RETR=retrieve)
    assert fetched.path.read_bytes() == DATA
    assert fetched.requests == 3


def concluding(reply: str, log: list[str], times: int = 1000) -> dict[str, Any]:
    """Handler attributes for a server that sends every byte and then says something else than 226."""
    left = [times]

    def respond(handler: Any, resp: str, *more: Any, **named: Any) -> None:
        if resp.startswith("226"):
            log.append(resp)
            if left[0]:
                left[0] -= 1
                resp = reply
        TLS_FTPHandler.respond(handler, resp, *more, **named)

    return {"respond": respond}


@pytest.mark.parametrize("reply", ["451 Read error; the end is zeros.", "426 Aborted.", "552 Quota.", "garbage"])
def test_55_the_servers_last_word_is_read_and_believed(bench: Bench, reply: str) -> None:
    """Nothing else vouches for a file without a digest: bytes that came before a failure are not taken for it."""
    log: list[str] = []
    fetched = bench.fetch(**concluding(reply, log, times=1))
    assert fetched.path.read_bytes() == DATA
    assert (len(log), fetched.requests, fetched.fetched_bytes) == (2, 2, 2 * len(DATA))


def test_55_a_transfer_that_always_ends_in_failure_is_none(bench: Bench) -> None:
    log: list[str] = []
    with pytest.raises(ServerUnavailableError, match="451 Read error"):
        bench.fetch(**concluding("451 Read error.", log))
    assert len(log) == FAST.tries


def test_55_a_digest_outweighs_the_last_word(bench: Bench) -> None:
    assert bench.fetch(digest=sha256(DATA), **concluding("451 Read error.", [])).path.read_bytes() == DATA


def test_55_a_server_that_stays_busy_is_told(bench: Bench) -> None:
    with pytest.raises(ServerUnavailableError, match="cannot answer now: 421 Too many") as caught:
        bench.fetch(ftp_RETR=answering("421 Too many connections."))
    assert caught.value.retryable


def test_55_size_unknown_to_the_server_is_no_obstacle(bench: Bench) -> None:
    assert bench.fetch(ftp_SIZE=answering("502 No SIZE.")).path.read_bytes() == DATA


def test_another_size_is_refused(bench: Bench) -> None:
    with pytest.raises(SizeMismatchError, match=r"is 3,000,000 bytes long, not 3,000,001 as published"):
        bench.fetch(size=len(DATA) + 1)


def test_other_bytes_than_at_first_use_are_refused(bench: Bench) -> None:
    with pytest.raises(DigestMismatchError):
        bench.fetch(digest=sha256(b"what it was"))


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ({"ftp_SIZE": answering("550 No such file.")}, NotFoundError),
        ({"ftp_PASS": answering("530 Not today.")}, AccessDeniedError),
        ({"ftp_RETR": answering("553 Name not allowed.")}, ProtocolError),
        ({"ftp_AUTH": answering("502 No TLS here.")}, TlsError),
    ],
    ids=["missing", "no anonymous login", "refused", "no tls"],
)
def test_refusals(bench: Bench, overrides: dict[str, Any], kind: type[ArchiveError]) -> None:
    with pytest.raises(kind) as caught:
        bench.fetch(**overrides)
    assert type(caught.value) is kind
    assert not caught.value.retryable


def test_no_login_and_no_data_without_tls(bench: Bench) -> None:
    asked: list[str] = []

    def user(handler: Any, line: str) -> object:
        asked.append("USER")
        return TLS_FTPHandler.ftp_USER(handler, line)

    with pytest.raises(TlsError):
        bench.fetch(ftp_AUTH=answering("500 AUTH not understood."), ftp_USER=user)
    assert asked == []


def test_a_certificate_that_is_not_trusted(bench: Bench) -> None:
    source = bench.start()
    with pytest.raises(TlsError, match="is not trusted") as caught, FtpsFile(source.url).open(0, counted=True):
        pass
    assert "SSL_CERT_FILE" in caught.value.remedy


def test_a_stall_times_out(bench: Bench) -> None:
    over = threading.Event()
    with pytest.raises(NetworkError, match="TimeoutError"):
        bench.fetch(limits=SHORT, ftp_RETR=lambda *_: over.wait(20))
    over.set()


def dripping(head: bytes, piece: bytes, every: float = 0.1) -> Callable[..., None]:
    """A command that is answered by the head at once, then by a piece now and then, for longer than anybody waits."""

    def command(handler: Any, *_: object) -> None:
        over = time.monotonic() + 2 * SOON
        handler.socket.send(head)
        with suppress(OSError):  # the client has had enough
            while time.monotonic() < over:
                time.sleep(every)
                handler.socket.send(piece)

    return command


@pytest.mark.parametrize(
    ("command", "drip"),
    [
        ("ftp_USER", dripping(b"331 ", b"x")),
        ("ftp_SIZE", dripping(b"213", b" ")),
        ("ftp_SIZE", dripping(b"213-\r\n", b"213-more\r\n")),
        ("ftp_PASV", dripping(b"227-so\r\n", b"and so on\r\n" * 50, every=0.001)),
        ("ftp_AUTH", dripping(b"234", b"-\r\n")),
    ],
    ids=["a line", "two bytes in a while", "lines", "a flood of lines", "before TLS"],
)
def test_each_reply_has_one_deadline(bench: Bench, command: str, drip: Callable[..., None]) -> None:
    source = bench.start(SHORT, **{command: drip})
    started = time.monotonic()
    with (
        pytest.raises(StalledError, match="lines of the reply were not complete after 2 s"),
        source.open(0, counted=True),
    ):
        pass
    assert time.monotonic() - started < SOON


def test_the_last_word_has_it_too(bench: Bench) -> None:
    def respond(handler: Any, resp: str, *more: Any, **named: Any) -> None:
        if resp.startswith("226"):
            dripping(b"226-", b"x")(handler)
        else:
            TLS_FTPHandler.respond(handler, resp, *more, **named)

    started = time.monotonic()
    with (
        bench.start(SHORT, respond=respond).open(0, counted=True) as stream,
        pytest.raises(StalledError, match="lines of the reply"),
    ):
        for _ in stream.chunks():
            pass
    assert time.monotonic() - started < SOON


class Dripping(TLS_DTPHandler):  # type: ignore[misc]
    """A data connection on which some bytes come now and then."""

    def send(self, data: bytes) -> int:
        time.sleep(0.1)
        sent: int = super().send(data[:5])
        return sent

    def initiate_send(self) -> None:
        while self.producer_fifo and isinstance(self.producer_fifo[0], bytes) and len(self.producer_fifo[0]) > 5:
            self.producer_fifo[0] = self.producer_fifo[0][self.send(self.producer_fifo[0]) :]
        super().initiate_send()


@pytest.mark.parametrize("listing", [False, True])
def test_data_has_a_floor(bench: Bench, *, listing: bool) -> None:
    source = bench.start(retries=FLOOR, dtp_handler=Dripping)

    def get() -> None:
        if listing:
            FtpsLister(context=source.context, retries=FLOOR).walk(source.url.rpartition("/")[0])
        else:
            with source.open(0, counted=True) as stream:
                list(stream.chunks())

    started = time.monotonic()
    with pytest.raises(StalledError, match="below the floor"):
        get()
    assert time.monotonic() - started < SOON


def test_nobody_there(authority: tuple[str, ssl.SSLContext], tmp_path: Path) -> None:
    source = FtpsFile("ftp://127.0.0.1:1/x", authority[1])
    with pytest.raises(NetworkError, match=r"The connection to 127\.0\.0\.1 failed: ConnectionRefusedError"):
        fetch(source, Wanted("x", 1, None, None), tmp_path, retries=FAST)


@pytest.mark.parametrize("url", ["http://h/x", "ftp:///x", "ftp://h", "ftp://h/", "ftp://u:p@h/x"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ProtocolError, match="is not the address of a file by FTP"):
        FtpsFile(url)
