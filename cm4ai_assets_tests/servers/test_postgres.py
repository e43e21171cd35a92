from __future__ import annotations

from contextlib import closing

import psycopg2

from cm4ai_assets_tests.servers.postgres import PostgresServer


def test_a_database_outlives_a_restart_and_connections_do_not(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    with closing(psycopg2.connect(url)) as connection:
        postgres_server.restart()
        with connection.cursor() as cursor:
            try:
                cursor.execute("SELECT 1")
            except psycopg2.OperationalError:
                pass
            else:
                raise AssertionError("it was cut")
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT seven FROM kept")
        assert cursor.fetchone() == (7,)
