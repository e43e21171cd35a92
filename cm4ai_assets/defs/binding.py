"""One Dagster instance belongs to one storage: its runs, checks and partitions are about what stands there.

Belongs here: the note in DAGSTER_HOME that says which storage, and refusing another one. Does not belong here: the
storage's own id (`storage.identity`).
"""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.storage.identity import ensure_storage_id, storage_id
from cm4ai_assets.storage.store import Store

NOTE = "cm4ai_storage.json"


def bind(home: Path, store: Store) -> None:
    """Bind an instance to a storage, if it is bound to none.

    Raises:
        ConfigurationError: It is bound to another storage.
    """
    note = home / NOTE
    if note.exists():
        _refuse_other(note, store)
        return
    note.write_text(json.dumps({"id": ensure_storage_id(store), "location": store.location("")}) + "\n")


def require_bound(instance: dg.DagsterInstance, store: Store) -> None:
    """Refuse to write to a storage that is not the one of the instance. An instance that is bound to none may.

    Raises:
        ConfigurationError: It is bound to another storage.
    """
    note = None if instance.is_ephemeral else Path(instance.root_directory) / NOTE
    if note is not None and note.exists():
        _refuse_other(note, store)


def _refuse_other(note: Path, store: Store) -> None:
    try:
        bound = json.loads(note.read_text())
        expected, location = bound["id"], bound["location"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{note} cannot be read.", remedy="Remove it; the next command writes it.") from error
    if storage_id(store) != expected:
        raise ConfigurationError(
            f"The Dagster instance in {note.parent} belongs to the storage {location}, not to {store.location('')}.",
            remedy="Set CM4AI_STORAGE to that one, or DAGSTER_HOME to a folder of its own. If that storage was emptied "
            f"on purpose, remove {note.parent} as well.",
        )
