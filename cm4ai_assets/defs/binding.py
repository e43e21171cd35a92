"""One Dagster instance belongs to one storage: its runs, checks and partitions are about what stands there.

Belongs here: the note that says which storage, and refusing another one. An instance of one machine has the note in its
DAGSTER_HOME; one in a database, which several machines open from homes of their own, has it in the database. Does not
belong here: the storage's own id (`storage.identity`).
"""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from cm4ai_assets.errors import WrongStorageError
from cm4ai_assets.storage.identity import ensure_storage_id, storage_id
from cm4ai_assets.storage.store import Store

NOTE = "cm4ai_storage.json"
_KEY = "cm4ai_storage"  # in the table of single values that Dagster keeps for its daemons
_IN_DATABASE = "the database of CM4AI_DATABASE"


def bind(home: Path, store: Store) -> None:
    """Bind an instance of this machine to a storage, if it is bound to none.

    Raises:
        WrongStorageError: It is bound to another storage.
    """
    note = home / NOTE
    if note.exists():
        _refuse_other(note.read_text(), str(note), store)
    else:
        note.write_text(_note_of(store) + "\n")


def bind_shared(instance: dg.DagsterInstance, store: Store) -> None:
    """Bind an instance in a database to a storage, if it is bound to none. Only one process at a time may do it.

    Raises:
        WrongStorageError: It is bound to another storage.
    """
    if note := _shared_note(instance):
        _refuse_other(note, _IN_DATABASE, store)
    else:
        instance.daemon_cursor_storage.set_cursor_values({_KEY: _note_of(store)})


def require_bound(instance: dg.DagsterInstance, store: Store) -> None:
    """Refuse to write to a storage that is not the one of the instance. An instance that is bound to none may.

    Raises:
        WrongStorageError: It is bound to another storage.
    """
    if instance.is_ephemeral:
        return
    note = Path(instance.root_directory) / NOTE
    if shared := _shared_note(instance):
        _refuse_other(shared, _IN_DATABASE, store)
    elif note.exists():
        _refuse_other(note.read_text(), str(note), store)


def _note_of(store: Store) -> str:
    return json.dumps({"id": ensure_storage_id(store), "location": store.location("")})


def _shared_note(instance: dg.DagsterInstance) -> str | None:
    return instance.daemon_cursor_storage.get_cursor_values({_KEY}).get(_KEY)


def _refuse_other(note: str, where: str, store: Store) -> None:
    try:
        bound = json.loads(note)
        expected, location = bound["id"], bound["location"]
    except (ValueError, KeyError, TypeError) as error:
        raise WrongStorageError(f"{where} cannot be read.", remedy="Remove it; the next command writes it.") from error
    if storage_id(store) == expected:
        return
    if where == _IN_DATABASE:
        remedy = "Set CM4AI_STORAGE to that one, or CM4AI_DATABASE to another, empty database."
        where = f"in {where}"
    else:
        folder = Path(where).parent
        where = f"in {folder}"
        remedy = (
            "Set CM4AI_STORAGE to that one, or DAGSTER_HOME to a folder of its own. If that storage was emptied "
            f"on purpose, remove {folder} as well."
        )
    raise WrongStorageError(
        f"The Dagster instance {where} belongs to the storage {location}, not to {store.location('')}.", remedy=remedy
    )
