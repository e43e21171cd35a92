"""A small picture of the sequencing runs: how many each channel has, by library.

Belongs here: drawing. Does not belong here: how it gets into a page, or what all pictures share (`drawing`).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.drawing import FAINT, GRID, INK, PAPER, centred, message, png
from cm4ai_assets.heavy import Image, ImageDraw

_SIDE, _LEFT, _TOP, _GAP = 26, 120, 46, 26
_PUBLIC, _CLOSED, _ABSENT = "#2a5fd0", "#a9c1f2", "#d62728"


def channel_map(runs: pl.DataFrame) -> bytes:
    """Runs of each channel, one panel per library: chips down, channels across.

    Dark: public; pale: embargoed or not listed; framed in red: a channel without a molecule file. A question mark where
    the runs of a sample are not named.
    """
    known = runs.drop_nulls(["batch", "library", "chip", "channel"])
    if known.is_empty():
        return message("No run of a known channel.")
    rows = known.select("batch", "chip").unique().sort("batch", "chip").rows()
    last, libraries = int(str(known["channel"].max())), sorted(known["library"].unique(), reverse=True)
    panel = _TOP + len(rows) * _SIDE + _GAP
    canvas = Image.new("RGB", (_LEFT + last * _SIDE + 12, panel * len(libraries)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, library in enumerate(libraries):
        top = number * panel + _TOP
        caption = f"{library}: runs per channel (dark: public, pale: closed, red: no molecule file)"
        centred(draw, (_LEFT + last * _SIDE / 2, top - 32), caption, FAINT)
        for channel in range(1, last + 1):
            centred(draw, (_LEFT + (channel - 0.5) * _SIDE, top - 10), str(channel))
        for line, (batch, chip) in enumerate(rows):
            centred(draw, (_LEFT / 2, top + (line + 0.5) * _SIDE), f"{batch} chip {chip}")
            own = known.filter(batch=batch, chip=chip, library=library)
            _line(draw, own, (_LEFT, top + line * _SIDE), last)
    return png(canvas)


def _line(draw: ImageDraw.ImageDraw, runs: pl.DataFrame, at: tuple[float, float], last: int) -> None:
    """The channels of one chip and library."""
    per_channel = {
        channel: (count, public, counted)
        for channel, count, public, counted in runs.group_by("channel")
        .agg(pl.col("run").count().alias("runs"), (pl.col("access") == "public").any(), pl.col("is_counted").first())
        .iter_rows()
    }
    for channel in range(1, last + 1):
        x, y = at[0] + (channel - 1) * _SIDE, at[1]
        count, public, counted = per_channel.get(channel, (None, False, None))
        fill = GRID if count is None else _PUBLIC if public else _CLOSED
        frame = _ABSENT if counted is False else PAPER
        draw.rectangle((x, y, x + _SIDE - 3, y + _SIDE - 3), fill=fill, outline=frame, width=2)
        if count is not None:
            centred(draw, (x + _SIDE / 2 - 1, y + _SIDE / 2 - 1), str(count or "?"), PAPER if public else INK)
