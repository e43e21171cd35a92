"""Progress of long work as sentences in the run's log, often enough to see it move and seldom enough to read."""

from __future__ import annotations

import time

from dagster import DagsterLogManager

from cm4ai_assets.archives.download import Progress
from cm4ai_assets.images.pixels import PassProgress

EVERY_SECONDS = 10.0


class _Log:
    def __init__(self, log: DagsterLogManager) -> None:
        self._log, self._told = log, time.monotonic()

    def _say(self, sentence: str, *, last: bool) -> None:
        now = time.monotonic()
        if last or now - self._told >= EVERY_SECONDS:
            self._told = now
            self._log.info(sentence)


class DownloadLog(_Log):
    """Bytes, rate and time left of a download."""

    def __call__(self, progress: Progress) -> None:
        """Tell, if it is time to."""
        share = progress.done / progress.total if progress.total else 1.0
        self._say(
            f"{progress.done / 1e6:,.1f} of {progress.total / 1e6:,.1f} MB ({share:.0%}), "
            f"{progress.rate / 1e6:,.1f} MB/s{_left(progress.seconds_left)}",
            last=progress.done >= progress.total,
        )


class PassLog(_Log):
    """Fields, images per second and time left of the pass over the pixels."""

    def __call__(self, progress: PassProgress) -> None:
        """Tell, if it is time to."""
        failed = f", {progress.fields_failed:,} left out" if progress.fields_failed else ""
        share = progress.fields_done / progress.fields_total if progress.fields_total else 1.0
        self._say(
            f"{progress.fields_done:,} of {progress.fields_total:,} fields ({share:.0%}){failed}, "
            f"{progress.images_per_second:,.0f} images/s{_left(progress.eta_seconds)}",
            last=progress.fields_done >= progress.fields_total,
        )


def _left(seconds: float | None) -> str:
    if seconds is None or seconds < 1:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f", {minutes} min {rest:02d} s left" if minutes else f", {rest} s left"
