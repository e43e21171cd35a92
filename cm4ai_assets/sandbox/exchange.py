"""Requests, answers and records of the sandbox server, and what may be put between them.

Belongs here: the values that a fault or a redirect is written with. Does not belong here: sockets (`server`) and what
the archive answers (`routes`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


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


def json_answer(status: HTTPStatus, data: Mapping[str, Any] | Sequence[Any]) -> Answer:
    """A JSON answer, in the compact form of the real server."""
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status, {"Content-Type": "application/json"}, (body,), len(body))


def body_answer(status: HTTPStatus, body: bytes, content_type: str) -> Answer:
    """An answer whose body is known."""
    return Answer(status, {"Content-Type": content_type}, (body,), len(body))


def piece(content: bytes, asked: str | None, headers: Mapping[str, str]) -> Answer:
    """What an object store answers for an object: all of it, or the one range that a `Range` header asks for."""
    size = len(content)
    stated = {**headers, "Accept-Ranges": "bytes"}
    match = _RANGE.fullmatch(asked.strip()) if asked else None
    if match is None or match[1] == match[2] == "":
        return Answer(HTTPStatus.OK, stated, (content,), size)
    start = int(match[1]) if match[1] else max(size - int(match[2]), 0)
    stop = min(int(match[2]) + 1, size) if match[1] and match[2] else size
    if start >= stop:
        error = b"<?xml version='1.0'?><Error><Code>InvalidRange</Code></Error>"
        answer = body_answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, error, "application/xml")
        answer.headers["Content-Range"] = f"bytes */{size}"
        return answer
    stated["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Answer(HTTPStatus.PARTIAL_CONTENT, stated, (content[start:stop],), stop - start)


def slices(path: Path, start: int, length: int) -> Iterator[bytes]:
    """A stretch of a file, in chunks."""
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
