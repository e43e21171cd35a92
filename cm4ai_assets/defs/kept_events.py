"""The event log of an instance in files, with its connections kept open.

Dagster makes an engine and a connection for every event that it writes or reads, and closing the last connection of a
SQLite file writes its journal back. That costs 25 ms of a processor per event, of which 15 are spent on opening and
closing (decision 48). It also reads all of its migrations, some ninety scripts, for every file that it makes or opens;
each run has a file of its own. And it asks whether a table exists before it writes to it. Belongs here: doing each
once. Does not belong here: opening the instance (`instance`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

_read = ScriptDirectory.from_config
_migrations: dict[str | None, ScriptDirectory] = {}


def _read_once(config: Config) -> ScriptDirectory:
    """Read once by a process: the databases of runs, events and schedules share them. Alembic has no setting for it."""
    place = config.get_main_option("script_location")
    if place not in _migrations:
        _migrations[place] = _read(config)
    return _migrations[place]


setattr(ScriptDirectory, "from_config", _read_once)  # noqa: B010 - mypy takes it for a method
_KEPT = 8  # files: the index, and those of the runs that were used last


class KeptEventLog(SqliteEventLogStorage):
    """Dagster's own event log over the same files. What is written, and when, is the same; only opening is not."""

    def __init__(self, base_dir: str) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table. One that it has stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None) or create_engine(
            self.conn_string_for_shard(shard),
            poolclass=QueuePool,
            pool_size=1,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        self._engines[shard] = engine
        if len(self._engines) > _KEPT:
            self._engines.popitem(last=False)[1].dispose()
        return engine

    def dispose(self) -> None:
        """Close what was kept open."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()


def keep_connections(instance: dg.DagsterInstance) -> None:
    """Let the event log of an instance keep its connections, where it is Dagster's own in files."""
    log = instance.event_log_storage
    if type(log) is SqliteEventLogStorage:
        kept = KeptEventLog(log._base_dir)  # noqa: SLF001 - Dagster has no setting for it
        kept.register_instance(instance)
        instance._event_storage = kept  # noqa: SLF001
