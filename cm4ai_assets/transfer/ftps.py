"""Files by FTP over TLS as a source for verified downloads: MassIVE speaks no other FTP.

Plain logins are answered by `421 TLS is required` (protocol reference, section 4), so the connection is encrypted
before anybody logs in. Belongs here: connecting, and the bytes of one file. Does not belong here: listing a deposit
(`massive_ftps`), resuming and verifying (`download`).
"""

from __future__ import annotations

import contextlib
import ftplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from cm4ai_assets.transfer.errors import (
    AccessDeniedError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    ServerUnavailableError,
    TlsError,
)

CHUNK = 64 * 1024
_PORT = 21
_NOT_UNDERSTOOD = ("500", "501", "502", "503", "504")


class _Connection(ftplib.FTP_TLS):
    """FTP_TLS whose data connections resume the control connection's session: many servers refuse others."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - encrypted in the next line but one
        session = getattr(self.sock, "session", None)
        return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size


@contextmanager
def connected(host: str, port: int, *, context: ssl.SSLContext, timeout: float) -> Iterator[_Connection]:
    """A logged-in, binary connection with encrypted data. Use it within `typed_failures`."""
    connection = _Connection(context=context, timeout=timeout)
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
    _data: socket.socket
    headers: Mapping[str, str] = field(default_factory=dict)

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they arrive.

        Raises:
            NetworkError: The connection broke, or the server says that it did not send everything.
        """
        with typed_failures(self._connection.host):
            while chunk := self._data.recv(CHUNK):
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
        timeout: Seconds without a byte after which the connection counts as broken.
    """

    url: str
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    timeout: float = 60.0

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
        with connected(host, parts.port or _PORT, context=self.context, timeout=self.timeout) as connection:
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
