"""Why a table of a release cannot be opened, and what brings it: made nowhere yet, not available yet, or never here.

Belongs here: telling these apart, from the storage alone. Does not belong here: what a job reads (`inputs`), and the
records of tables that were not made (`storage.absences`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import polars as pl

from cm4ai_assets.conditions import Condition, condition_of
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.releases import ReleaseKey
from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.layout import Partition, partitions_of
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import table
from cm4ai_assets.updates.inputs import Feed, feed_of, lock_of
from cm4ai_assets.updates.needs import why_closed


def missing(store: Store, name: str, release: str, condition: Condition | None = None) -> NotMaterializedError:
    """The error for a table that is not published for a release, or for one of its conditions.

    The message says which of four it is: the step found nothing to make and says why; the release publishes no such
    files; they are not available yet; or nobody has materialized the table. The remedy is one that helps in that case.
    """
    partitions = partitions_of(table(name), Partition(release, condition))
    what = (
        f"{name} of {condition or 'any condition'} of {release}" if partitions[0].condition else f"{name} of {release}"
    )
    feed = feed_of(name)
    if reason := _not_made(store, name, feed, partitions):
        return NotMaterializedError(f"{what} was not made: {reason}", remedy=_held_elsewhere(store, name, condition))
    if feed is not None and (lock := lock_of(store, release)) is not None:
        inputs = [rows for part in partitions if (rows := feed.inputs(lock).get(part.condition))]
        if not inputs:
            return NotMaterializedError(
                f"{what} is not there: the release publishes no files of that kind.",
                remedy=_held_elsewhere(store, name, condition),
            )
        today = datetime.now(UTC).date()
        reasons = [why_closed(rows, today, takes_some=feed.takes_some, has_token=False) for rows in inputs]
        if all(reasons):
            return NotMaterializedError(
                f"{what} cannot be made yet: {'; '.join(dict.fromkeys(reasons))}.",
                remedy=f"Materialize it after that. {_held_elsewhere(store, name, condition)}".strip(),
            )
    only = f" --condition {condition}" if condition else ""
    return NotMaterializedError(
        f"{what} is not materialized.", remedy=f"Run `cm4ai materialize --release {release}{only} --select +{name}`."
    )


def require_conditions(store: Store, name: str, release: str, found: pl.DataFrame, wanted: Iterable[str]) -> None:
    """Refuse a table that lacks a condition: readers take all that are published, and would pass over it in silence.

    Args:
        store: The store.
        name: The table.
        release: The release.
        found: What is published of the table, with the column `condition`.
        wanted: The conditions that are needed.

    Raises:
        NotMaterializedError: One of them is not there; see `missing`.
    """
    there = set(found["condition"].unique())
    for condition in wanted:
        if condition not in there:
            raise missing(store, name, release, condition_of(condition))


def _not_made(store: Store, name: str, feed: Feed | None, partitions: Sequence[Partition]) -> str:
    """The recorded reasons, if every partition has one."""
    names = dict.fromkeys([name, *([feed.first] if feed else [])])
    records = Absences(store)
    found = [next((a for one in names if (a := records.find(one, part))), None) for part in partitions]
    return " ".join(dict.fromkeys(f"{one.reason} ({one.noted:%Y-%m-%d})" for one in found if one)) if all(found) else ""


def _held_elsewhere(store: Store, name: str, condition: Condition | None) -> str:
    """Which published releases hold the table; empty if none does."""
    parts = (part for part in store.partitions(name) if condition is None or part.condition == condition)
    held = sorted({part.release for part in parts}, key=ReleaseKey.parse, reverse=True)
    return f"Published for: {', '.join(held)}." if held else ""
