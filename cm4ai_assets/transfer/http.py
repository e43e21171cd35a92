"""One HTTP client for archives: careful with secrets, redirects and encodings; every failure is a typed error.

Belongs here: sending a request and following its redirects by hand. Every library tried forwards a custom token header
to whatever host a redirect names (protocol reference, 6.2), so none is trusted with it. Does not belong here: what an
endpoint means (`dataverse`), resuming (`download`).
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

import httpx2
from pydantic import SecretStr

from cm4ai_assets.errors import ArchiveError, ConfigurationError
from cm4ai_assets.software import package_version
from cm4ai_assets.transfer import json_answers
from cm4ai_assets.transfer.connections import EXCHANGE, Chunk, Exchange, Room, Transport, body
from cm4ai_assets.transfer.errors import (
    NetworkError,
    ProtocolError,
    ProxyRefusedError,
    RateLimitedError,
    RedirectRefusedError,
    TlsError,
    WaitError,
)
from cm4ai_assets.transfer.origins import allow_redirect, is_loopback_http, origin, redacted
from cm4ai_assets.transfer.rate_limit import RateLimit
from cm4ai_assets.transfer.redaction import bytes_without_secrets, hide, quiet_http_logs
from cm4ai_assets.transfer.refusals import BODY_LIMIT, DATAVERSE, Service, error_envelope, refusal
from cm4ai_assets.transfer.retries import RetryPolicy, patiently

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

USER_AGENT = "cm4ai-assets/{version} (+https://github.com/CM4AI)"
"""Our own: the stock agents of Python libraries are blocked by some installations (protocol reference, 3.7)."""

MAX_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next bytes. There is no limit on the whole of a transfer."""

    connect: float = 10.0
    read: float = 60.0

    @property
    def head(self) -> float:
        """Seconds until the headers of an answer are complete, whatever comes meanwhile."""
        return self.connect + 2 * self.read


@dataclass(frozen=True)
class Answer:
    """A response whose body has not been read: `url` and `headers` may be shown, they carry no secrets."""

    status: int
    headers: Mapping[str, str]
    url: str
    host: str
    _response: httpx2.Response

    def chunks(self, room: Room | None = None) -> Iterator[Chunk]:
        """The body as it arrives, not decoded. A chunk is valid until the next one is asked for.

        Raises:
            NetworkError: The connection broke before the end that was announced.
        """
        with _typed_failures(self.url):
            yield from body(self._response, room)

    def beginning(self, limit: int) -> bytes:
        """At most `limit` bytes of the body, without secrets; what cannot be read is left out."""
        body = bytearray()
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) >= limit:
                    break
        except ArchiveError:
            pass
        return bytes_without_secrets(bytes(body[:limit]))


@dataclass(frozen=True)
class Reply:
    """A JSON answer and the server's own time when it gave it."""

    body: Any
    served: datetime | None


class HttpClient:
    """Requests to one archive.

    Args:
        base_url: Scheme, host and port, and a path prefix if there is one.
        token: API token; sent to exactly the origin of `base_url`, never logged.
        rate_limit: Shared courtesy towards hosts; None for a client that is alone.
        retries: Retry policy of `json`.
        service: How its API refuses.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        rate_limit: RateLimit | None = None,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], None] = time.sleep,
        verify: ssl.SSLContext | None = None,
        service: Service = DATAVERSE,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._service = service
        try:
            self.home = origin(self.base_url)
        except ValueError as error:
            raise ConfigurationError(f"{base_url!r} is not the address of a server: {error}.") from error
        if token and self.home[0] != "https" and not is_loopback_http(self.base_url):
            raise ConfigurationError(
                f"An API token is not sent over plain http to {self.home[1]}.", remedy="Use https, or unset the token."
            )
        if token:
            hide(token)
        self._token = SecretStr(token) if token else None
        self.rate_limit, self._sleep = rate_limit, sleep
        self._retries, self._limits = retries or RetryPolicy(), timeouts or Timeouts()
        quiet_http_logs()
        self._client = httpx2.Client(transport=Transport(verify=verify), follow_redirects=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r}, token={'set' if self._token else None})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    @property
    def has_token(self) -> bool:
        """Whether requests are made as somebody."""
        return self._token is not None

    def is_home(self, url: str) -> bool:
        """Whether a URL is one of the archive itself."""
        try:
            return origin(url) == self.home
        except ValueError:
            return False

    def url(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """The whole URL of a path of the archive."""
        return str(httpx2.URL(f"{self.base_url}{path}", params=dict(params) if params else None))

    def json(self, path: str, params: Mapping[str, str] | None = None, *, body: object = None) -> Reply:
        """A JSON answer, asked for again by the retry policy; None where there is no content (204).

        With a `body`, it is posted.
        """
        url = self.url(path, params)
        return self.patiently(lambda: self._json_once(url, body))

    def patiently(self, ask: Callable[[], _T]) -> _T:
        """Ask, and ask again by the retry policy."""
        return patiently(ask, self._retries, self._sleep)

    def _json_once(self, url: str, body: object) -> Reply:
        shown = redacted(url, home=self.home)
        with self.stream(url, body=body) as answer:
            if answer.status == HTTPStatus.NO_CONTENT:
                return Reply(None, _http_date(answer.headers.get("date")))
            raw = self._body(answer, shown)
        parsed = json_answers.parsed(raw, what=shown, content_type=_stated_form(answer.headers))
        if failure := error_envelope(parsed, what=shown, service=self._service):
            raise failure
        return Reply(parsed, _http_date(answer.headers.get("date")))

    def text(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """An answer that is text in UTF-8, asked for again by the retry policy.

        Raises:
            ProtocolError: It is not UTF-8, or too much of it.
            ArchiveError: It was refused, or nothing answered.
        """
        url = self.url(path, params)
        return self.patiently(lambda: self._text_once(url))

    def _text_once(self, url: str) -> str:
        shown = redacted(url, home=self.home)
        with self.stream(url) as answer:
            raw = self._body(answer, shown)
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"The answer to {shown} is not UTF-8: {error}.") from error

    def _body(self, answer: Answer, shown: str) -> bytes:
        """All of a wanted answer, which is bounded."""
        if answer.status != HTTPStatus.OK:
            raise self._refusal(answer)
        raw = bytearray()
        for chunk in answer.chunks():
            raw += chunk
            if len(raw) > json_answers.BYTE_LIMIT:
                raise ProtocolError(f"The answer to {shown} is longer than {json_answers.BYTE_LIMIT} bytes.")
        return bytes(raw)

    @contextmanager
    def stream(self, url: str, *, start: int = 0, length: int | None = None, body: object = None) -> Iterator[Answer]:
        """The answer to one request, whatever its status but a redirect; those are followed.

        Args:
            url: Where to ask; the token goes along if it is the archive itself.
            start: Ask for the bytes from here on.
            length: Ask for so many; None for all that follow.
            body: JSON to post.

        Raises:
            ArchiveError: No answer came.
        """
        headers = {"User-Agent": USER_AGENT.format(version=package_version()), "Accept-Encoding": "identity"}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        shown = redacted(url, home=self.home)
        at_home = origin(url) == self.home
        for _ in range(MAX_HOPS + 1):
            response = self._send(url, headers, with_token=at_home, body=body)
            try:
                if response.status_code not in _REDIRECTS:
                    yield self._answer(response, url)
                    return
                location = response.headers.get("location")
            finally:
                response.close()
            if not location or body is not None:
                raise ProtocolError(f"{shown} answered with a redirect that leads nowhere.")
            url = _joined(url, location)
            allow_redirect(url, home=self.home, what=shown)
            # Whoever the archive sent us to may send us back, but not with our token.
            at_home = at_home and origin(url) == self.home
        raise RedirectRefusedError(
            f"A redirect was refused ({shown}): there were more than {MAX_HOPS}.", remedy="Report it to the archive."
        )

    def _send(self, url: str, headers: Mapping[str, str], *, with_token: bool, body: object) -> httpx2.Response:
        host = _host(url)
        if self.rate_limit:
            self.rate_limit.wait(host)
        secret = {"X-Dataverse-key": self._token.get_secret_value()} if self._token and with_token else {}
        with _typed_failures(redacted(url, home=self.home)):
            # Built and sent without the client's defaults: no other header, no cookie goes along.
            request = httpx2.Request(
                "GET" if body is None else "POST", url, headers={**headers, **secret},
                json=body, extensions=self._extensions(),
            )  # fmt: skip
            return self._client.send(request, stream=True, auth=None, follow_redirects=False)

    def _extensions(self) -> dict[str, Any]:
        limits = self._limits
        timeout = {"connect": limits.connect, "read": limits.read, "write": limits.read, "pool": None}
        return {"timeout": timeout, EXCHANGE: Exchange(limits.head, self._retries)}

    def _answer(self, response: httpx2.Response, url: str) -> Answer:
        answer = Answer(response.status_code, response.headers, redacted(url, home=self.home), _host(url), response)
        if self.rate_limit and answer.status < HTTPStatus.BAD_REQUEST:
            self.rate_limit.served(answer.host)
        return answer

    def _refusal(self, answer: Answer) -> ArchiveError:
        error = refusal(
            answer.status, answer.headers, answer.beginning(BODY_LIMIT),
            what=answer.url, now=datetime.now(UTC), service=self._service,
        )  # fmt: skip
        named = isinstance(error, WaitError) and error.retry_after is not None
        if self.rate_limit and isinstance(error, WaitError) and (named or isinstance(error, RateLimitedError)):
            self.rate_limit.limited(answer.host, error.retry_after)
        return error

    def raise_refusal(self, answer: Answer) -> None:
        """Raise what an unwanted answer means."""
        raise self._refusal(answer)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location  # no URL, which `allow_redirect` says


def _stated_form(headers: Mapping[str, str]) -> str:
    """What an answer calls itself: its type, and an encoding that was not asked for."""
    encoding = headers.get("content-encoding")
    return headers.get("content-type", "no type") + (f", Content-Encoding {encoding}" if encoding else "")


def _host(url: str) -> str:
    _, host, port = origin(url)
    return f"{host}_{port}"


def _http_date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value) if value else None
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC) if date else None
    except (TypeError, ValueError, OverflowError):
        return None


@contextmanager
def _typed_failures(shown: str) -> Iterator[None]:
    """Turn what the HTTP library raises into our errors. Its messages hold no URL; ours hold the redacted one."""
    try:
        yield
    except httpx2.ProxyError as error:
        raise ProxyRefusedError(f"The proxy refused ({shown}): {error}.", remedy="See HTTPS_PROXY.") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, UnicodeError) as error:
        raise RedirectRefusedError(f"Not a URL that can be followed ({shown}): {error}.") from error
    except (httpx2.TransportError, httpx2.StreamError) as error:
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            raise TlsError(
                f"The certificate of the server is not trusted ({shown}): {error}.",
                remedy="If your network has its own authority, point SSL_CERT_FILE at its certificate.",
            ) from error
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            raise NetworkError(f"The name of the host cannot be resolved ({shown}): {error}.") from error
        kind = type(error).__name__
        raise NetworkError(f"The connection failed ({shown}): {kind} {error}".rstrip() + ".") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
