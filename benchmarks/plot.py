"""The plot of a run: how far each ratio is from its target.

Belongs here: that one drawing. Does not belong here: numbers (`ratios`). Why Pillow: docs/decisions/0009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.ratios import Ratio, Verdict, shown
from benchmarks.runner import Result
from cm4ai_assets.drawing import FAINT, GRID, INK, PAPER, font, shortened

WIDTH, ROW, TOP, NAMES, VALUES = 1100, 20, 64, 390, 210
LEAST, MOST = 0.25, 8.0
TICKS = (0.25, 0.5, 1, 2, 4, 8)
COLOURS = {Verdict.MET: "#1b7f5c", Verdict.MISSED: "#b3261e", Verdict.FAILED: "#b3261e"}


def plot(results: Sequence[Result], title: str, path: Path) -> None:
    """Draw what has a target, and what failed: the value as a bar from the target, and each round as a point."""
    found = [(result.name, ratio) for result in results for ratio in result.ratios]
    rows = [(name, ratio) for name, ratio in found if ratio.target or ratio.verdict is Verdict.FAILED]
    canvas = Image.new("RGB", (WIDTH, TOP + ROW * (len(rows) + 1)), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((12, 10), title, fill=INK, font=font(14))
    draw.text((12, 34), "times the target; right of 1 it is met", fill=FAINT, font=font())
    for tick in TICKS:
        x = _x(tick)
        draw.line([(x, TOP - 6), (x, canvas.height - ROW)], fill=INK if tick == 1 else GRID)
        draw.text((x, TOP - 16), f"{tick:g}", fill=FAINT, font=font(), anchor="mm")
    for number, (name, ratio) in enumerate(rows):
        _row(draw, TOP + ROW * number + ROW // 2, f"{name}  {ratio.name}", ratio)
    canvas.save(path, "PNG", optimize=True)


def _row(draw: ImageDraw.ImageDraw, y: float, label: str, ratio: Ratio) -> None:
    draw.text((12, y), shortened(label, NAMES - 20), fill=INK, font=font(), anchor="lm")
    colour = COLOURS.get(ratio.verdict, FAINT)
    said = (
        ratio.verdict if ratio.value is None else f"{shown(ratio.value, ratio.unit)}, {ratio.target}: {ratio.verdict}"
    )
    draw.text((WIDTH - VALUES + 10, y), said, fill=colour, font=font(), anchor="lm")
    if ratio.value is None:
        return
    low, high = sorted((_x(1), _x(_share(ratio, ratio.value))))
    draw.rectangle([(low, y - 5), (high, y + 5)], fill=colour)
    for one in ratio.rounds:
        x = _x(_share(ratio, one))
        draw.ellipse([(x - 3, y - 3), (x + 3, y + 3)], fill=PAPER, outline=INK)


def _share(ratio: Ratio, value: float) -> float:
    """How many times as good as its target a value is."""
    bound = ratio.target.bound if ratio.target else 1.0
    if ratio.target and ratio.target.at_most:
        return bound / value if value > 0 else MOST
    return value / bound


def _x(share: float) -> float:
    """Where a share is on the logarithmic axis; what lies outside stands at its end."""
    place = math.log(min(max(share, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return NAMES + place * (WIDTH - NAMES - VALUES)
