"""What a pull gives of any archive: an entry of a listing whose bytes are stored.

Belongs here: that form. Does not belong here: choosing and fetching (`pulling`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pulled:
    """An entry whose bytes are stored: its digest, and that of each of its files by path."""

    accession: str
    path: str
    size: int
    sha256: str
    files: dict[str, str]
