"""Files by FTP over TLS as a source for verified downloads: MassIVE speaks no other FTP.

Plain logins are answered by `421 TLS is required` (protocol reference, section 4), so the connection is encrypted
before anybody logs in. Belongs here: connecting, and the bytes of one file. Does not belong here: listing a deposit
(`massive_ftps`), resuming and verifying (`download`).
"""

from __future__ import annotations

import contextlib
import ftplib
import io
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from cm4ai_assets.transfer.connections import Exchange, Room
from cm4ai_assets.transfer.errors import (
    AccessDeniedError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    ServerUnavailableError,
    TlsError,
)
from cm4ai_assets.transfer.http import Timeouts
from cm4ai_assets.transfer.retries import RetryPolicy

CHUNK = 64 * 1024
_PORT = 21
_NOT_UNDERSTOOD = ("500", "501", "502", "503", "504")


class _Measured(io.RawIOBase):
    """What comes by a socket, measured by an exchange. Closing it closes the socket."""

    def __init__(self, sock: socket.socket, exchange: Exchange, timeout: float) -> None:
        super().__init__()
        self.exchange = exchange
        self._sock, self._timeout = sock, timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what the library passes
        data = self.exchange.read(lambda seconds: self._once(len(buffer), seconds), self._timeout)
        buffer[: len(data)] = data
        return len(data)

    def makefile(self, _mode: str = "r", *, encoding: str) -> io.TextIOWrapper:
        """Its text, as of a socket."""
        return io.TextIOWrapper(io.BufferedReader(self), encoding=encoding)

    def close(self) -> None:
        self._sock.close()
        super().close()

    def _once(self, count: int, seconds: float | None) -> bytes:
        self._sock.settimeout(seconds)
        try:
            return self._sock.recv(count)
        finally:
            self._sock.settimeout(self._timeout)  # which counts for commands, too


class _Connection(ftplib.FTP_TLS):
    """FTP_TLS within limits: each reply has the deadline that headers have by HTTP, each body of data its floor.

    Data connections resume the control connection's session: many servers refuse others.
    """

    def __init__(self, context: ssl.SSLContext, timeouts: Timeouts, retries: RetryPolicy) -> None:
        super().__init__(context=context, timeout=timeouts.read)
        self._timeouts, self._retries = timeouts, retries
        self._replies: _Measured | None = None
        self._replies_of: socket.socket | None = None

    def getmultiline(self) -> str:
        """One reply, of however many lines."""
        exchange = Exchange(self._timeouts.head, self._retries, awaited="lines of the reply")
        if self._replies is None or self._replies_of is not self.sock:
            # The library makes a new file when TLS begins, so that nothing sent before in plain text counts after.
            sock = self.sock
            assert sock is not None
            self._replies, self._replies_of = _Measured(sock, exchange, self._timeouts.read), sock
            self.file = self._replies.makefile(encoding=self.encoding)
        self._replies.exchange = exchange
        return super().getmultiline()

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[_Measured, int | None]:  # type: ignore[override]  # what of a socket is used
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - encrypted in the next line but one
        session = getattr(self.sock, "session", None)
        encrypted = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        exchange = Exchange(self._timeouts.head, self._retries)
        exchange.body_begins()
        return _Measured(encrypted, exchange, self._timeouts.read), size

    def transfercmd(self, cmd: str, rest: int | str | None = None) -> _Measured:  # type: ignore[override]  # the same
        return self.ntransfercmd(cmd, rest)[0]


@contextmanager
def connected(
    host: str, port: int, *, context: ssl.SSLContext, timeouts: Timeouts, retries: RetryPolicy
) -> Iterator[_Connection]:
    """A logged-in, binary connection with encrypted data. Use it within `typed_failures`.

    `retries` states the floor only; nothing is tried again here.
    """
    connection = _Connection(context, timeouts, retries)
    try:
        with typed_failures(host):
            connection.connect(host, port)
            try:
                connection.auth()
            except ftplib.error_perm as error:
                raise TlsError(f"{host} offers no TLS: {error}.", remedy="Nothing is asked for without.") from error
            connection.login()
            connection.prot_p()
            connection.voidcmd("TYPE I")  # SIZE is refused with 550 in the other mode
        yield connection
    finally:
        connection.close()


@contextmanager
def typed_failures(host: str) -> Iterator[None]:
    """Turn what ftplib raises into our errors."""
    try:
        yield
    except ftplib.error_perm as error:
        raise _refusal(str(error), host) from error
    except ftplib.error_temp as error:
        raise ServerUnavailableError(f"{host} cannot answer now: {error}.") from error
    except ssl.SSLCertVerificationError as error:  # which is a ValueError, too
        raise TlsError(
            f"The certificate of {host} is not trusted: {error}.",
            remedy="If your network has its own authority, point SSL_CERT_FILE at its certificate.",
        ) from error
    except (ftplib.error_reply, ftplib.error_proto, ValueError) as error:
        raise ProtocolError(f"{host} gave an answer that is not FTP's: {error}.") from error
    except (OSError, EOFError) as error:
        reason = f"{type(error).__name__} {error}".strip()
        raise NetworkError(f"The connection to {host} failed: {reason}.") from error


def _refusal(reply: str, host: str) -> NotFoundError | AccessDeniedError | ProtocolError:
    if reply.startswith("550"):
        return NotFoundError(f"{host} does not have it, or does not give it: {reply}.")
    if reply.startswith(("530", "532")):
        return AccessDeniedError(f"{host} refuses anonymous logins: {reply}.", state="restricted")
    return ProtocolError(f"{host} refused: {reply}.")


@dataclass(frozen=True)
class FtpsStream:
    """The bytes of a file from `start` on; see `download.Stream`."""

    start: int
    total: int | None
    url: str
    _connection: _Connection
    _data: _Measured
    headers: Mapping[str, str] = field(default_factory=dict)

    def chunks(self, room: Room | None = None) -> Iterator[bytes]:
        """The bytes as they arrive, in memory of their own.

        Raises:
            StalledError: They come too slowly, or the reply after them does not end.
            NetworkError: The connection broke, or the server says that it did not send everything.
        """
        del room
        with typed_failures(self._connection.host):
            while chunk := self._data.read(CHUNK):
                yield chunk
            # TLS libraries let a cut pass for an end, so only the server's own word on it counts.
            self._data.close()
            self._connection.voidresp()


@dataclass(frozen=True)
class FtpsFile:
    """A file of an FTPS server as a `download.RemoteFile`, anonymously.

    Args:
        url: `ftp://host[:port]/path`, as MassIVE names files; it is TLS all the same.
        context: What certificates are trusted; the system's by default.
        timeouts: How long to wait for the next bytes, and for a whole reply.
        retries: States the floor of the data.
    """

    url: str
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise ProtocolError(f"{self.url!r} is not the address of a file by FTP: {error}.") from error
        if parts.scheme not in {"ftp", "ftps"} or not parts.hostname or parts.username or not parts.path.strip("/"):
            raise ProtocolError(f"{self.url!r} is not the address of a file by FTP.")

    @property
    def name(self) -> str:
        """The address."""
        return self.url

    @contextmanager
    def open(self, offset: int, *, counted: bool) -> Iterator[FtpsStream]:
        """The bytes from `offset` on, or from 0 where the server cannot begin elsewhere. Nobody counts."""
        del counted
        parts = urlsplit(self.url)
        path = unquote(parts.path)
        host = parts.hostname or ""
        with connected(
            host, parts.port or _PORT, context=self.context, timeouts=self.timeouts, retries=self.retries
        ) as connection:
            with typed_failures(host):
                total = _size(connection, path)
                start = offset if offset and _rests(connection, offset) else 0
                data = connection.transfercmd(f"RETR {path}")
            with contextlib.closing(data):
                yield FtpsStream(start, total, self.url, connection, data)


def _size(connection: _Connection, path: str) -> int | None:
    """The size of a file; None where the server does not know the question."""
    try:
        return connection.size(path)
    except ftplib.error_perm as error:
        if str(error).startswith(_NOT_UNDERSTOOD):
            return None
        raise


def _rests(connection: _Connection, offset: int) -> bool:
    """Whether the next transfer begins at the offset."""
    try:
        return connection.sendcmd(f"REST {offset}").startswith("350")
    except ftplib.error_perm as error:
        if str(error).startswith(_NOT_UNDERSTOOD):
            return False
        raise
