"""Requests, answers and records of the sandbox server, and what may be put between them.

Belongs here: the values that a fault or a redirect is written with. Does not belong here: sockets (`server`) and what
the archive answers (`routes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

_CHUNK = 1 << 18


class CutConnection(Exception):  # noqa: N818 - a signal, not an error
    """Raised in an answer's body: the connection is dropped at this point."""


@dataclass(frozen=True)
class Request:
    """A request: the path without `/api` or `/api/v1`, the query, and the headers with lower-case names."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class Answer:
    """An answer: its body is bytes, or an iterable of chunks with a length that the headers tell.

    `length` None sends no Content-Length and closes the connection after the body.
    """

    status: HTTPStatus
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()
    length: int | None = 0
    counted: bool = False


@dataclass
class Record:
    """One request in the log, in the order of arrival.

    `sent` counts the bytes of the body handed to the socket so far; `counted` tells whether the archive counts the
    request as a download.
    """

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    range: str | None
    status: int
    sent: int
    counted: bool


# Asked before the archive is: an answer of its own, or None to let the request pass. A fault that wants to change what
# the archive says calls `SandboxServer.answer` and changes that.
Fault = Callable[[Request], Answer | None]


def json_answer(status: HTTPStatus, data: Mapping[str, Any]) -> Answer:
    """A JSON answer, in the compact form of the real server."""
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status, {"Content-Type": "application/json"}, (body,), len(body))


def slices(path: Path, start: int, length: int) -> Iterator[bytes]:
    """A stretch of a file, in chunks."""
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
