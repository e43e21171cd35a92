"""What a format is given, and an export as a whole: from a release and the choices of a person to a folder.

Belongs here: that. Does not belong here: the formats, and the words of the command (`cli.export`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import cast

from cm4ai_assets.access import Release
from cm4ai_assets.exports.coverage import of_images
from cm4ai_assets.exports.formats import Format, format_of
from cm4ai_assets.exports.making import Made, Progress, make
from cm4ai_assets.exports.parts import Plan
from cm4ai_assets.exports.provenance import origin_of
from cm4ai_assets.exports.selection import Selection

_ALL = Selection()


@dataclass(frozen=True)
class Job:
    """What a format is given: a release, what to take of it, and the choices that were made or left.

    `opened` closes what the format opens once the export is written.
    """

    release: Release
    selection: Selection
    pixels: str
    shard_fields: int
    opened: ExitStack


def export(
    release: Release,
    format_name: str,
    folder: Path,
    *,
    selection: Selection = _ALL,
    pixels: str | None = None,
    shard_fields: int | None = None,
    progress: Progress = lambda _done, _total, _unit: None,
) -> Made:
    """Write a release, or a part of it, in a format; or go on with an export that was interrupted.

    Args:
        release: The release.
        format_name: One of `formats.FORMATS`.
        folder: A new or empty folder, or the one that the same export has begun.
        selection: What to take.
        pixels: One of the format's forms of pixels; its own choice if None.
        shard_fields: Fields in a shard, for the formats that have shards; 256 if None.
        progress: See `making.Progress`.

    Raises:
        ConfigurationError: An unknown format or form of pixels, or a folder that holds something else.
        NotMaterializedError: Something that is needed is not published.
        SelectionError: No field meets the selection.
        NoSpaceError: The disk is full, or will be.
    """
    form = format_of(format_name)
    chosen, shard = form.pixels_as(pixels), form.shard_of(shard_fields)
    with ExitStack() as opened:
        plan = _planner(form)(Job(release, selection, chosen, shard, opened))
        if not plan.coverage:
            held = {source["condition"] for source in plan.sources if source.get("condition")}
            plan = replace(plan, coverage=[of_images(release, selection, held)])
        return make(plan, folder, origin_of(release, plan.credits), progress)


def _planner(form: Format) -> Callable[[Job], Plan]:
    module = import_module(f"{__package__}.{form.name.replace('-', '_')}")
    return cast("Callable[[Job], Plan]", module.plan)
