"""JSON that a server sent, as values: bounded in bytes and in objects, and all of its text valid.

Belongs here: what is refused before it is built, and what is mended. Does not belong here: what the values mean.
"""

from __future__ import annotations

import json
import re
from typing import Any

from cm4ai_assets.transfer.errors import ProtocolError
from cm4ai_assets.transfer.redaction import bytes_without_secrets, without_secrets

BYTE_LIMIT = 32 * 1024 * 1024
"""Bytes of one answer: a version of 20,000 files has some 25 MB."""

VALUE_LIMIT = 2_000_000
"""Values of one answer. Empty lists cost 64 bytes of memory for the three that they have on the wire."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")


def parsed(raw: bytes, *, what: str, content_type: str) -> Any:  # noqa: ANN401 - whatever was sent
    """The values of a JSON text.

    A lone surrogate, which is no character and cannot be written to any file, becomes U+FFFD.

    Args:
        raw: The text, of at most `BYTE_LIMIT` bytes.
        what: What was asked for, for messages.
        content_type: What the server calls it, for messages.

    Raises:
        ProtocolError: It is not JSON, or too much of it.
    """
    raw = bytes_without_secrets(raw)
    # Those within strings count too: an upper bound that costs nothing.
    values = 1 + sum(raw.count(mark) for mark in (b",", b":", b"[", b"{"))
    if values > VALUE_LIMIT:
        raise ProtocolError(
            f"The answer to {what} has up to {values:,} values in {len(raw):,} bytes, more than {VALUE_LIMIT:,}.",
            remedy="No archive sends that; see what answers at this address.",
        )
    try:
        text = raw.decode(json.detect_encoding(raw), "surrogatepass")
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(
            f"The answer to {what} is not JSON ({without_secrets(content_type)}): {error}.",
            remedy="If this lasts, open the URL in a browser: a sign-in or maintenance page may stand before it.",
        ) from error
    return _valid(value) if _ESCAPED.search(text) or _SURROGATE.search(text) else value


def _valid(value: Any) -> Any:  # noqa: ANN401
    """The same value with every lone surrogate replaced. No deeper than what the parser took."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_valid(item) for item in value]
    if isinstance(value, dict):
        return {_valid(name): _valid(item) for name, item in value.items()}
    return value
