"""When a stored thing was last read again and found to be what it was.

    registry/verified/{path of the thing}.json

Belongs here: those dates. They order the scrubbing and are shown to people; nothing is trusted for them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import fsspec

from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.storage.layout import verified_path
from cm4ai_assets.storage.placing import place_bytes


class VerifiedDates:
    """The dates of one storage.

    Args:
        fs: Filesystem of the storage.
        root: Storage root on that filesystem.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self._fs, self._root = fs, root

    def note(self, path: str, *, damaged: bool = False) -> None:
        """Note that the thing under a path of the storage was read now, where the storage can be written."""
        data = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), "damaged": damaged}).encode()
        with suppress(OSError, ArchiveError):
            place_bytes(self._fs, data, self._full(path))

    def last(self, path: str) -> datetime | None:
        """When it was last read; None if it never was since it was published, or the note cannot be read."""
        try:
            at = datetime.fromisoformat(json.loads(self._fs.cat_file(self._full(path)))["at"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return at if at.tzinfo and at <= datetime.now(UTC) else None

    def _full(self, path: str) -> str:
        return f"{self._root}/{verified_path(path)}"
