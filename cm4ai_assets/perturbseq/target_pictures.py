"""Small pictures of perturbed genes: the knock-down waterfall, and cells per target.

Belongs here: drawing. Does not belong here: choosing what to show, and what all pictures share (`drawing`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from cm4ai_assets.drawing import FAINT, GRID, INK, PAPER, centred, font, message, png
from cm4ai_assets.heavy import Image, ImageDraw, np

_LINE, _BAND, _BAR = "#2a5fd0", "#c9d8f7", "#2a5fd0"
_LEFT, _TOP, _BOTTOM = 56, 14, 44
_LOWEST: Final = -0.5
"""Knock-down at the foot of the waterfall; what rose further is drawn there."""


def waterfall(targets: pl.DataFrame, *, width: int = 640, height: int = 280) -> bytes:
    """The knock-down of every target, strongest first, with its 95 % interval as a band."""
    rows = targets.filter(pl.col("knockdown").is_not_null(), ~pl.col("is_control")).sort("knockdown", descending=True)
    if rows.is_empty():
        return message("No knock-down to show.")
    canvas, draw = _canvas(width, height)
    for share in (-0.5, 0.0, 0.5, 1.0):
        y = _level(share, height)
        draw.line([(_LEFT, y), (_LEFT + width, y)], fill=INK if share == 0 else GRID)
        draw.text((_LEFT - 8, y), f"{share:.0%}", fill=INK, font=font(), anchor="rm")
    values = rows.select("knockdown", "knockdown_low", "knockdown_high").to_numpy()
    for x in range(width):
        first = int(x * len(values) / width)
        last = max(int((x + 1) * len(values) / width), first + 1)
        value, low, high = np.median(values[first:last], axis=0)
        draw.line([(_LEFT + x, _level(low, height)), (_LEFT + x, _level(high, height))], fill=_BAND)
        y = _level(value, height)
        draw.line([(_LEFT + x, y), (_LEFT + x, y + 2)], fill=_LINE)
    draw.line([(_LEFT, _level(0.0, height)), (_LEFT + width, _level(0.0, height))], fill=INK)
    caption = f"{rows.height:,} targets, by knock-down; band: 95 % interval"
    centred(draw, (_LEFT + width / 2, _TOP + height + 28), caption, FAINT)
    return png(canvas)


def cells_per_target(targets: pl.DataFrame, *, width: int = 640, height: int = 200) -> bytes:
    """How many targets have how many cells; the controls left out."""
    cells = targets.filter(~pl.col("is_control"))["n_cells"].to_numpy()
    if not cells.size:
        return message("No target to show.")
    edges = np.linspace(0, max(int(cells.max()), 1), 33)
    counts, _ = np.histogram(cells, edges)
    canvas, draw = _canvas(width, height)
    for number, count in enumerate(counts):
        x, tall = _LEFT + number * width / len(counts), height * count / max(int(counts.max()), 1)
        draw.rectangle((x, _TOP + height - tall, x + width / len(counts) - 2, _TOP + height), fill=_BAR)
    draw.line([(_LEFT, _TOP + height), (_LEFT + width, _TOP + height)], fill=INK)
    draw.text((_LEFT - 8, _TOP), f"{int(counts.max()):,}", fill=INK, font=font(), anchor="rm")
    for share in (0.0, 0.5, 1.0):
        centred(draw, (_LEFT + width * share, _TOP + height + 12), f"{round(edges[-1] * share):,}")
    caption = f"cells of a target; {len(cells):,} targets, median {np.median(cells):,.0f}"
    centred(draw, (_LEFT + width / 2, _TOP + height + 30), caption, FAINT)
    return png(canvas)


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("RGB", (_LEFT + width + 24, _TOP + height + _BOTTOM), PAPER)
    return canvas, ImageDraw.Draw(canvas)


def _level(share: float, height: int) -> float:
    inside = min(max(share, _LOWEST), 1.0)
    return _TOP + height * (1.0 - inside) / (1.0 - _LOWEST)
