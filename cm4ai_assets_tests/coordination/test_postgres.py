"""What only a database can do to those who agree by it: not answer, refuse, restart."""

from __future__ import annotations

import re
import threading
import time
from contextlib import closing, suppress

import psycopg2
import pytest

from cm4ai_assets.coordination import Postgres, database, holding, postgres
from cm4ai_assets.errors import ConfigurationError, DatabaseError
from cm4ai_assets_tests.servers.postgres import PASSWORD, PostgresServer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "BEAT", 0.1)


def until(condition: object) -> None:
    assert callable(condition)
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never came")


def is_free(url: str, name: str) -> bool:
    with suppress(TimeoutError), Postgres(url).hold([name], patience=0):
        return True
    return False


def test_a_database_that_does_not_answer_is_one_line_without_the_password() -> None:
    url = f"postgresql://me:{PASSWORD}@127.0.0.1:9/x"
    with pytest.raises(DatabaseError, match=re.escape("The database 127.0.0.1:9/x of CM4AI_DATABASE")) as raised:
        Postgres(url).read("h")
    assert PASSWORD not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert PASSWORD not in repr(Postgres(url))


def test_what_the_server_says_is_shown_without_the_password_that_it_repeats() -> None:
    error = database.unusable(f"postgresql://me:{PASSWORD}@db/x", ValueError(f"no such user\nme {PASSWORD}"))
    assert "no such user me [hidden]" in str(error)


def test_so_is_one_that_refuses(postgres_server: PostgresServer) -> None:
    with pytest.raises(DatabaseError, match='database "absent" does not exist'):
        Postgres(postgres_server.url("absent")).lost()


@pytest.mark.parametrize("option", ["?nonsense=1", "?sslmode"])
def test_an_option_that_is_none_does_not_repeat_the_url(option: str) -> None:
    with pytest.raises(ConfigurationError, match="an option that PostgreSQL does not know") as raised:
        database.connect(f"postgresql://me:{PASSWORD}@127.0.0.1:9/x{option}")
    assert PASSWORD not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_lock_is_taken_again_after_a_restart(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    with Postgres(url).hold(["a"]):
        assert not is_free(url, "a")
        postgres_server.restart()
        until(lambda: not is_free(url, "a"))
    assert is_free(url, "a")


def test_who_waits_for_a_lock_goes_on_waiting_over_a_restart(postgres_server: PostgresServer) -> None:
    url, got = postgres_server.new_database(), threading.Event()

    def wait() -> None:
        with Postgres(url).hold(["a"]):
            got.set()

    with Postgres(url).hold(["a"]):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.3)
        with closing(psycopg2.connect(postgres_server.url())) as connection:
            cut(connection, url, but_of="the holder")
        time.sleep(0.5)
        assert not got.is_set()
    assert got.wait(10)
    waiter.join()


def cut(connection: object, url: str, but_of: str) -> None:
    """Break every connection to a database except the oldest, which holds the lock."""
    assert isinstance(connection, psycopg2.extensions.connection), but_of
    name = url.rpartition("/")[2]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            " AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')",
            (name,),
        )
        assert cursor.rowcount >= 1


def test_records_outlive_a_restart_in_their_midst(postgres_server: PostgresServer) -> None:
    agreed = Postgres(postgres_server.new_database())
    agreed.change("h", lambda _record, _now: {"x": 1})
    postgres_server.restart()
    assert agreed.change("h", lambda record, _now: {"x": record["x"] + 1})[0] == {"x": 2}


def test_a_living_run_is_not_dead_because_the_server_restarted(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    observer = Postgres(url, grace=1.0)
    with Postgres(url).mark("run-1"):
        postgres_server.restart()
        for _ in range(15):
            assert observer.lost() == []
            time.sleep(0.1)
    assert observer.lost() == []


def test_one_that_is_missing_once_is_not_lost_yet(database: str) -> None:
    patient, hasty = Postgres(database, grace=60.0), Postgres(database, grace=0.0)
    patient.lost()  # makes the tables
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO cm4ai_marks (name, key) VALUES ('run-1', 1)")
    assert patient.lost() == []
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT missing_since < now() FROM cm4ai_marks")
        assert cursor.fetchone() == (True,)
    assert patient.lost() == []
    assert hasty.lost() == ["run-1"]


def test_the_clock_of_the_database_counts(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert Postgres(database).read("h")[1] > 1.7e9


def test_a_forked_process_does_not_use_the_connection_of_its_parent(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed = Postgres(database)
    agreed.read("h")
    before = agreed._connection
    monkeypatch.setattr(postgres.os, "getpid", lambda: -1)
    agreed.read("h")
    assert agreed._connection is not before
    assert before in postgres._kept  # not closed: it is the parent's
    assert not before.closed
