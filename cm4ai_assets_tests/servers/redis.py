"""A real Redis server with a password: started in a moment, keeps nothing on disk, gone with the tests."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cm4ai_assets_tests.processes import free_port

PASSWORD = "re-d1s-word"  # of no use to anybody. It shows up where a URL is not redacted.


class RedisServer:
    """A server that can be stopped and started again. What it held is gone then: it keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        words = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--requirepass", PASSWORD]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*words, "--save", "", "--appendonly", "no"], stdout=log, stderr=log, cwd=self._folder
            )
        for _ in range(200):
            try:
                self.client().ping()
            except redis.ConnectionError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self._folder / "log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=60)
            self._process = None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for this test process, started when the first test asks for it."""
    if shutil.which("redis-server") is None:
        pytest.skip("no Redis server is installed (Debian: apt-get install redis-server)")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.stop()
