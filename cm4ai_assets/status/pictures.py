"""Small pictures of the state of the platform: disk by release, releases over time, runs by day.

Belongs here: drawing. Does not belong here: what is shown beside it (`page`), and what all pictures share (`drawing`).
They are narrow, so that a telephone shows them without making their letters small.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final

from cm4ai_assets.drawing import FAINT, GRID, INK, PAPER, centred, font, message, png
from cm4ai_assets.heavy import Image, ImageDraw
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.retention import ReleaseUsage
from cm4ai_assets.status.recorded import Day
from cm4ai_assets.status.state import ReleaseLine

_WIDTH, _LEFT, _ROW, _TOP = 460, 118, 22, 34
_OWN, _SHARED, _FAILED, _CANCELLED = "#2a5fd0", "#9db8ee", "#b3261e", "#c9c9c9"
MOST: Final = 24
"""Releases in one picture: the largest, or the newest."""


def disk(releases: Sequence[ReleaseUsage]) -> bytes:
    """Bytes by release: what only it refers to, and what others refer to as well. The largest releases."""
    largest = sorted(releases, key=lambda one: one.size, reverse=True)[:MOST]
    most = max((one.size for one in largest), default=0)
    if not most:
        return message("No release has anything stored.")
    shown = sorted(largest, key=lambda one: one.release)
    canvas = Image.new("RGB", (_WIDTH, _TOP + _ROW * len(shown) + 12), PAPER)
    draw = ImageDraw.Draw(canvas)
    _legend(draw, (("its own", _OWN), ("shared with others", _SHARED)))
    room = _WIDTH - _LEFT - 84
    for number, one in enumerate(shown):
        y = _TOP + _ROW * number
        own, all_of_it = room * one.own / most, room * one.size / most
        draw.text((_LEFT - 8, y + _ROW / 2), one.release, fill=INK, font=font(), anchor="rm")
        draw.rectangle((_LEFT, y + 4, _LEFT + max(1.0, all_of_it), y + _ROW - 4), fill=_SHARED)
        if one.own:
            draw.rectangle((_LEFT, y + 4, _LEFT + max(1.0, own), y + _ROW - 4), fill=_OWN)
        words = size_in_words(one.size)
        draw.text((_LEFT + all_of_it + 6, y + _ROW / 2), words, fill=INK, font=font(), anchor="lm")
    return png(canvas)


def timeline(lines: Sequence[ReleaseLine], now: datetime) -> bytes:
    """When each release came out, and when its tables were last written here, on one scale. The newest releases."""
    newest = sorted(lines, key=lambda line: line.state.record.came_out)[-MOST:]
    if not newest:
        return message("No release is registered.")
    first = newest[0].state.record.came_out
    span = max((now - first).total_seconds(), 1.0)
    room = _WIDTH - _LEFT - 24
    canvas = Image.new("RGB", (_WIDTH, _TOP + _ROW * len(newest) + 34), PAPER)
    draw = ImageDraw.Draw(canvas)
    _legend(draw, (("came out", _SHARED), ("tables last written here", _OWN)))

    def x_of(when: datetime) -> float:
        return _LEFT + room * min(max((when - first).total_seconds() / span, 0.0), 1.0)

    foot = _TOP + _ROW * len(newest)
    for year in range(first.year + 1, now.year + 1):
        x = x_of(datetime(year, 1, 1, tzinfo=UTC))
        draw.line([(x, _TOP), (x, foot)], fill=GRID)
        centred(draw, (x, foot + 12), str(year), FAINT)
    for number, line in enumerate(newest):
        y = _TOP + _ROW * number + _ROW / 2
        draw.text((_LEFT - 8, y), line.state.record.key, fill=INK, font=font(), anchor="rm")
        draw.line([(_LEFT, y), (_LEFT + room, y)], fill=GRID)
        came = x_of(line.state.record.came_out)
        draw.ellipse((came - 5, y - 5, came + 5, y + 5), fill=_SHARED)
        if line.newest is not None:
            made = x_of(line.newest)
            draw.rectangle((made - 5, y - 5, made + 5, y + 5), fill=_OWN)
    return png(canvas)


def runs(days: Sequence[Day], now: datetime, span: timedelta) -> bytes:
    """The runs that ended on each of the last days: succeeded, failed, cancelled."""
    if not days:
        return message("No run ended in the last weeks.")
    count = span.days + 1
    first = (now - span).date()
    most = max(one.succeeded + one.failed + one.cancelled for one in days)
    tall, column = 120, (_WIDTH - 60) / count
    canvas = Image.new("RGB", (_WIDTH, _TOP + tall + 30), PAPER)
    draw = ImageDraw.Draw(canvas)
    _legend(draw, (("succeeded", _OWN), ("failed", _FAILED), ("cancelled", _CANCELLED)))
    foot = _TOP + tall
    draw.line([(44, foot), (_WIDTH - 16, foot)], fill=GRID)
    draw.text((38, _TOP), f"{most:,}", fill=FAINT, font=font(), anchor="rm")
    draw.text((38, foot), "0", fill=FAINT, font=font(), anchor="rm")
    for one in days:
        x, y = 44 + column * (one.day - first).days, float(foot)
        for number, ink in ((one.succeeded, _OWN), (one.failed, _FAILED), (one.cancelled, _CANCELLED)):
            if number:
                high = max(2.0, tall * number / most)
                draw.rectangle((x + 1, y - high, x + column - 1, y), fill=ink)
                y -= high
    for when, at, anchor in ((now - span, 44, "lm"), (now, _WIDTH - 16, "rm")):
        draw.text(
            (at, foot + 14), f"{datetime.combine(when.date(), time()):%Y-%m-%d}", fill=FAINT, font=font(), anchor=anchor
        )
    return png(canvas)


def _legend(draw: ImageDraw.ImageDraw, entries: Sequence[tuple[str, str]]) -> None:
    x = 12.0
    for words, ink in entries:
        draw.rectangle((x, 8, x + 12, 20), fill=ink)
        draw.text((x + 18, 14), words, fill=INK, font=font(), anchor="lm")
        x += 36 + font().getlength(words)
