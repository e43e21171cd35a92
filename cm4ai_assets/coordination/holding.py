"""An advisory lock that is held over a restart of the server: the connection that has it is watched, and made again.

When the server restarts or the way to it breaks, its locks are gone at once. Who held one goes on, because nothing
becomes wrong by that, and takes it again as soon as the server answers. Belongs here: that connection and its watch.
Does not belong here: which lock means what (`postgres`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cm4ai_assets.coordination import database
from cm4ai_assets.coordination.protocol import nothing
from cm4ai_assets.errors import DatabaseError

if TYPE_CHECKING:
    import psycopg2.extensions

BEAT = 5.0
"""Seconds between two looks at the connection."""

_log = logging.getLogger(__name__)


class Held:
    """One lock, or none yet, and the connection that it lives in.

    Args:
        url: The database.
        shared: Others may hold the same lock, if they share it too.
    """

    def __init__(self, url: str, *, shared: bool = False) -> None:
        self._url, self._key = url, 0
        self._take = f"SELECT pg_try_advisory_lock{'_shared' if shared else ''}(%s)"
        self._connection: psycopg2.extensions.connection | None = None
        self._over = threading.Event()

    def take(self, key: int, *, patience: float = 0.0) -> bool:
        """Try once to take a lock; whether it was free. A connection that broke is made again.

        Raises:
            DatabaseError: The database did not answer within the patience.
        """
        self._key = key
        if self._connection is None:
            self._connection = database.connect(self._url)
        elif not self._answers():
            self._drop()
            self._connection = database.connect(self._url, patience=patience)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._take, (key,))
                return bool(cursor.fetchone()[0])
        except database.library().Error as error:
            raise database.unusable(self._url, error) from None

    @contextmanager
    def watched(self, name: str, again: Callable[[], object] = nothing) -> Iterator[None]:
        """Keep a taken lock, taking it again whenever the connection has broken; `again` is called then."""
        watch = threading.Thread(target=self._watch, args=(name, again), name=f"keeps {name}", daemon=True)
        watch.start()
        try:
            yield
        finally:
            self._over.set()
            watch.join(timeout=2)

    def release(self) -> None:
        """Let go, so that the next one finds it free at once, and close the connection."""
        self._over.set()
        with suppress(database.library().Error):
            if self._connection is not None:
                with self._connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock_all()")
        self._drop()

    def _watch(self, name: str, again: Callable[[], object]) -> None:
        is_lost = False
        while not self._over.wait(BEAT):
            if not is_lost and self._answers():
                continue
            if not is_lost:
                _log.warning("The connection to %s broke. Going on, and taking the lock %s again.", self._shown(), name)
            is_lost = not self._took_again(again)
            if not is_lost:
                _log.info("The lock %s in %s is held again.", name, self._shown())

    def _took_again(self, again: Callable[[], object]) -> bool:
        """One try; nobody waits for it. Where another process was quicker, that one has it until it ends."""
        try:
            if not self.take(self._key):
                return False
            again()
        except DatabaseError:
            return False
        if self._over.is_set():  # it was let go meanwhile
            self._drop()
        return True

    def _answers(self) -> bool:
        try:
            if self._connection is None:
                return False
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except database.library().Error:
            return False
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(database.library().Error):
                connection.close()

    def _shown(self) -> str:
        return database.shown(self._url)
