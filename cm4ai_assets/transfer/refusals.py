"""Telling refusals apart: from status, headers and the first bytes of a body to one of the errors of `errors`.

Each case is an answer that somebody saw or that stands in the server's source (protocol reference, 3.4 to 3.7).
Does not belong here: what to do about it (`retries`, `download`, `acquire`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.transfer.errors import (
    AccessDeniedError,
    BadTokenError,
    BlockedByWafError,
    BytesLostError,
    EndpointBlockedError,
    GuestbookRequiredError,
    LinkExpiredError,
    NotFoundError,
    ProtocolError,
    ProxyRefusedError,
    RangeError,
    RateLimitedError,
    ServerUnavailableError,
)


@dataclass(frozen=True)
class Service:
    """How the API of an archive says no, and which settings reach it: for messages whose remedy exists.

    Attributes:
        setting: The variable that holds its base URL.
        token: The variable that holds its token; None where this project sends none.
        refusal: The fields that its own JSON refusals have, which tells them from those of a front server.
        agreed: What `status` says in an answer that came with HTTP 200 and is no error; None where that field means
            something else.
    """

    setting: str
    token: str | None = None
    refusal: tuple[str, ...] = ("message",)
    agreed: str | None = None


DATAVERSE = Service("CM4AI_DATAVERSE_URL", "DATAVERSE_API_TOKEN", ("status",), "OK")

BODY_LIMIT = 64 * 1024
"""How much of a refusal is read: enough for any message, too little to be a burden."""

_GUESTBOOK = re.compile(r"guestbook response for guestbookid\s*(\d+)", re.IGNORECASE)
_S3_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_SECONDS = re.compile(r"\s*\d{1,12}\s*")
_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, what: str, now: datetime, service: Service = DATAVERSE
) -> ArchiveError:
    """The typed error that an answer other than the wanted one means.

    Args:
        status: HTTP status.
        headers: Response headers, lower-case names.
        body: The first `BODY_LIMIT` bytes.
        what: What was asked for, without secrets, for the message.
        now: The time a `Retry-After` date is held against.
        service: Whose API was asked.
    """
    message = _message(body)
    if error := _turned_away(status, headers, body, what, service):
        return error
    if status in {400, 401, 403}:
        return _denied(status, message, body, what, service)
    if status in {404, 410}:
        return _absent(message, body, what, service)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return RangeError(f"The server cannot send the piece that was asked for ({what}): {message}")
    return _busy(status, message, body, what, retry_after(headers.get("retry-after"), now), service)


def error_envelope(body: object, *, what: str, service: Service = DATAVERSE) -> ArchiveError | None:
    """The error inside an answer that came with HTTP 200: `status` other than agreed, in whatever case."""
    agreed = service.agreed
    if agreed is None or not isinstance(body, dict) or str(body.get("status", agreed)).upper() == agreed:
        return None
    return ProtocolError(f"The archive answered with an error ({what}): {body.get('message', 'no message')}")


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header, in either of its forms; None where it is absent or garbage."""
    if value is None:
        return None
    if _SECONDS.fullmatch(value):
        return float(value.strip())  # of more blanks than `float` takes off by itself
    try:
        at = parsedate_to_datetime(value)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return max(0.0, (at - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _is_its_own(body: bytes, service: Service) -> bool:
    """Whether a refusal is one of the API itself."""
    return all(_field(body, name) is not None for name in service.refusal)


def _or_token(service: Service) -> str:
    return f", or set {service.token}" if service.token else ""


def _turned_away(
    status: int, headers: Mapping[str, str], body: bytes, what: str, service: Service
) -> ArchiveError | None:
    """A firewall's or a front server's no: the archive itself answers 403 with JSON, an object store with XML."""
    challenged = "x-amzn-waf-action" in headers or status == HTTPStatus.ACCEPTED
    front = status == HTTPStatus.FORBIDDEN and not _is_its_own(body, service) and not _S3_CODE.search(_text(body))
    if not (challenged or front):
        return None
    return BlockedByWafError(
        f"A firewall in front of the archive turned the request away, HTTP {status} ({what}).",
        remedy=f"Ask the archive to allow the User-Agent cm4ai-assets{_or_token(service)}.",
    )


def _busy(  # noqa: PLR0917 - what an answer is made of
    status: int, message: str, body: bytes, what: str, wait: float | None, service: Service
) -> ArchiveError:
    if status == HTTPStatus.TOO_MANY_REQUESTS or _S3_CODE.findall(_text(body))[:1] == ["SlowDown"]:
        return RateLimitedError(
            f"Too many requests ({what}): {message}", retry_after=wait,
            remedy=f"All guests of an archive share one allowance; wait{_or_token(service)}.",
        )  # fmt: skip
    if status == HTTPStatus.SERVICE_UNAVAILABLE and "endpoint blocked" in message.lower():
        return EndpointBlockedError(
            f"The archive's administrator has closed this endpoint ({what}): {message}", remedy="Ask the archive."
        )
    if status in _TRANSIENT:
        incident = _field(body, "incidentId")
        note = f" (incident {incident})" if incident else ""
        return ServerUnavailableError(
            f"The server cannot answer now, HTTP {status}{note} ({what}): {message}",
            retry_after=wait, incident_id=incident,
        )  # fmt: skip
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ProxyRefusedError(f"The proxy wants credentials ({what}).", remedy="Set them in HTTPS_PROXY.")
    return ProtocolError(f"Unexpected answer HTTP {status} ({what}): {message}")


def _denied(status: int, message: str, body: bytes, what: str, service: Service) -> ArchiveError:
    if code := _S3_CODE.search(_text(body)):
        return LinkExpiredError(f"The object store refused the presigned link ({what}): {code[1]}. {message}")
    if book := _GUESTBOOK.search(message):
        return GuestbookRequiredError(
            f"The archive wants guestbook {book[1]} filled in first ({what}).", guestbook_id=int(book[1]),
            remedy="Fill it in on the archive's page, or configure the answers to give.",
        )  # fmt: skip
    if status == HTTPStatus.BAD_REQUEST:
        return ProtocolError(f"The archive calls the request malformed ({what}): {message}")
    if service.token and status == HTTPStatus.UNAUTHORIZED and "not permitted" not in message:
        return BadTokenError(
            f"The archive refuses the API token ({what}): {message}",
            remedy=f"Renew {service.token}, or unset it to go on as a guest.",
        )
    return AccessDeniedError(f"Access is not permitted ({what}): {message}")


def _absent(message: str, body: bytes, what: str, service: Service) -> ArchiveError:
    if message.lower().startswith("datafile"):
        return BytesLostError(f"The archive has lost the bytes ({what}): {message}", remedy="Report it to the archive.")
    if code := _S3_CODE.search(_text(body)):
        return BytesLostError(f"The object store does not have the bytes ({what}): {code[1]}. {message}")
    if not _is_its_own(body, service):
        return NotFoundError(f"A web server, not the archive's API, answered: no such page ({what}).",
                             remedy=f"Check {service.setting}.")  # fmt: skip
    return NotFoundError(f"The archive does not have it ({what}): {message}")


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _field(body: bytes, name: str) -> str | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = answer.get(name) if isinstance(answer, dict) else None
    return None if value is None else str(value)


def _message(body: bytes) -> str:
    """What a refusal says, in one line: its JSON message, else its text without markup."""
    message = _field(body, "message") or _field(body, "error") or re.sub(r"<[^>]*>", " ", _text(body))
    return re.sub(r"\s+", " ", message).strip()[:300] or "no message"
