"""Small pictures over all modalities: the sides of splits by plate and condition, and who is covered by what.

Belongs here: drawing. Does not belong here: choosing what to show, and what all pictures share (`drawing`).
"""

from __future__ import annotations

from typing import Final

import polars as pl
from PIL import Image, ImageDraw

from cm4ai_assets.drawing import FAINT, GRID, INK, PAPER, centred, font, message, png
from cm4ai_assets.tables.integration import SIDES

_COLOURS: Final = {"train": "#9db8ee", "validation": "#f0b35a", "test": "#2a5fd0"}
_ROW, _LEFT, _WIDTH, _TOP = 22, 110, 460, 30


def sides_by(splits: pl.DataFrame, column: str) -> bytes:
    """How the fields of each plate or condition spread over the sides of one scheme, as bars of 100 %."""
    placed = splits.filter(pl.col("split").is_not_null())
    counts = placed.group_by(column).agg(*((pl.col("split") == side).sum().alias(side) for side in SIDES)).sort(column)
    if counts.is_empty():
        return message("No field is on a side.")
    canvas = Image.new("RGB", (_LEFT + _WIDTH + 70, _TOP + _ROW * counts.height + 30), PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, side in enumerate(SIDES):
        x = _LEFT + number * 110
        draw.rectangle((x, 10, x + 12, 20), fill=_COLOURS[side])
        draw.text((x + 18, 15), side, fill=INK, font=font(), anchor="lm")
    for number, row in enumerate(counts.iter_rows(named=True)):
        y, left, total = _TOP + number * _ROW, float(_LEFT), sum(row[side] for side in SIDES)
        draw.text((_LEFT - 8, y + _ROW / 2), str(row[column]), fill=INK, font=font(), anchor="rm")
        for side in SIDES:
            wide = _WIDTH * row[side] / total
            draw.rectangle((left, y + 3, left + wide, y + _ROW - 3), fill=_COLOURS[side])
            left += wide
        draw.text((_LEFT + _WIDTH + 8, y + _ROW / 2), f"{total:,}", fill=INK, font=font(), anchor="lm")
    bottom = _TOP + counts.height * _ROW
    for share in (0.8, 0.9):
        draw.line([(_LEFT + _WIDTH * share, _TOP), (_LEFT + _WIDTH * share, bottom)], fill=GRID)
    centred(draw, (_LEFT + _WIDTH / 2, bottom + 14), f"fields on a side, by {column}; lines at 80 % and 90 %", FAINT)
    return png(canvas)
