"""Listing a MassIVE deposit by FTP over TLS, the only FTP that MassIVE still speaks.

Belongs here: finding a deposit's folder and walking through it. Does not belong here: the connection and its failures
(`ftps`), what the files are (`massive_inventory`), transferring them (`download`).
"""

from __future__ import annotations

import ftplib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from cm4ai_assets.archives.massive.inventory import Entry
from cm4ai_assets.transfer.errors import NetworkError, NotFoundError, ProtocolError
from cm4ai_assets.transfer.ftps import connected, typed_failures
from cm4ai_assets.transfer.http import Timeouts
from cm4ai_assets.transfer.retries import RetryPolicy, patiently

HOST = "massive-ftp.ucsd.edu"
# FTP on the web server's name times out; PROXI still states it (protocol reference, sections 4 and 8, fault 56).
_OLD_HOSTS = frozenset({"massive.ucsd.edu", "ftp.massive.ucsd.edu"})

MAX_DEPTH, MAX_ENTRIES = 12, 500_000
_VOLUME = re.compile(r"^[vxz]\d\d$")
# -rw-r--r-- 1 owner group 73400320 Jun 20 10:00 name; links and devices are no files.
_UNIX_LINE = re.compile(r"^(?P<type>[-dl])\S+\s+\d+\s+\S+\s+\S+\s+(?P<size>\d+)\s+\w{3}\s+\d+\s+[\d:]+\s(?P<name>.+)$")
_NOT_UNDERSTOOD = ("500", "501", "502", "504")


class FtpsLister:
    """Lists folders of FTPS servers, anonymously.

    Args:
        context: What certificates are trusted; the system's by default.
        timeouts: How long to wait for the next bytes, and for a whole reply.
        retries: Retry policy, and the floor of a listing.
        sleep: What to wait with.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._context = context or ssl.create_default_context()
        self._timeouts, self._retries, self._sleep = timeouts or Timeouts(), retries or RetryPolicy(), sleep

    def walk(self, root: str) -> list[Entry]:
        """Every file below an `ftp://` address, sorted by path. A listing that changes meanwhile is made again.

        Raises:
            NotFoundError: There is no such folder.
            TlsError: The server offers no TLS, or a certificate that is not trusted.
            ArchiveError: It could not be listed.
        """
        host, port, path = _address(root)

        def once() -> list[Entry]:
            with self._connected(host, port) as connection:
                return sorted(_below(connection, path), key=lambda entry: entry.path)

        return patiently(once, self._retries, self._sleep)

    def find_root(self, accession: str, *, host: str = HOST, port: int = 21) -> str:
        """The address of a deposit, by looking into each volume of the server: for when PROXI does not state it.

        Raises:
            NotFoundError: No volume holds it.
            ArchiveError: The server could not be asked.
        """

        def once() -> str:
            with self._connected(host, port) as connection:
                volumes = sorted(
                    name for name, facts in _folder(connection, "/") if _VOLUME.match(name) and facts is None
                )
                for volume in reversed(volumes):
                    try:
                        connection.cwd(f"/{volume}/{accession}")
                    except ftplib.error_perm:
                        continue
                    return f"ftp://{host}{'' if port == 21 else f':{port}'}/{volume}/{accession}"  # noqa: PLR2004
            raise NotFoundError(
                f"No volume of {host} holds {accession}.", remedy="See whether the accession is right and public."
            )

        return patiently(once, self._retries, self._sleep)

    @contextmanager
    def _connected(self, host: str, port: int) -> Iterator[ftplib.FTP_TLS]:
        """A logged-in connection with encrypted data; whatever fails on it is one of our errors."""
        with (
            typed_failures(host),
            connected(host, port, context=self._context, timeouts=self._timeouts, retries=self._retries) as connection,
        ):
            yield connection


def rewritten(root: str) -> str:
    """The address with the host that answers, where an old one is stated."""
    parts = urlsplit(root)
    return parts._replace(netloc=HOST).geturl() if parts.hostname in _OLD_HOSTS else root


def _address(root: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(root)
        port = parts.port or 21
    except ValueError as error:
        raise ProtocolError(f"{root!r} is not the address of a folder by FTP: {error}.") from error
    if parts.scheme not in {"ftp", "ftps"} or not parts.hostname or parts.username:
        raise ProtocolError(f"{root!r} is not the address of a folder by FTP.")
    return parts.hostname, port, "/" + unquote(parts.path).strip("/")


def _below(connection: ftplib.FTP_TLS, root: str) -> Iterator[Entry]:
    waiting, count = [("", 0)], 0
    while waiting:
        below, depth = waiting.pop()
        try:
            found = _folder(connection, f"{root}/{below}".rstrip("/"))
        except ftplib.error_perm as error:
            if not below:
                raise NotFoundError(f"{connection.host}{root} does not exist: {error}.") from error
            raise NetworkError(f"{connection.host}{root}/{below} vanished while it was listed: {error}.") from error
        for name, entry in found:
            path = f"{below}/{name}" if below else name
            count += 1
            if count > MAX_ENTRIES or depth >= MAX_DEPTH:
                raise ProtocolError(
                    f"{connection.host}{root} has more files or deeper folders than a deposit can have."
                )
            if entry is None:
                waiting.append((path, depth + 1))
            else:
                yield Entry(path, entry.size, entry.modified)


def _folder(connection: ftplib.FTP_TLS, path: str) -> list[tuple[str, Entry | None]]:
    """Names in a folder: with size and time for files, None for folders. By MLSD, by LIST where that is not known."""
    try:
        listed = list(connection.mlsd(path, facts=["type", "size", "modify"]))
    except ftplib.error_perm as error:
        if not str(error).startswith(_NOT_UNDERSTOOD):
            raise
        return _listed(connection, path)
    found: list[tuple[str, Entry | None]] = []
    for name, facts in listed:
        kind = facts.get("type", "").lower()
        if kind == "dir":
            found.append((_name(name), None))
        elif kind == "file":
            size = facts.get("size", "")
            found.append(
                (_name(name), Entry(name, int(size) if size.isdigit() else None, _time(facts.get("modify", ""))))
            )
    return found


def _listed(connection: ftplib.FTP_TLS, path: str) -> list[tuple[str, Entry | None]]:
    connection.cwd(path)  # LIST of a folder that does not exist is an empty list on some servers
    lines: list[str] = []
    connection.retrlines("LIST", lines.append)
    found: list[tuple[str, Entry | None]] = []
    for line in lines:
        match = _UNIX_LINE.match(line)
        if match is None:
            if line and not line.startswith("total "):
                raise ProtocolError(f"{connection.host} lists {path} in a form that is not known: {line[:80]!r}.")
        elif match["name"] not in {".", ".."} and match["type"] != "l":
            # LIST states a time without a year, or without a zone: none is better than a wrong one.
            entry = None if match["type"] == "d" else Entry(match["name"], int(match["size"]))
            found.append((_name(match["name"]), entry))
    return found


def _name(name: str) -> str:
    if "/" in name or name in {"", ".", ".."} or "\0" in name:
        raise ProtocolError(f"A listing names {name!r}, which is no file name.")
    return name


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)  # RFC 3659, section 2.3: always UTC
    except ValueError:
        return None
