"""A real PostgreSQL server: made in about a second, without fsync, gone with the tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from cm4ai_assets_tests.processes import free_port

PASSWORD = (
    "pa-55-word"  # of no use to anybody: the server trusts who connects. It shows up where a URL is not redacted.
)
_SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "synchronous_commit": "off",
    "full_page_writes": "off", "max_connections": "100", "shared_buffers": "32MB", "log_min_messages": "fatal",
}  # fmt: skip


def binaries() -> Path | None:
    """The folder of `postgres` and `initdb`: Debian does not put them on the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return versions[-1] if versions else None


def _user() -> str | None:
    """Whom the server runs as: it refuses root."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class PostgresServer:
    """A server that can be stopped and started again, as at an upgrade."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder, self._bin, self._user = folder, binaries, _user()
        self.port, self._numbers = free_port(), itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        words = [binaries / "initdb", "-D", folder / "data", "-U", "cm4ai", "--auth=trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(words, check=True, user=self._user, stdout=subprocess.DEVNULL, cwd=folder)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://cm4ai:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        words = [self._bin / "postgres", "-D", self._folder / "data", "-p", str(self.port), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, user=self._user, stdout=log, stderr=log, cwd=self._folder)
        for _ in range(200):
            try:
                psycopg2.connect(self.url()).close()
            except psycopg2.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(self.log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it as an administrator does in a hurry ("fast shutdown"): every connection breaks."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def new_database(self) -> str:
        """An empty database of one's own; its URL."""
        name = f"test_{next(self._numbers)}"
        with closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server for this test process, started when the first test asks for it."""
    if (found := binaries()) is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    # Not below pytest's own folder, which is closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="cm4ai-postgres-"))
    if user := _user():
        shutil.chown(folder, user)
    server = PostgresServer(folder, found)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # nothing is to be kept
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres_server.new_database()
