"""Making an export: parts that are not there yet, in a few threads, and at the end what the export says of itself.

Belongs here: the order of work, interruption and progress. Does not belong here: what a part is (the formats), and its
name on the disk (`folder`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cm4ai_assets.exports.folder import ExportFolder
from cm4ai_assets.exports.parts import Part, Plan
from cm4ai_assets.exports.provenance import Origin, readme
from cm4ai_assets.storage.disk import require_space
from cm4ai_assets.threads import cores

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is to do, and what is counted; from one thread at a time."""

_README = "README.md"
# Encoding images takes a core each; what is gained beyond four is lost to the disk.
_THREADS = min(4, cores())


@dataclass(frozen=True)
class Made:
    """What an export came to.

    Attributes:
        folder: Where it is.
        parts: Its parts.
        kept: Those of them that stood there before.
        counted: What the parts hold, in words: "1,024 fields".
        license: The licence of the data.
    """

    folder: Path
    parts: int
    kept: int
    counted: str
    license: str


def make(plan: Plan, folder: Path, origin: Origin, progress: Progress = lambda _done, _total, _unit: None) -> Made:
    """Write an export, or go on with one.

    Args:
        plan: What it will be.
        folder: Where: a new or empty folder, or the one that an interrupted run of the same export left.
        origin: What it is made from.
        progress: See `Progress`.

    Raises:
        ConfigurationError: The folder holds something else.
        NoSpaceError: The disk is full, or will be.
    """
    with ExportFolder(folder, plan.identity, named_by=plan.named_by) as place:
        missing = [part for part in plan.parts if not place.has(part)]
        if missing or not all(map(place.has, plan.closing)):
            place.record({}, complete=False)  # an earlier run may have said that all is there
        require_space({folder: plan.room * len(missing) // max(1, len(plan.parts))}, named_by=plan.named_by)
        _write_all(missing, place, _Counter(plan, missing, progress))
        for part in plan.closing:
            with place.writing(part) as path:
                part.write(path, lambda: None)
        place.put(_README, readme(plan, origin).encode())
        place.record(origin.as_json(plan), complete=True)
    counted = f"{sum(part.ticks for part in plan.parts):,} {plan.unit}"
    return Made(folder, len(plan.parts), len(plan.parts) - len(missing), counted, origin.license)


class _Counter:
    """Counts the ticks of all threads."""

    def __init__(self, plan: Plan, missing: Iterable[Part], progress: Progress) -> None:
        self._total, self._unit = sum(part.ticks for part in plan.parts), plan.unit
        self._done = self._total - sum(part.ticks for part in missing)
        self._progress, self._lock = progress, threading.Lock()
        self.stopped = threading.Event()
        progress(self._done, self._total, self._unit)

    def tick(self) -> None:
        if self.stopped.is_set():
            raise CancelledError
        with self._lock:
            self._done += 1
            self._progress(self._done, self._total, self._unit)


def _write_all(parts: Iterable[Part], place: ExportFolder, counter: _Counter) -> None:
    """Write parts in threads, few at a time; if one fails or a person interrupts, the others end at once."""

    def write(part: Part) -> None:
        with place.writing(part) as path:
            part.write(path, counter.tick)

    waiting, running = iter(parts), deque[Future[None]]()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            running.extend(pool.submit(write, part) for part in islice(waiting, 4 * _THREADS))
            while running:
                running.popleft().result()
                running.extend(pool.submit(write, part) for part in islice(waiting, 1))
        except BaseException:
            counter.stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
