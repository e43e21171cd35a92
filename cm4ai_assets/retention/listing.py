"""The files of a storage by one listing, with their sizes and ages.

Belongs here: answers of the kind "what is at or below this path". Does not belong here: what paths mean (`stored`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime

from cm4ai_assets.storage.store import Listed


class Listing:
    """Files by their path.

    Args:
        files: Every file, by its path, sorted.
    """

    def __init__(self, files: Mapping[str, Listed]) -> None:
        self.files = files
        self._names = sorted(files)

    def under(self, path: str) -> list[str]:
        """The file at a path, or every file below it, sorted."""
        if path in self.files:
            return [path]
        first, end = bisect_left(self._names, f"{path}/"), bisect_left(self._names, f"{path}0")  # 0 follows /
        return self._names[first:end]

    def children(self, path: str) -> list[str]:
        """The paths of what stands directly below a path, sorted."""
        at = len(path) + 1
        return list(dict.fromkeys(f"{path}/{name[at:].split('/', 1)[0]}" for name in self.under(path)))

    def size(self, path: str) -> int:
        """Bytes at and below a path."""
        return sum(self.files[name].size for name in self.under(path))

    def written(self, path: str) -> datetime | None:
        """When the last file at or below a path was written; None where that is not known of all of them."""
        found = [self.files[name].written for name in self.under(path)]
        known = [at for at in found if at is not None]
        return max(known) if known and len(known) == len(found) else None
