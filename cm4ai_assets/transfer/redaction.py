"""Secrets of this process, kept out of whatever it writes down: logs, messages, evidence.

A server may send back what it was sent: an error page that quotes the request's headers holds the API token. So a
secret is made known once, where a client is given it, and taken out of every text that came from a server. Belongs
here: that list, and what is taken out. Does not belong here: what of a URL may be shown (`origins`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

HIDDEN = "[hidden]"
_SHORTEST = 6  # a shorter "secret" would stand in any text by chance
_secrets: set[str] = set()
_QUERY = re.compile(r"\?[^\s'\"]+")
# What an answer may set or lead to that is a secret of its own: sessions and signed links.
_SECRET_HEADERS = frozenset({"set-cookie", "location"})


def hide(secret: str) -> None:
    """Keep a secret out of what this process writes down from now on."""
    if len(secret) >= _SHORTEST:
        _secrets.add(secret)


def without_secrets(text: str) -> str:
    """A text with every known secret taken out."""
    for secret in _longest_first():
        text = text.replace(secret, HIDDEN)
    return text


def bytes_without_secrets(data: bytes) -> bytes:
    """The same for bytes."""
    for secret in _longest_first():
        data = data.replace(secret.encode(), HIDDEN.encode())
    return data


def _longest_first() -> list[str]:
    """One secret may begin another, whose rest would then be left."""
    return sorted(_secrets, key=len, reverse=True)


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer that may be written down, without secrets and without the queries of links."""
    return {
        without_secrets(name): without_secrets(_QUERY.sub("?…", value))
        for name, value in headers.items()
        if name.lower() not in _SECRET_HEADERS
    }


class _RedactingFilter(logging.Filter):
    """Takes queries out of what the HTTP libraries log: at INFO httpx2 logs whole URLs, presigned ones too."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = without_secrets(_QUERY.sub("?…", record.getMessage()))
        record.args = ()
        return True


# A filter of a logger does not see what its children log, so each is named.
_HTTP_LOGGERS = ("httpx2", *(f"httpcore2.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")))


def quiet_http_logs() -> None:
    """Keep secrets out of the logs of httpx2 and httpcore2, however verbose the process is."""
    for name in _HTTP_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _RedactingFilter) for known in logger.filters):
            logger.addFilter(_RedactingFilter())
