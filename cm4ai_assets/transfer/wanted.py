"""What a download is held against.

Belongs here: that description. Does not belong here: fetching it (`download`), keeping what has arrived (`parts`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: its size, and its digest if one is known; `as_known` says since when, for messages.

    `key` names it in the scratch folder: letters, digits, dots and dashes. The same key means the same bytes.
    """

    key: str
    size: int
    digest_type: str | None
    digest: str | None
    as_known: str = "as published"
