"""Sides that take turns, round after round, each in a fresh process.

Belongs here: the turns, the processes, and which side is left out because its peer is absent. Does not belong here:
what a side does (each benchmark), what follows from it (`ratios`).

A busy minute hits all sides of a round. A side whose process fails is left out from then on and reported as failed; the
others go on.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmarks.ratios import Findings, Lost, Target

Run = TypeVar("Run")


class SideFailedError(Exception):
    """The process of a side ended with an error; the text is the last line that it wrote."""


@dataclass
class Turns(Generic[Run]):
    """The runs of each side, and the sides that have none."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    lost: dict[str, Lost] = field(default_factory=dict)

    def compare(
        self,
        findings: Findings,
        name: str,
        sides: tuple[str, str],
        rate: Callable[[Run], float],
        target: Target | None = None,
    ) -> None:
        """Add the first side's rate over the second's; where one is lost, that."""
        for side in sides:
            if side in self.lost:
                findings.without(name, self.lost[side], target)
                return
        ours, theirs = ([rate(run) for run in self.runs[side]] for side in sides)
        findings.rates(name, ours, theirs, target)


def in_turn(
    sides: Mapping[str, Callable[[], Run]],
    rounds: int,
    said: Callable[[Run], str],
    needs: Mapping[str, tuple[str, ...]] | None = None,
) -> Turns[Run]:
    """Run each side once a round.

    Args:
        sides: What one run of a side is.
        rounds: How often.
        said: What is printed of a run, while the others wait.
        needs: Modules or programs that a side cannot do without.
    """
    turns: Turns[Run] = Turns()
    for side in sides:
        if missing := [name for name in (needs or {}).get(side, ()) if not available(name)]:
            turns.lost[side] = Lost(f"{' and '.join(missing)} not installed", failed=False)
            print(f"{side}: peer absent, {turns.lost[side].reason}", flush=True)
    for number in range(rounds):
        for side, run in sides.items():
            if side in turns.lost:
                continue
            try:
                made = run()
            except SideFailedError as error:
                turns.lost[side] = Lost(str(error), failed=True)
                print(f"round {number + 1}  {side:18s} FAILED: {error}", flush=True)
                continue
            turns.runs.setdefault(side, []).append(made)
            print(f"round {number + 1}  {side:18s} {said(made)}", flush=True)
    return turns


def available(name: str) -> bool:
    """Whether there is a module or a program of this name."""
    return shutil.which(name) is not None or importlib.util.find_spec(name) is not None


def child(module: str, *words: object) -> dict[str, Any]:
    """What a fresh process of a benchmark prints as JSON in its last line.

    Raises:
        SideFailedError: It ended with an error.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise SideFailedError((done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def memory_mb(kind: str = "VmHWM") -> float:
    """Megabytes of this process as the kernel counts them: the peak, or with VmRSS those of now."""
    found = Path(f"/proc/{os.getpid()}/status").read_text().split(f"{kind}:")[1].split()[0]
    return int(found) / 1024
