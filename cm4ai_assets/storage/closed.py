"""Small records that close with a digest of their own, so that one that was altered is never believed.

Belongs here: the form: a text, and its SHA-256 as the last line. Does not belong here: what the records say
(`file_digests`, `makings`).
"""

from __future__ import annotations

import hashlib


def closed(content: str) -> bytes:
    """A text as a record."""
    return f"{content}\n{hashlib.sha256(content.encode()).hexdigest()}\n".encode()


def content_of(data: bytes) -> str:
    """The text of a record.

    Raises:
        ValueError: It is not what was written.
    """
    content = data.decode().strip().rpartition("\n")[0]
    if closed(content) != data:
        raise ValueError("not what was written")
    return content
