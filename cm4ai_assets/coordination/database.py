"""Connections to the PostgreSQL database that several machines share, and what it means when there is none.

Belongs here: connecting, patiently or not, and errors that show no password. Does not belong here: what is kept in the
database (`postgres`, and Dagster's own tables).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cm4ai_assets.errors import ConfigurationError, DatabaseError

if TYPE_CHECKING:
    import psycopg2.extensions

# Both ends notice within a minute that the other is gone without a word, as when a machine loses its power.
_CLIENT = {
    "application_name": "cm4ai", "connect_timeout": 10,
    "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 50_000,
}  # fmt: skip
_POLL = 0.5  # seconds between two tries
_SERVER = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"


def connect(url: str, *, patience: float = 0.0) -> psycopg2.extensions.connection:
    """A new connection, in which every statement stands for itself (autocommit). What the URL says of it wins.

    Args:
        url: `postgresql://user:password@host:port/database`, with libpq's options behind a question mark.
        patience: Seconds for which a server that does not answer is asked again: it may be restarting.

    Raises:
        ConfigurationError: The library is not installed, or libpq does not understand the URL.
        DatabaseError: Nobody answers there, or refuses.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return _connected(url)
        except DatabaseError:
            if time.monotonic() >= until:
                raise
            time.sleep(_POLL)


def _connected(url: str) -> psycopg2.extensions.connection:
    driver = library()
    try:
        connection: psycopg2.extensions.connection = driver.connect(**{**_CLIENT, **_parsed(url)})
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(_SERVER)
    except driver.Error as error:
        raise unusable(url, error) from None
    return connection


def library() -> Any:  # noqa: ANN401 - a module that is optional
    """psycopg2, the one that Dagster uses too.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        import psycopg2  # noqa: PLC0415 - optional
        import psycopg2.errors  # noqa: PLC0415
        import psycopg2.extensions  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "CM4AI_DATABASE is set, and psycopg2 is not installed.",
            remedy="Run `pip install 'cm4ai_assets[postgres]'`.",
        ) from error
    return psycopg2


def shown(url: str) -> str:
    """Which database a URL names, without the password: host, port and name."""
    parts = _parsed(url)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def unusable(url: str, error: Exception) -> DatabaseError:
    """An error of libpq as one of ours: where, and the server's words on one line."""
    said = " ".join(str(error).split())
    if password := _parsed(url).get("password"):
        said = said.replace(password, "[hidden]")
    return DatabaseError(
        f"The database {shown(url)} of CM4AI_DATABASE cannot be used: {said}",
        remedy="Look whether the server runs and lets this machine and user in, then run again.",
    )


def _parsed(url: str) -> dict[str, str]:
    driver = library()
    try:
        found: dict[str, str] = driver.extensions.parse_dsn(url)
    except driver.ProgrammingError:  # whose text repeats the URL
        raise ConfigurationError(
            "CM4AI_DATABASE has an option that PostgreSQL does not know, or a character that must be percent-encoded.",
            remedy="Write it as postgresql://user:password@host:5432/database; in a password @ is %40, / is %2F.",
        ) from None
    return found
