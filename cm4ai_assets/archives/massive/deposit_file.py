"""A file of a MassIVE deposit, and what its digest is noted under.

Belongs here: what needs no client. Does not belong here: fetching (`acquire`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DepositFile:
    """A file of a deposit: its size as listed, and its address by FTPS where one is stated."""

    accession: str
    path: str
    size: int | None
    url: str | None = None

    @property
    def identity(self) -> str:
        """What its digest is noted under: a file of another size is another file."""
        return f"massive {self.accession} {self.path} {self.size}"
