"""Why a table was not made: a record in the storage, so that readers, the sensor and the command line give one reason.

Belongs here: reading and writing those records. A record stands until the release is locked again,
which opens the question anew; where the table is published, it is not looked at. Does not belong here: deciding that a
table is not made (`defs`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import product


@dataclass(frozen=True)
class Absence:
    """Why a partition of a table was not made, and when that was found (UTC)."""

    reason: str
    noted: datetime


class Absences:
    """The absence records of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, name: str, partition: Partition, reason: str) -> None:
        """Record why a table or document was not made for a partition."""
        record = {"table": name, "reason": reason, "noted": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._store.staging.folder() as folder:
            staged = folder / "absence.json"
            staged.write_text(json.dumps(record, indent=1), encoding="utf-8")
            self._store.staging.publish_file(staged, layout.absence_path(product(name), partition))

    def find(self, name: str, partition: Partition) -> Absence | None:
        """Why a table was not made for a partition; None if no record says so, or none that can be read."""
        path = f"{self._store.root}/{layout.absence_path(product(name), partition)}"
        try:
            record = json.loads(self._store.fs.cat_file(path))
            return Absence(str(record["reason"]), datetime.fromisoformat(record["noted"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def forget_release(self, release: str) -> None:
        """Remove every record of a release: it was locked again, so each question is open again."""
        for path in self._store.find(layout.ABSENCES):
            if layout.absence_release(path) == release:
                self._store.fs.rm_file(self._store.address(path))
