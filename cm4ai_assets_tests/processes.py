"""Processes that tests start: nothing of them is left behind, and none takes the port of another."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress


def end_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End whatever a process has started and left, if it was started in a session of its own.

    A run goes on when the UI that launched it has ended. One whose archive has gone waits for minutes to ask again.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
