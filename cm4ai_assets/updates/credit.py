"""What a table says of where it comes from: dataset, version and licence of the published files it is made from.

Belongs here: reading that from the registry and the lock. A licence is what the archive states for each file, never a
constant: AP-MS and the iPSC SEC-MS of 2026 are CC0, the rest is not. Does not belong here: showing it (`defs`).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.errors import ReleaseKeyError
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.inputs import feed_of, lock_of

NOT_STATED = "not stated"


def credit(store: Store, name: str, partition: Partition, frame: pl.DataFrame | None = None) -> dict[str, str]:
    """DOI, version and licences behind one partition of a table; empty for a table that belongs to no release.

    Args:
        store: The storage.
        name: Name of the table.
        partition: Its partition.
        frame: Its rows, of which those of a lock state the licences themselves.
    """
    if not partition.release:
        return {}
    lock = frame if name == RELEASE_FILES.name else lock_of(store, partition.release)
    feed = feed_of(name)
    rows = feed.inputs(lock).get(partition.condition, ()) if feed and lock is not None else ()
    stated = [row["license"] for row in rows] if feed else lock["license"].to_list() if lock is not None else []
    try:
        record = ReleaseRegistry(store).get(partition.release)
    except ReleaseKeyError:
        return {"license": licences(stated)}
    return {"doi": record.doi, "version": record.version, "license": licences(stated)}


def licences(stated: list[str | None]) -> str:
    """Licences in one line, each once; a file without one is named as such.

    >>> licences(["CC BY-NC-SA 4.0", "CC0 1.0", "CC BY-NC-SA 4.0", None])
    'CC BY-NC-SA 4.0, CC0 1.0, not stated'
    """
    return (
        ", ".join(sorted({one or NOT_STATED for one in stated}, key=lambda one: (one == NOT_STATED, one))) or NOT_STATED
    )
