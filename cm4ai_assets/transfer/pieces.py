"""Bytes of a file by HTTP, whole or in pieces: what an answer to a range request is, and a file read by position.

Belongs here: what every archive that serves plain HTTP shares once it has a URL. Does not belong here: which URL that
is (the archive's own `client`), resuming and verifying a download (`download`).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, TypeVar

from cm4ai_assets.transfer.connections import Chunk, Room
from cm4ai_assets.transfer.errors import BlockedByWafError, NotFoundError, ProtocolError, RangeError, ReplacedError
from cm4ai_assets.transfer.http import Answer, HttpClient
from cm4ai_assets.transfer.origins import allow_redirect, origin

_log = logging.getLogger(__name__)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
MIB = 1024 * 1024
_T = TypeVar("_T")


@dataclass(frozen=True)
class FileStream:
    """The bytes of a file from `start` on; `total` is the size of the whole, None where the server does not say."""

    start: int
    total: int | None
    url: str
    headers: Mapping[str, str]
    _answer: Answer

    def chunks(self, room: Room | None = None) -> Iterator[Chunk]:
        """The bytes as they arrive."""
        return self._answer.chunks(room)


def positioned(answer: Answer, offset: int) -> FileStream:
    """Where the body begins and how long the whole is, if the answer is a possible one for the piece asked for.

    Raises:
        RangeError: It is not.
    """
    length = answer.headers.get("content-length")
    announced = int(length) if length and length.isdigit() else None
    stated = answer.headers.get("content-range", "")
    # Dataverse before 5.11 sends a piece with status 200 (protocol reference, 3.1).
    if answer.status == HTTPStatus.OK and not stated:
        return FileStream(0, announced, answer.url, answer.headers, answer)
    match = _CONTENT_RANGE.fullmatch(stated.strip())
    if match is None:
        raise RangeError(f"{answer.url} answered 206 with Content-Range {stated!r}.")
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if first != offset or last < first or (total is not None and last >= total):
        raise RangeError(f"{answer.url} was asked for the bytes from {offset} on and sent {stated!r}.")
    return FileStream(first, total, answer.url, answer.headers, answer)


def is_page(content_type: str | None) -> bool:
    """Whether an answer calls itself a web page: a sign-in or challenge page, where a file was asked for."""
    return (content_type or "").lower().lstrip().startswith(("text/html", "application/xhtml"))


@dataclass(frozen=True)
class HttpFile:
    """A file at a URL, as a `download.RemoteFile`.

    Attributes:
        client: Sends the requests, follows redirects, and keeps its token to itself.
        url: Where the file is; a redirect from there is followed anew for each piece, since signed links expire.
        name: What messages call it.
    """

    client: HttpClient
    url: str
    name: str

    @contextmanager
    def open(self, offset: int, *, counted: bool, length: int | None = None) -> Iterator[FileStream]:
        """The bytes from `offset` on, or from 0 if the server cannot do that. With a length, so many. Nobody counts.

        Raises:
            BlockedByWafError: A page was sent instead of the file.
            RangeError: The answer is not the piece that was asked for.
            ArchiveError: It was refused, or nothing answered.
        """
        del counted
        if not self.client.is_home(self.url):  # an address that a listing states leads no further than a redirect may
            allow_redirect(self.url, home=self.client.home, what=self.name)
        _, host, port = origin(self.url)
        limit = self.client.rate_limit
        slot = limit.slot(f"{host}_{port}") if limit else nullcontext()
        with slot, self.client.stream(self.url, start=offset, length=length) as answer:
            if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                self.client.raise_refusal(answer)
            if is_page(answer.headers.get("content-type")):
                raise BlockedByWafError(
                    f"A web page was sent instead of {self.name}.",
                    remedy="A sign-in or challenge page stands before the archive; open the file in a browser.",
                )
            yield positioned(answer, offset)


class Asker(Protocol):
    """A client that asks again while that helps."""

    def patiently(self, ask: Callable[[], _T]) -> _T:
        """Ask, and ask again by its retry policy."""


class Way(Protocol):
    """A file of which any client gives pieces."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def client(self) -> Asker: ...  # noqa: D102

    def open(self, offset: int, *, counted: bool, length: int | None = None) -> AbstractContextManager[FileStream]:
        """The bytes from `offset` on, or from 0 if the server cannot do that. With a length, so many."""


@dataclass
class Traffic:
    """What reading by position has cost: requests sent, and bytes that came."""

    requests: int = 0
    bytes: int = 0


class HttpBytes:
    """A file by HTTP as a `ByteSource`: each read is one request, asked again while that helps.

    What can be verified of a piece is verified: its position, its length, the size of the whole as the archive states
    it, and that the entity tag stays what it was, so that pieces of two versions are never mixed. A digest is of the
    whole file and is not checked here.

    Args:
        ways: Where the file is, the best way first; the next is gone where one does not have it.
        size: Its size as the archive's listing states it.
        traffic: Where to count what the reads cost.
    """

    def __init__(self, ways: Sequence[Way], size: int, traffic: Traffic | None = None) -> None:
        self.size, self.traffic = size, traffic or Traffic()
        self.name = ways[0].name
        self._ways, self._tag = list(ways), ""
        self._lock = threading.Lock()

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`.

        Raises:
            ProtocolError: The server sends no pieces, or other ones.
            ReplacedError: The file is not the one that was listed, or changed since it was opened.
            ArchiveError: It was refused, or nothing answered.
        """
        while length:
            way = self._ways[0]
            try:
                return way.client.patiently(lambda: self._once(way, offset, length))  # noqa: B023 - called at once
            except (NotFoundError, ProtocolError) as error:
                with self._lock:
                    if len(self._ways) == 1 or self._tag:
                        raise
                    self._ways.remove(way)
                _log.info("%s Trying the next way.", error.message)
        return b""

    def _once(self, way: Way, offset: int, length: int) -> bytes:
        with self._lock:
            self.traffic.requests += 1
        with way.open(offset, counted=False, length=length) as stream:
            if stream.total not in {None, self.size}:
                raise ReplacedError(f"{self.name} has {stream.total:,} bytes, not {self.size:,} as listed.",
                                    remedy="List it again.")  # fmt: skip
            self._same(stream.headers.get("etag") or "no tag")
            data = bytearray()
            for chunk in stream.chunks():
                data += chunk
                with self._lock:
                    self.traffic.bytes += len(chunk)
                if stream.start != offset or len(data) > length:
                    raise RangeError(f"{self.name} cannot be read in parts.", remedy="Fetch it whole.")
        if len(data) != length:
            raise RangeError(f"{len(data):,} bytes of {self.name} came, {length:,} were asked for.")
        return bytes(data)

    def _same(self, tag: str) -> None:
        with self._lock:
            self._tag = self._tag or tag
            if tag != self._tag:
                raise ReplacedError(
                    f"{self.name} changed while it was read.", remedy="Read it again from the beginning."
                )
