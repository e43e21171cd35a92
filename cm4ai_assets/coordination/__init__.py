"""What processes agree on that work on the same things: who is alone with what, when a host is asked, who is alive.

On one machine files do it, on several the PostgreSQL database of CM4AI_DATABASE. Correctness never rests on it: bytes
are placed whole and known by their content, so that a lock that is lost costs work or courtesy, and nothing else.

Belongs here: the choice between the two, and nothing of what they are used for. Which lock is of a machine by nature
and stays a file: docs/decisions/0036-several-machines.md.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cm4ai_assets.coordination.files import Files
from cm4ai_assets.coordination.postgres import Postgres
from cm4ai_assets.coordination.protocol import Coordination, Record
from cm4ai_assets.settings import Settings

__all__ = ["Coordination", "Files", "Postgres", "Record", "among", "machines"]


def machines() -> Coordination | None:
    """What the machines of this instance agree by; None where the settings name no database: there is one machine."""
    url = Settings.from_env().database
    return None if url is None else _of(url)


def among(folder: Path) -> Coordination:
    """What all processes agree by that share a database, or else this folder."""
    return machines() or Files(folder)


@lru_cache(maxsize=4)
def _of(url: str) -> Postgres:
    """One per process, so that its connection is used again."""
    return Postgres(url)
