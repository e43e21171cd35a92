"""Processes that tests start: nothing of them is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress


def end_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End whatever a process has started and left, if it was started in a session of its own.

    A run goes on when the UI that launched it has ended. One whose archive has gone waits for minutes to ask again.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
