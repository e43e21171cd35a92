"""A Dask cluster on loopback: a scheduler and workers, each a process of its own, that can be killed and started again.

Importing Dask and this package takes seconds. One process does it once, and forks the others before it has threads.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cm4ai_assets.settings import PROJECT

_WAIT = 60.0


@dataclass(frozen=True)
class Process:
    """One process of the cluster."""

    pid: int

    def kill(self) -> None:
        """As a machine that loses power: kill -9. Nothing happens if it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Launcher:
    """The process that forks all others.

    Args:
        folder: Where logs and the workers' own files are.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=PROJECT,
            )

    @property
    def log(self) -> str:
        """What all processes wrote."""
        return (self._folder / "log").read_text(errors="replace")

    def launch(self, what: str, port: int, environ: Mapping[str, str]) -> Process:
        """Fork a `scheduler` or a `worker`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"what": what, "port": port, "folder": str(self._folder), "environ": dict(environ)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Process(int(self._process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_WAIT)


class DaskCluster:
    """A scheduler and its workers.

    Args:
        launcher: Forks them.
        environ: Variables that workers have beside those of the launcher.
        workers: How many there are at first.
    """

    def __init__(self, launcher: Launcher, environ: Mapping[str, str], *, workers: int = 3) -> None:
        self._launcher, self._environ = launcher, dict(environ)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.workers: list[Process] = []
        self.start(workers)

    def start(self, workers: int) -> None:
        """Start the scheduler, under the address that it always has, and workers."""
        self.scheduler = self._launcher.launch("scheduler", self._port, {})
        _until_answered(self._port)
        for _ in range(workers):
            self.add_worker()

    def add_worker(self, **environ: str) -> Process:
        """Start a worker of one thread; TESTS_FOLDER is the folder in which it is, TESTS_OTHER_NUMPY what it states."""
        self.workers.append(self._launcher.launch("worker", self._port, {**self._environ, **environ}))
        return self.workers[-1]

    def close(self) -> None:
        """Kill all of it."""
        for process in (*self.workers, self.scheduler):
            process.kill()
        self.workers.clear()


@contextmanager
def dask_cluster(launcher: Launcher, folder: Path, *, workers: int = 3, **environ: str) -> Iterator[DaskCluster]:
    """A cluster whose workers have their storage in a folder, or where `environ` says."""
    variables = {"CM4AI_STORAGE": str(folder / "storage"), "CM4AI_SCRATCH": str(folder / "workers"), **environ}
    cluster = DaskCluster(launcher, variables, workers=workers)
    try:
        yield cluster
    finally:
        cluster.close()


def _until_answered(port: int) -> None:
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _launcher() -> None:
    import distributed  # noqa: F401, PLC0415
    import numpy as np  # noqa: PLC0415

    from cm4ai_assets import software  # noqa: PLC0415
    from cm4ai_assets.images.averaging import area_average  # noqa: PLC0415
    from cm4ai_assets.images.counting import histogram  # noqa: PLC0415

    software.parts()
    flat = np.zeros((64, 64), np.uint8)
    histogram(area_average(flat, 32))  # compiled once, for all workers
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        if pid := os.fork():
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
            continue
        os.environ.update(order["environ"])
        _serve(order["what"], order["port"], order["folder"])
        os._exit(0)


def _serve(what: str, port: int, folder: str) -> None:
    import asyncio  # noqa: PLC0415

    import dask  # noqa: PLC0415
    from distributed import Scheduler, Worker  # noqa: PLC0415

    from cm4ai_assets import software  # noqa: PLC0415

    if other := os.environ.get("TESTS_OTHER_NUMPY"):
        stated = {**software.parts(), "numpy": other}
        software.parts = lambda: stated  # type: ignore[assignment]
    if elsewhere := os.environ.get("TESTS_FOLDER"):
        os.chdir(elsewhere)  # paths below /proc/self/cwd then lead where they lead on no other "machine"
    dask.config.set({"distributed.worker.daemon": False, "distributed.scheduler.allowed-failures": 2})

    async def serve() -> None:
        server = (
            Scheduler(host="127.0.0.1", port=port, dashboard=False)
            if what == "scheduler"
            else Worker(f"tcp://127.0.0.1:{port}", nthreads=1, host="127.0.0.1", local_directory=folder, memory_limit=0)
        )
        async with server:
            await server.finished()

    asyncio.run(serve())


if __name__ == "__main__":
    _launcher()
