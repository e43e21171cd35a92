"""Small pictures over all modalities: the sides of splits by plate and condition, and who is covered by what.

Belongs here: drawing. Does not belong here: choosing what to show, and what all pictures share (`drawing`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from cm4ai_assets.drawing import FAINT, GRID, INK, PAPER, centred, font, message, png
from cm4ai_assets.heavy import Image, ImageDraw
from cm4ai_assets.integration.summaries import NOT_PUBLISHED, not_published
from cm4ai_assets.tables.integration import MODALITIES, SIDES
from cm4ai_assets.vocabulary import MODALITY_NAMES

_COLOURS: Final = {"train": "#9db8ee", "validation": "#f0b35a", "test": "#2a5fd0"}
_ROW, _LEFT, _WIDTH, _TOP = 22, 110, 460, 30
_TALL, _COLUMN = 150, 34
_NAMES: Final = 160  # where the names of modalities end; the longest is that of one that is not published
_DOT: Final = 6


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


def upset(proteins: pl.DataFrame) -> bytes:
    """How many genes or proteins which modalities have in common: a bar for each combination, the largest first.

    Below each bar, filled dots are the modalities of the combination; left of them, how many each has in all. One that
    is not published says so, and has no dots.
    """
    unknown = not_published(proteins)
    present = [pl.col(f"has_{one}").alias(one) for one in MODALITIES]
    sets = proteins.select(present).filter(pl.any_horizontal(MODALITIES))
    bars = sets.group_by(MODALITIES).len("genes").sort("genes", *MODALITIES, descending=True)
    if bars.is_empty():
        return message("No gene is measured.")
    foot = _TOP + _TALL
    canvas = Image.new("RGB", (_NAMES + 20 + _COLUMN * max(bars.height, 10), foot + _ROW * len(MODALITIES) + 40), PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, one in enumerate(MODALITIES):
        y = foot + 16 + _ROW * number
        count = NOT_PUBLISHED if one in unknown else f"{int(sets[one].sum()):,}"
        colour = FAINT if one in unknown else INK
        draw.text((_NAMES, y), f"{MODALITY_NAMES[one]} {count}", fill=colour, font=font(), anchor="rm")
    for column, row in enumerate(bars.iter_rows(named=True)):
        _combination(draw, _NAMES + 20 + _COLUMN * column, row, bars["genes"].max())
    caption = f"{sets.height:,} genes and proteins, by the modalities that measure them"
    draw.text((_LEFT - 60, foot + _ROW * len(MODALITIES) + 26), caption, fill=FAINT, font=font(), anchor="lm")
    return png(canvas)


def _combination(draw: ImageDraw.ImageDraw, x: float, row: dict[str, object], most: object) -> None:
    """One bar, its number, and the dots below it, the filled ones joined by a line; none where it is not known."""
    foot, count = _TOP + _TALL, int(str(row["genes"]))
    draw.rectangle((x - 9, foot - _TALL * count / int(str(most)), x + 9, foot), fill=_COLOURS["test"])
    centred(draw, (x, foot - _TALL * count / int(str(most)) - 9), f"{count:,}", size=10)
    filled = [foot + 16 + _ROW * number for number, one in enumerate(MODALITIES) if row[one]]
    draw.line([(x, filled[0]), (x, filled[-1])], fill=INK, width=2)
    for number, one in enumerate(MODALITIES):
        if row[one] is None:
            continue
        y = foot + 16 + _ROW * number
        draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), fill=INK if y in filled else GRID)
