"""Agreement by a PostgreSQL database, among the processes of several machines.

A name that is held is an advisory lock of a connection of its own, which the server frees when the connection ends,
however it ends. Records and marks are rows of two small tables. The clock that counts is the database's.

Belongs here: what the protocol asks, in SQL. Does not belong here: keeping what is held over a restart (`holding`).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, TypeVar

from cm4ai_assets.coordination import database
from cm4ai_assets.coordination.holding import Held
from cm4ai_assets.coordination.protocol import Record, nothing
from cm4ai_assets.errors import DatabaseError

GRACE = 60.0
"""Seconds for which a mark must be missing before its process counts as dead. One that lives marks itself again within
a few seconds of a restart of the server."""

PATIENCE = 30.0
"""Seconds for which a database is waited for that has answered before."""

_TRIES = 3  # a table that lacks, a connection that broke, and once in earnest
_POLL = 0.2  # seconds between two tries
_MAKING = 0x636D34616932  # the advisory lock of who makes the tables
_TABLES = """
    CREATE TABLE IF NOT EXISTS cm4ai_records (name text PRIMARY KEY, record jsonb NOT NULL DEFAULT '{}');
    CREATE TABLE IF NOT EXISTS cm4ai_marks (name text PRIMARY KEY, key bigint NOT NULL, missing_since timestamptz)
"""
_MARK = """
    INSERT INTO cm4ai_marks (name, key) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET missing_since = NULL
"""
# A mark whose lock nobody holds is missing since the first look that saw it so. pg_locks shows a lock in two halves.
_LOOK = """
    WITH held AS (
        SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    UPDATE cm4ai_marks
    SET missing_since = CASE WHEN key IN (SELECT key FROM held) THEN NULL ELSE coalesce(missing_since, now()) END
    RETURNING name, coalesce(missing_since <= now() - make_interval(secs => %s), false)
"""
_T = TypeVar("_T")
_kept: list[Any] = []


class Postgres:
    """Advisory locks, and the tables `cm4ai_records` and `cm4ai_marks`, which are made when they are first needed.

    Args:
        url: The database. The user must be allowed to make tables there, as Dagster is.
        grace: Seconds for which a mark must be missing.
    """

    def __init__(self, url: str, *, grace: float = GRACE) -> None:
        self._url, self._grace = url, grace
        self._lock, self._process = threading.Lock(), 0
        self._connection: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({database.shown(self._url)!r})"

    @contextmanager
    def hold(
        self, names: Sequence[str], *, patience: float = inf, waiting: Callable[[], None] = nothing
    ) -> Iterator[str]:
        """See `Coordination.hold`.

        Raises:
            DatabaseError: The database does not answer.
        """
        held, until = Held(self._url), time.monotonic() + patience
        try:
            while (name := next((name for name in names if held.take(key_of(name), patience=PATIENCE)), None)) is None:
                if time.monotonic() >= until:
                    where = database.shown(self._url)
                    raise TimeoutError(f"{' and '.join(names)} in the database {where} is held by another process.")
                waiting()
                waiting = nothing
                time.sleep(_POLL)
            with held.watched(name):
                yield name
        finally:
            held.release()

    def read(self, name: str) -> tuple[Record, float]:
        """See `Coordination.read`."""

        def work(cursor: Any) -> tuple[Record, float]:  # noqa: ANN401 - psycopg2 has no types
            cursor.execute("SELECT record FROM cm4ai_records WHERE name = %s", (name,))
            row = cursor.fetchone()
            return _record(row[0] if row else {}), _now(cursor)

        return self._done(work)

    def change(self, name: str, how: Callable[[Record, float], Record]) -> tuple[Record, float]:
        """See `Coordination.change`."""

        def work(cursor: Any) -> tuple[Record, float]:  # noqa: ANN401
            cursor.execute("INSERT INTO cm4ai_records (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
            cursor.execute("SELECT record FROM cm4ai_records WHERE name = %s FOR UPDATE", (name,))
            stored, now = _record(cursor.fetchone()[0]), _now(cursor)
            record = how(stored, now)
            cursor.execute("UPDATE cm4ai_records SET record = %s WHERE name = %s", (json.dumps(record), name))
            return record, now

        return self._done(work)

    @contextmanager
    def mark(self, name: str) -> Iterator[None]:
        """See `Coordination.mark`. Several may bear the same mark: the lock below it is a shared one.

        Raises:
            DatabaseError: The database does not answer.
        """
        held, key = Held(self._url, shared=True), key_of(name)

        def note() -> None:
            self._done(lambda cursor: cursor.execute(_MARK, (name, key)))

        try:
            held.take(key)
            note()
            with held.watched(name, again=note):
                yield
        finally:
            with suppress(DatabaseError):  # then it counts as lost, and whoever looks finds that it was over
                self.forget(name)
            held.release()

    def lost(self) -> list[str]:
        """See `Coordination.lost`: missing at two looks that are `grace` apart."""

        def work(cursor: Any) -> list[str]:  # noqa: ANN401
            cursor.execute(_LOOK, (self._grace,))
            return sorted(name for name, is_lost in cursor.fetchall() if is_lost)

        return self._done(work)

    def forget(self, name: str) -> None:
        """See `Coordination.forget`."""
        self._done(lambda cursor: cursor.execute("DELETE FROM cm4ai_marks WHERE name = %s", (name,)))

    def _done(self, work: Callable[[Any], _T]) -> _T:
        """What `work` does with a cursor, in one transaction; once more where the connection broke or a table lacks."""
        driver = database.library()
        with self._lock:
            for _ in range(_TRIES):
                connection = self._connected()
                try:
                    with connection, connection.cursor() as cursor:
                        return work(cursor)
                except driver.errors.UndefinedTable:
                    _make_tables(connection)
                except (driver.OperationalError, driver.InterfaceError) as error:
                    connection.close()
                    self._connection, last = None, error
                except driver.Error as error:
                    raise database.unusable(self._url, error) from None
        raise database.unusable(self._url, last) from None

    def _connected(self) -> Any:  # noqa: ANN401
        """The connection of this process: one that was forked has its own."""
        if self._connection is None or self._process != os.getpid():
            patience = PATIENCE if self._process == os.getpid() else 0.0  # it has answered before
            _kept.append(self._connection)  # a parent's must not be closed: that would end the parent's session
            self._connection = database.connect(self._url, patience=patience)
            self._process = os.getpid()
        return self._connection


def key_of(name: str) -> int:
    """The number by which PostgreSQL knows a lock: 64 bits, with a sign."""
    return int.from_bytes(hashlib.sha256(f"cm4ai {name}".encode()).digest()[:8], signed=True)


def _make_tables(connection: Any) -> None:  # noqa: ANN401
    """Two processes that make the same table at once would fail, "if not exists" or not."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
        cursor.execute(_TABLES)


def _record(stored: object) -> Record:
    try:
        return {str(key): float(value) for key, value in dict(stored).items()}  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return {}


def _now(cursor: Any) -> float:  # noqa: ANN401
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
    return float(cursor.fetchone()[0])
