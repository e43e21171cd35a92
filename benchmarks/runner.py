"""One benchmark after the other, each in a process of its own, so that one that fails stops no other.

Belongs here: which modules are benchmarks, their processes, what is known of one that fails. Does not belong here:
what is done with what they find (`__main__`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.ratios import Lost, Ratio

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
KEPT_LINES = 60
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Result:
    """What a benchmark found. One that failed has a single ratio without value, and the end of what it printed."""

    name: str
    ratios: list[Ratio]
    inputs: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    output: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        failed = {"output": self.output} if self.output else {}
        ratios = [ratio.as_json() for ratio in self.ratios]
        return {"inputs": self.inputs, "ratios": ratios, "facts": self.facts, "seconds": self.seconds, **failed}


def names(folder: Path = HERE) -> list[str]:
    """The benchmarks: modules that ask for the options that every benchmark has."""
    return [path.stem for path in sorted(folder.glob("*.py")) if f'arguments("{path.stem}"' in path.read_text()]


def run(name: str, words: Sequence[str], limit_s: float, say: Callable[[str], None]) -> Result:
    """Run one benchmark; `say` gets its lines as it prints them, but no traceback."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(found), *words]
        with _process(command, folder, limit_s) as (process, expired):
            last: deque[str] = deque(maxlen=KEPT_LINES)
            quiet = False
            for line in process.stdout or ():
                last.append(line.rstrip())
                quiet = quiet or TRACEBACK in line
                if not quiet and line.strip():
                    say(line.rstrip())
        seconds = round(time.monotonic() - started, 1)
        if found.exists():
            written = json.loads(found.read_text())
            ratios = [Ratio.from_json(one) for one in written["ratios"]]
            return Result(name, ratios, written["inputs"], written["facts"], seconds)
    reason = f"not done after {limit_s:.0f} s" if expired.is_set() else (last or ["it printed nothing"])[-1]
    return Result(name, [Ratio("(the benchmark)", None, lost=Lost(reason, True))], seconds=seconds, output=list(last))


@contextmanager
def _process(
    command: list[str], scratch: str, limit_s: float
) -> Iterator[tuple[subprocess.Popen[str], threading.Event]]:
    """A process that is ended with all that it started: when its time is up, and whatever happens here.

    What it left in `scratch` is for the caller to remove: killed, it removes nothing.
    """
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": scratch},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    expired = threading.Event()

    def end() -> None:
        if process.poll() is None:
            expired.set()
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit_s, end)
    timer.start()
    try:
        yield process, expired
        process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
