"""What the clients of all archives share: connections that are closed with them.

Belongs here: that alone. Does not belong here: which call answers which question (each archive's own `client`).
"""

from __future__ import annotations

from typing import Self

from cm4ai_assets.transfer.http import HttpClient


class ApiClient:
    """A client of an archive, as a context manager that closes its connections."""

    def __init__(self, *connections: HttpClient) -> None:
        self._connections = connections

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.close()
