"""Small pictures of elution: a heat map of profiles, how replicates correlate, which fractions each was measured in.

Belongs here: drawing. Does not belong here: choosing what to show, how it gets into a page, or
what all pictures share (`drawing`). Viridis shows quantities, grey what was not measured or not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import polars as pl

from cm4ai_assets.drawing import FAINT, GRID, INK, LABEL, PAPER, centred, font, message, png, shortened
from cm4ai_assets.heavy import Image, ImageDraw, cv2, np, npt
from cm4ai_assets.proteomics.correlation import PairCorrelation
from cm4ai_assets.proteomics.elution import Elution, smoothed

_BAR, _SHARED, _WARNING = "#2a5fd0", "#a9c1f2", "#d62728"
_ABSENT: Final = (0xDD, 0xDD, 0xDD)
_STEPS: Final = 17
_PANELS: Final = 4
_TICK_ROOM: Final = 24
_DARK: Final = 0.55
"""Share of the scale below which viridis is too dark for dark text."""

_RGB: TypeAlias = "npt.NDArray[np.uint8]"


def heat_map(replicates: Sequence[Elution], *, height: int = 300, width: int = 300) -> bytes:
    """The profiles of the first replicates side by side, on common axes: protein groups down, fractions across.

    Each profile is divided by its maximum. The groups stand in the order of the first replicate's apexes, so that
    another order in the others shows. What a replicate lacks is grey. See `families` for what to show together.
    """
    found = [one for one in replicates if one.quantities.size]
    if not found:
        return message("No profile to show.")
    replicates, more = found[:_PANELS], len(found) - _PANELS
    groups = _in_order(replicates[0])
    first = min(int(one.fractions[0]) for one in replicates)
    last = max(int(one.fractions[-1]) for one in replicates)
    left, top, gap, bottom = 56, 30, 16, 40
    canvas = Image.new("RGB", (left + len(replicates) * (width + gap), top + height + bottom), PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, one in enumerate(replicates):
        x = left + number * (width + gap)
        canvas.paste(Image.fromarray(_profiles(one, groups, (first, last), height, width)), (x, top))
        centred(draw, (x + width / 2, top / 2), shortened(one.replicate_id, width))
        apart = next((step for step in (10, 20) if width * step >= _TICK_ROOM * (last - first + 1)), 40)
        for fraction in range(-(-first // apart) * apart, last + 1, apart):
            at = x + (fraction - first + 0.5) / (last - first + 1) * width
            draw.line([(at, top + height), (at, top + height + 4)], fill=INK)
            centred(draw, (at, top + height + 12), str(fraction))
    caption = "SEC fraction (large to small)" + (f"; {more} more replicates not shown" if more > 0 else "")
    centred(draw, ((left + canvas.width) / 2, top + height + 29), caption, FAINT)
    _sideways(canvas, 14, top + height // 2, f"{groups.height:,} protein groups, by apex")
    _scale(canvas, (left - 18, top), height)
    return png(canvas)


def families(replicates: Sequence[Elution]) -> dict[str, list[Elution]]:
    """The replicates of the same cells and treatment together, by a label: `KOLF2.1J npc untreated`."""
    several = len({one.quantity_kind for one in replicates}) > 1
    result: dict[str, list[Elution]] = {}
    for one in replicates:
        line, kind, condition, quantity = one.family
        parts = (line, kind, *([quantity] if several else []), condition)
        result.setdefault(" ".join(part or "unknown" for part in parts), []).append(one)
    return result


def correlation_matrix(pairs: Sequence[PairCorrelation], *, cell: int = 46) -> bytes:
    """The median correlation of each pair of replicates; grey where they are of other cells or share too little."""
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))
    if not names:
        return message("No two replicates to compare.")
    left = 44 + max(round(font().getlength(name)) for name in names)
    canvas = Image.new("RGB", (left + cell * len(names) + 14, 34 + cell * len(names) + 30), PAPER)
    draw = ImageDraw.Draw(canvas)
    values = {(pair.first, pair.second): pair.median for pair in pairs}
    for row, one in enumerate(names):
        draw.text((left - 8, 34 + cell * (row + 0.5)), f"{one}  {row + 1}", fill=INK, font=font(), anchor="rm")
        centred(draw, (left + cell * (row + 0.5), 20), str(row + 1))
        for column, other in enumerate(names):
            box = (left + cell * column, 34 + cell * row, left + cell * (column + 1) - 2, 34 + cell * (row + 1) - 2)
            value = 1.0 if row == column else values.get((one, other), values.get((other, one)))
            share = None if value is None else max(value, 0.0)
            draw.rectangle(box, fill=_ABSENT if share is None else _viridis(share))
            if value is not None and row != column:
                ink = PAPER if (share or 0.0) < _DARK else INK
                centred(draw, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), f"{value:.2f}", ink)
    centred(draw, (canvas.width / 2, canvas.height - 14), "Median correlation of profiles", FAINT)
    return png(canvas)


def window_chart(proteins: pl.DataFrame, *, width: int = 640) -> bytes:
    """Which fractions each replicate was measured in; dark where all of them were, so that the rest stands out."""
    windows = ("first_fraction", "last_fraction", "measured_fractions")
    rows = proteins.group_by("replicate_id", "quantity_kind", maintain_order=True).agg(pl.col(*windows).first())
    twice, name = pl.col("replicate_id").is_duplicated(), pl.col("replicate_id")
    rows = rows.select(pl.when(twice).then(name + " (" + pl.col("quantity_kind") + ")").otherwise(name), *windows)
    if rows.is_empty():
        return message("No replicate to show.")
    begin, end = rows.select(pl.col("first_fraction").max(), pl.col("last_fraction").min()).row(0)
    last = rows.select(pl.col("last_fraction").max()).item()
    left = 16 + max(round(font().getlength(name)) for name in rows["replicate_id"])
    step, line, top = (width - left - 130) / (last + 1), 24, 12
    canvas = Image.new("RGB", (width, top + line * rows.height + 44), PAPER)
    draw = ImageDraw.Draw(canvas)
    foot = top + line * rows.height
    for fraction in range(0, last + 1, 10):
        x = left + step * fraction
        draw.line([(x, top), (x, foot + 4)], fill=GRID)
        centred(draw, (x, foot + 13), str(fraction))
    for number, (name, first, stop, measured) in enumerate(rows.iter_rows()):
        y = top + line * number
        draw.text((left - 8, y + line / 2), name, fill=INK, font=font(), anchor="rm")
        draw.rectangle(_bar(left, step, (first, stop), y, line), fill=_SHARED)
        if begin <= end:
            draw.rectangle(_bar(left, step, (begin, end), y, line), fill=_BAR)
        gaps = stop - first + 1 - measured
        window = f"F{first:02d} to F{stop:02d}" + (f", {gaps} missing" if gaps else "")
        ink = _WARNING if gaps else INK
        draw.text((left + step * (last + 1) + 6, y + line / 2), window, fill=ink, font=font(11), anchor="lm")
    centred(draw, ((left + width) / 2, foot + 31), "SEC fraction; dark: measured in all", FAINT)
    return png(canvas)


def _bar(left: float, step: float, window: tuple[int, int], y: float, line: float) -> tuple[float, float, float, float]:
    return (left + step * (window[0] - 0.5), y + 4, left + step * (window[1] + 0.5), y + line - 4)


def _in_order(one: Elution) -> pl.DataFrame:
    """The groups of a replicate by the fraction of their apex; those that were never quantified last."""
    shape = smoothed(one.quantities)
    apex = np.where(shape.max(axis=1) > 0, shape.argmax(axis=1), shape.shape[1])
    return one.groups[np.argsort(apex, kind="stable")]


def _profiles(one: Elution, groups: pl.DataFrame, window: tuple[int, int], height: int, width: int) -> _RGB:
    """Profiles as a picture: rows averaged down to the height, each fraction of one width, grey where not measured."""
    rows = groups.join(
        one.groups.with_row_index("row"), on=["protein_group", "occurrence"], how="left", maintain_order="left"
    )["row"]
    shape = smoothed(one.quantities)
    peak = shape.max(axis=1, keepdims=True)
    shape = np.divide(shape, peak, out=np.zeros_like(shape), where=peak > 0)
    spread = np.full((groups.height, window[1] - window[0] + 1), np.nan, np.float32)
    present = rows.is_not_null().to_numpy()
    at = one.fractions.astype(np.int64) - window[0]
    spread[np.ix_(present, at)] = shape[rows.drop_nulls().to_numpy()]
    known = (~np.isnan(spread)).astype(np.float32)
    small = (min(height, groups.height), spread.shape[1])
    weight = cv2.resize(known, small[::-1], interpolation=cv2.INTER_AREA)
    mean = cv2.resize(np.nan_to_num(spread), small[::-1], interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)
    picture = _colours(mean)
    picture[weight < 0.5] = _ABSENT  # noqa: PLR2004 - more of the rows behind a pixel are absent than present
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _colours(shares: npt.NDArray[np.floating]) -> _RGB:
    # Few steps, evenly spread, compress better than what a palette chosen afterwards would keep of many.
    levels = (np.round(np.clip(shares, 0, 1) * _STEPS) * (255 // _STEPS)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), np.uint8)


def _viridis(share: float) -> tuple[int, int, int]:
    red, green, blue = _colours(np.array([[share]]))[0, 0].tolist()
    return red, green, blue


def _scale(canvas: Image.Image, corner: tuple[int, int], height: int) -> None:
    """The colour scale: a profile's maximum at the top, nothing at the bottom."""
    ramp = np.repeat(np.linspace(1, 0, height)[:, None], 8, axis=1)
    canvas.paste(Image.fromarray(_colours(ramp)), corner)
    draw = ImageDraw.Draw(canvas)
    draw.text((corner[0] + 4, corner[1] - 9), "max", fill=FAINT, font=font(10), anchor="mm")
    draw.text((corner[0] + 4, corner[1] + height + 9), "0", fill=FAINT, font=font(10), anchor="mm")


def _sideways(canvas: Image.Image, x: int, y: int, text: str) -> None:
    size = round(font().getlength(text)) + 4
    strip = Image.new("RGB", (size, LABEL + 6), PAPER)
    ImageDraw.Draw(strip).text((size / 2, (LABEL + 6) / 2), text, fill=INK, font=font(), anchor="mm")
    turned = strip.rotate(90, expand=True)
    canvas.paste(turned, (x - turned.width // 2, y - turned.height // 2))
