"""The Dagster instance of this project: how it is opened, and the release partitions it knows.

Belongs here: opening it safely beside other processes, dynamic partitions. Does not belong here: where it is and how it
is configured (`home`), runs (`launching`, `dead_runs`), and which storage it belongs to (`binding`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import filelock
from sqlalchemy import event
from sqlalchemy.engine import Engine

from cm4ai_assets.coordination import among
from cm4ai_assets.defs.binding import bind, bind_shared
from cm4ai_assets.defs.dead_runs import end_dead_runs
from cm4ai_assets.defs.home import prepare_home
from cm4ai_assets.defs.kept_events import keep_connections
from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.errors import InstanceHeldError
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

PATIENCE = 30.0  # seconds that another process may hold a database, or the making of the instance
Tell = Callable[[str], None]


@contextmanager
def open_instance(store: Store, tell: Tell = lambda _message: None) -> Iterator[dg.DagsterInstance]:
    """The instance that the UI and the daemon use too, bound to the storage, with the records of dead runs ended.

    Args:
        store: The storage that the instance is to belong to.
        tell: Takes a message for the person who waits, or who is to know of ended runs.

    Raises:
        ConfigurationError: DAGSTER_HOME cannot be used, or belongs to another storage.
        InstanceHeldError: Another process holds the instance for longer than `PATIENCE`.
    """
    home = prepare_home()
    with _made_by_one(home, tell):
        instance = _in_database(store) if Settings.from_env().database else _in_files(home, store, tell)
    with instance:
        ended = end_dead_runs(instance)
        if ended:
            tell(f"Ended the records of {len(ended)} runs whose process had died: {', '.join(ended)}.")
        yield instance


def _in_database(store: Store) -> dg.DagsterInstance:
    """The tables are made by one process of all machines: see `database`. So is the note of the storage."""
    instance = dg.DagsterInstance.get()
    with among(Path(instance.root_directory)).hold(["binding"], patience=PATIENCE):
        bind_shared(instance, store)
    return instance


def _in_files(home: Path, store: Store, tell: Tell) -> dg.DagsterInstance:
    bind(home, store)
    _wait_for_databases(home, tell)
    instance = dg.DagsterInstance.get()
    # Dagster makes each database when it is first used. Two processes that do so at once leave two schema heads.
    keep_connections(instance)
    instance.get_runs_count()
    instance.get_dynamic_partitions(RELEASE)
    instance.all_instigator_state()
    return instance


@contextmanager
def _made_by_one(home: Path, tell: Tell) -> Iterator[None]:
    """Only one process at a time makes or opens the instance."""
    lock = filelock.FileLock(home / ".opening.lock")
    try:
        lock.acquire(timeout=1)
    except filelock.Timeout:
        tell(f"Waiting at most {PATIENCE:.0f} s for another process that opens {home}.")
        try:
            lock.acquire(timeout=PATIENCE)
        except filelock.Timeout as error:
            raise InstanceHeldError(
                f"Another process has been opening the Dagster instance in {home} for {PATIENCE:.0f} s.",
                remedy=f"End it (`fuser {lock.lock_file}` names it), then run again.",
            ) from error
    try:
        yield
    finally:
        lock.release()


def _wait_for_databases(home: Path, tell: Tell) -> None:
    """Wait while another process holds a database of the instance: with a message, and not for ever."""
    until, announced = time.monotonic() + PATIENCE, False
    while locked := [path for path in sorted(home.glob("*/*.db")) if _is_locked(path)]:
        if not announced:
            tell(f"Waiting at most {PATIENCE:.0f} s: another process holds {locked[0]}.")
            announced = True
        if time.monotonic() > until:
            raise InstanceHeldError(
                f"Another process has held {locked[0]} for {PATIENCE:.0f} s (database is locked).",
                remedy=f"End it (`fuser {locked[0]}` names it), then run again.",
            )
        time.sleep(0.5)


def _is_locked(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=0.5)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    return False


@event.listens_for(Engine, "connect")
def _be_patient(connection: object, _record: object) -> None:
    """Let SQLite wait as long for a lock that another process takes later. Dagster has no setting for it."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")


def sync_partitions(instance: dg.DagsterInstance, registry: ReleaseRegistry) -> list[str]:
    """Make every registered release a partition; the keys that were new to the instance. None is ever removed."""
    known = set(instance.get_dynamic_partitions(RELEASE))
    new = [record.key for record in registry.all() if record.key not in known]
    if new:
        instance.add_dynamic_partitions(RELEASE, new)
    return new
