"""Small pictures of plates and effects: what is left of each well on its plate, and effects against their p.

Belongs here: drawing. Does not belong here: choosing what to show, and what all pictures share (`drawing`).
"""

from __future__ import annotations

import math
from typing import Final

import polars as pl

from cm4ai_assets.drawing import FAINT, GRID, INK, LABEL, PAPER, centred, font, message, png
from cm4ai_assets.effects.plates import robust_sd
from cm4ai_assets.heavy import Image, ImageDraw
from cm4ai_assets.tables.effects import MEASURES

_ROWS, _COLUMNS = "ABCDEFGH", 12
_CELL, _GAP, _TOP, _LEFT = 14, 16, 46, 20
_MOST_SD: Final = 3.0
_BELOW, _ABOVE = (42, 95, 208), (214, 39, 40)
_MEASURE_INK: Final = dict(zip(MEASURES, ("#2a5fd0", "#d6780c", "#2a9d3a"), strict=True))
_LABELLED, _LABEL_WIDTH = 8, 80


def plate_map(wells: pl.DataFrame, title: str) -> bytes:
    """Each plate as it stands: how far a well lies from the median of its plate, in standard deviations between wells.

    Args:
        wells: plate, well_row, well_column, residual: one row a well, of one condition, channel and measure.
        title: What is shown.
    """
    sd = robust_sd(wells["residual"]) if wells.height else 0.0
    if not sd:
        return message("No wells that differ.")
    plates = wells["plate"].unique().sort().to_list()
    wide = _COLUMNS * _CELL + _GAP
    canvas = Image.new("RGB", (_LEFT + wide * len(plates), _TOP + len(_ROWS) * _CELL + 34), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_LEFT, 10), title, fill=INK, font=font(), anchor="lm")
    for number, plate in enumerate(plates):
        left = _LEFT + number * wide
        draw.text((left, 32), plate, fill=INK, font=font(), anchor="lm")
        draw.rectangle((left, _TOP, left + _COLUMNS * _CELL, _TOP + len(_ROWS) * _CELL), outline=GRID)
        for row, column, residual in (
            wells.filter(plate=plate).select("well_row", "well_column", "residual").iter_rows()
        ):
            x, y = left + (column - 1) * _CELL, _TOP + _ROWS.index(row) * _CELL
            draw.rectangle((x + 1, y + 1, x + _CELL - 1, y + _CELL - 1), fill=_tinted(residual / sd))
    for index, row in enumerate(_ROWS):
        draw.text((_LEFT - 6, _TOP + (index + 0.5) * _CELL), row, fill=FAINT, font=font(), anchor="rm")
    _scale(draw, _TOP + len(_ROWS) * _CELL + 18)
    return png(canvas)


def volcano(effects: pl.DataFrame, title: str) -> bytes:
    """Effects and their p, one dot a protein and measure; the strongest significant ones by name.

    Args:
        effects: Rows of `if_effects`, of one condition.
        title: What is shown.
    """
    tested = effects.filter(pl.col("p").is_not_null())
    if tested.is_empty():
        return message("No effect is tested.")
    width, height, left, top, right, bottom = 640, 380, 60, 46, 620, 330
    reach = max(float(tested["effect"].abs().max()), 1e-9) * 1.05  # type: ignore[arg-type]  # of floats it is one
    peak = max(float((-tested["p"].clip(1e-300).log10()).max()), 2.0) * 1.05  # type: ignore[arg-type]  # the same
    canvas = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)

    def place(effect: float, p: float) -> tuple[float, float]:
        return (left + right) / 2 + effect / reach * (right - left) / 2, bottom + math.log10(max(p, 1e-300)) / peak * (
            bottom - top
        )

    _axes(draw, (left, top, right, bottom), reach, peak)
    centred(draw, (width / 2, 14), title)
    for row in tested.iter_rows(named=True):
        x, y = place(row["effect"], row["p"])
        ink, radius = _MEASURE_INK[row["measure"]], 3 if row["is_significant"] else 1.5
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=ink if row["is_significant"] else GRID, outline=ink
        )
    labelled: list[tuple[float, float]] = []
    strongest = tested.filter("is_significant").sort("p").unique("antibody_id", keep="first", maintain_order=True)
    for row in strongest.head(_LABELLED).iter_rows(named=True):
        x, y = place(row["effect"], row["p"])
        if all(abs(x - u) > _LABEL_WIDTH or abs(y - v) > LABEL for u, v in labelled):
            name, is_inside = "/".join(row["gene_symbols"][:2]) or row["antibody_id"], x < right - _LABEL_WIDTH
            draw.text(
                (x + 6 if is_inside else x - 6, y), name, fill=INK, font=font(), anchor="lm" if is_inside else "rm"
            )
            labelled.append((x, y))
    for number, measure in enumerate(MEASURES):
        draw.text((left + 90 * number, top - 8), measure, fill=_MEASURE_INK[measure], font=font(), anchor="lm")
    return png(canvas)


def _axes(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], reach: float, peak: float) -> None:
    left, top, right, bottom = box
    middle = (left + right) / 2
    draw.line([(left, bottom), (right, bottom)], fill=INK)
    draw.line([(middle, top), (middle, bottom)], fill=GRID)
    tick = _round_step(reach / 2)
    for number in range(-int(reach / tick), int(reach / tick) + 1):
        x = middle + number * tick / reach * (right - left) / 2
        draw.line([(x, bottom), (x, bottom + 4)], fill=INK)
        draw.text((x, bottom + 13), f"{number * tick:g}", fill=INK, font=font(), anchor="mm")
    step = max(1, round(peak / 5))
    for decade in range(0, int(peak) + 1, step):
        y = bottom - decade / peak * (bottom - top)
        draw.line([(left, y), (right, y)], fill=GRID)
        draw.text((left - 6, y), f"1e-{decade}" if decade else "p = 1", fill=INK, font=font(), anchor="rm")
    centred(draw, (middle, bottom + 34), "effect beyond what is common, difference of logarithms", FAINT)


def _round_step(largest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above."""
    power = 10.0 ** math.floor(math.log10(largest))
    return max(step * power for step in (1, 2, 5) if step * power <= largest)


def _scale(draw: ImageDraw.ImageDraw, y: int) -> None:
    for step in range(-3, 4):
        x = _LEFT + (step + 3) * 36
        draw.rectangle((x, y - 6, x + 12, y + 6), fill=_tinted(step), outline=GRID)
        draw.text((x + 15, y), f"{step:+d}" if step else "0", fill=FAINT, font=font(10), anchor="lm")
    draw.text((_LEFT + 7 * 36 + 6, y), "standard deviations", fill=FAINT, font=font(10), anchor="lm")


def _tinted(deviations: float) -> tuple[int, int, int]:
    """White at 0, blue below, red above, full at three standard deviations."""
    share = min(abs(deviations) / _MOST_SD, 1.0)
    full = _ABOVE if deviations > 0 else _BELOW
    red, green, blue = (round(255 + (one - 255) * share) for one in full)
    return red, green, blue
