"""Progress of long work: sentences in the run's log, and a bar where a person watches a terminal.

Belongs here: how often and in which words progress is shown. Does not belong here: measuring it (`transfer.download`,
`images.pixels`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from dagster import DagsterLogManager

from cm4ai_assets.cells.passes import CellsProgress
from cm4ai_assets.heavy import rich_bars
from cm4ai_assets.images.pixels import PassProgress
from cm4ai_assets.perturbseq.passes import PassProgress as CountsProgress
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.transfer.download import Progress as DownloadProgress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

EVERY_SECONDS = 10.0
_terminal: ContextVar[Progress | None] = ContextVar("terminal", default=None)


@contextmanager
def bars_on(console: Console) -> Iterator[None]:
    """Show a bar for each long piece of work of this process, if the console is a terminal."""
    if not console.is_terminal:
        yield
        return
    columns = (
        rich_bars.TextColumn("{task.description}"),
        rich_bars.BarColumn(),
        rich_bars.TaskProgressColumn(),
        rich_bars.TextColumn("{task.fields[brief]}"),
        rich_bars.TimeRemainingColumn(compact=True),
    )
    with rich_bars.Progress(*columns, console=console, transient=True) as bars:
        token = _terminal.set(bars)
        try:
            yield
        finally:
            _terminal.reset(token)


class _Log:
    """Tells the log seldom enough to read, and the terminal's bar each time."""

    what = ""

    def __init__(self, log: DagsterLogManager) -> None:
        self._log, self._shown_at = log, time.monotonic()
        self._bar: TaskID | None = None

    def _tell(self, done: float, total: float, sentence: str, brief: str) -> None:
        last = done >= total
        self._show(done, total, brief, last=last)
        now = time.monotonic()
        if last or now - self._shown_at >= EVERY_SECONDS:
            self._shown_at = now
            self._log.info(sentence)

    def _show(self, done: float, total: float, brief: str, *, last: bool) -> None:
        bars = _terminal.get()
        if bars is None:
            return
        if self._bar is None:
            self._bar = bars.add_task(self.what, total=total, brief=brief)
        bars.update(self._bar, completed=done, total=total, brief=brief, visible=not last)


class DownloadLog(_Log):
    """Bytes, rate and time left of a download."""

    what = "download"

    def __call__(self, progress: DownloadProgress) -> None:
        """Tell, if it is time to."""
        share = progress.done / progress.total if progress.total else 1.0
        counts = f"{size_in_words(progress.done)} of {size_in_words(progress.total)}"
        rate = f"{size_in_words(round(progress.rate))}/s"
        self._tell(
            progress.done,
            progress.total,
            f"{counts} ({share:.0%}), {rate}{_left(progress.seconds_left)}",
            f"{counts}, {rate}",
        )


class PassLog(_Log):
    """Fields, images per second and time left of the pass over the pixels."""

    what = "images"

    def __call__(self, progress: PassProgress) -> None:
        """Tell, if it is time to."""
        failed = f", {progress.fields_failed:,} left out" if progress.fields_failed else ""
        share = progress.fields_done / progress.fields_total if progress.fields_total else 1.0
        counts = f"{progress.fields_done:,} of {progress.fields_total:,} fields"
        rate = f"{progress.images_per_second:,.0f} images/s"
        self._tell(
            progress.fields_done,
            progress.fields_total,
            f"{counts} ({share:.0%}){failed}, {rate}{_left(progress.eta_seconds)}",
            f"{counts}{failed}, {rate}",
        )


class CellsLog(_Log):
    """Fields, nuclei and time left of the pass over a tensor."""

    what = "cells"

    def __call__(self, progress: CellsProgress) -> None:
        """Show, if it is time to."""
        share = progress.fields_done / progress.fields_total if progress.fields_total else 1.0
        counts = f"{progress.fields_done:,} of {progress.fields_total:,} fields"
        rate = f"{progress.fields_per_second:,.1f} fields/s"
        self._tell(
            progress.fields_done,
            progress.fields_total,
            f"{counts} ({share:.0%}), {progress.nuclei:,} nuclei, {rate}{_left(progress.eta_seconds)}",
            f"{counts}, {rate}",
        )


class CountsLog(_Log):
    """Stored values, their rate and time left of the pass over counts."""

    what = "counts"

    def __call__(self, progress: CountsProgress) -> None:
        """Tell, if it is time to."""
        rate = progress.read / progress.seconds if progress.seconds else 0.0
        left = (progress.stored - progress.read) / rate if rate else None
        share = progress.read / progress.stored if progress.stored else 1.0
        counts = f"{progress.read / 1e6:,.1f} of {progress.stored / 1e6:,.1f} million stored values"
        brief = f"{rate / 1e6:,.1f} million/s"
        self._tell(
            progress.read, progress.stored, f"{counts} ({share:.0%}), {brief}{_left(left)}", f"{counts}, {brief}"
        )


def _left(seconds: float | None) -> str:
    if seconds is None or seconds < 1:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f", {minutes} min {rest:02d} s left" if minutes else f", {rest} s left"
