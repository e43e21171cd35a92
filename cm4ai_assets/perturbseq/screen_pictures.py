"""Small pictures of a screen: guides per cell, cells per target, cells and molecules per channel, controls, guides.

Belongs here: drawing. Does not belong here: what is counted (`overview`), how it gets into a page, and what all
pictures share (`drawing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from cm4ai_assets.drawing import FAINT, GRID, INK, PAPER, centred, font, message, png, shortened
from cm4ai_assets.heavy import Image, ImageDraw
from cm4ai_assets.perturbseq.channels import BATCHES, CHANNELS_OF_CHIP, CHIPS, Channel, channel_of
from cm4ai_assets.perturbseq.overview import Overview

_BAR, _CONTROL, _LACKING = "#2a5fd0", "#c79a00", "#f4d9d9"
_MOST_GUIDES: Final = 6
_DARK: Final = 0.55


def guides_per_cell(overview: Overview) -> bytes:
    """How many cells have no guide, one, two and so on; all above six together. As PNG."""
    if not overview.cells:
        return message("There are no cells.")
    capped = overview.guides.with_columns(pl.col("guides").clip(upper_bound=_MOST_GUIDES + 1))
    counts = dict(capped.group_by("guides").agg(pl.col("cells").sum()).iter_rows())
    last = max(counts)
    labels = [str(n) if n <= _MOST_GUIDES else f">{_MOST_GUIDES}" for n in range(last + 1)]
    return _bars([(label, counts.get(n, 0)) for n, label in enumerate(labels)], "Guides called in a cell")


def cells_per_target(overview: Overview, *, width: int = 640, height: int = 220) -> bytes:
    """Targets from most cells to fewest, without the controls, as PNG."""
    genes = overview.targets.filter(pl.col("target") != "NTC")
    if genes.is_empty():
        return message("No cell has a single target.")
    counts = genes["cells"].to_list()
    canvas, draw = _canvas(width, height)
    left, top, right, foot = 64, 14, width - 14, height - 40
    most, shown = max(counts), right - left
    _scale(draw, (left, top, right, foot), most)
    for x in range(shown):
        count = counts[min(len(counts) - 1, x * len(counts) // shown)]
        draw.line([(left + x, foot - (foot - top) * count / most), (left + x, foot)], fill=_BAR)
    median = counts[len(counts) // 2]
    text = f"{len(counts):,} targets, from most cells to fewest; median {median:,}"
    centred(draw, ((left + right) / 2, height - 18), text, FAINT)
    return png(canvas)


def channel_grid(overview: Overview, *, measure: str = "cells", cell: int = 34) -> bytes:
    """Cells, or molecules per cell, in each of the 96 channels; a channel without cells stands out. As PNG.

    Args:
        overview: The counts.
        measure: `cells`, or `umis` for molecules per cell.
        cell: Edge length of a field.
    """
    counted = overview.channels.drop_nulls("gem_channel").group_by("gem_channel").agg(pl.col("cells", "umis").sum())
    values = {
        channel_of(name): (cells if measure == "cells" else umis / max(1, cells))
        for name, cells, umis in counted.iter_rows()
    }
    if not values:
        return message("No cell names a channel.")
    rows = [(batch, chip) for batch in BATCHES for chip in CHIPS]
    canvas, draw = _canvas(110 + cell * len(CHANNELS_OF_CHIP) + 12, 30 + cell * len(rows) + 30)
    most = max(values.values()) or 1
    for column, channel in enumerate(CHANNELS_OF_CHIP):
        centred(draw, (110 + cell * (column + 0.5), 16), str(channel))
    for row, (batch, chip) in enumerate(rows):
        y = 30 + cell * row
        draw.text((102, y + cell / 2), f"{batch} chip {chip}", fill=INK, font=font(), anchor="rm")
        for column, channel in enumerate(CHANNELS_OF_CHIP):
            _field(draw, (110 + cell * column, y), cell, values.get(Channel(batch, chip, channel)), most)
    caption = "Cells in each channel" if measure == "cells" else "Molecules per cell in each channel"
    centred(draw, (canvas.width / 2, canvas.height - 14), f"{caption}; none where it is red", FAINT)
    return png(canvas)


def controls_per_batch(overview: Overview) -> bytes:
    """The share of cells that are controls, in each batch, as PNG."""
    batches = overview.channels.group_by("batch").agg(pl.col("cells", "controls").sum()).sort("batch", nulls_last=True)
    if batches.is_empty():
        return message("There are no cells.")
    shares = [(batch or "none", 100 * controls / max(1, cells)) for batch, cells, controls in batches.iter_rows()]
    return _bars(shares[:12], "Controls, % of the cells of a batch", ink=_CONTROL)


def guides_per_gene(library: pl.DataFrame) -> bytes:
    """How many genes have one guide, two, three and so on, as PNG. `library`: rows of `guide_library`."""
    genes = library.filter(~pl.col("is_control")).unique("symbol")
    if genes.is_empty():
        return message("The library has no guide against a gene.")
    counts = dict(genes.group_by("guides_of_target").len().iter_rows())
    return _bars([(str(n), counts.get(n, 0)) for n in range(1, min(max(counts), 12) + 1)], "Guides against a gene")


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("RGB", (width, height), PAPER)
    return canvas, ImageDraw.Draw(canvas)


def _bars(values: Sequence[tuple[str, float]], caption: str, *, ink: str = _BAR) -> bytes:
    """Bars with their values above and their labels below."""
    width, height, left, top, foot = max(320, 72 * len(values) + 90), 220, 64, 30, 160
    canvas, draw = _canvas(width, height)
    most = max(value for _, value in values) or 1
    step = (width - left - 14) / len(values)
    _scale(draw, (left, top, width - 14, foot), most)
    for number, (label, value) in enumerate(values):
        x = left + step * (number + 0.5)
        y = foot - (foot - top) * value / most
        draw.rectangle((x - step * 0.36, y, x + step * 0.36, foot), fill=ink)
        centred(draw, (x, y - 9), _in_words(value), size=11)
        centred(draw, (x, foot + 14), shortened(label, step - 4))
    centred(draw, ((left + width) / 2, height - 18), caption, FAINT)
    return png(canvas)


def _in_words(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.1f}"


def _scale(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], most: float) -> None:
    """Lines at nothing, the half and the maximum."""
    left, top, right, foot = box
    for share in (0.0, 0.5, 1.0):
        y = foot - (foot - top) * share
        draw.line([(left, y), (right, y)], fill=GRID)
        draw.text((left - 6, y), _in_words(most * share), fill=INK, font=font(11), anchor="rm")


def _field(draw: ImageDraw.ImageDraw, corner: tuple[float, float], edge: int, value: float | None, most: float) -> None:
    box = (*corner, corner[0] + edge - 2, corner[1] + edge - 2)
    if not value:
        draw.rectangle(box, fill=_LACKING)
        return
    share = value / most
    draw.rectangle(box, fill=tuple(round(255 + (end - 255) * share) for end in (0x2A, 0x5F, 0xD0)))
    text = f"{value:,.0f}" if value < 1_000 else f"{value / 1_000:.0f}k"  # noqa: PLR2004 - what fits
    centred(draw, (corner[0] + edge / 2 - 1, corner[1] + edge / 2), text, PAPER if share > _DARK else INK, size=10)
