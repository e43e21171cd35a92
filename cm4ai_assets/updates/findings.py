"""What the quality checks say about a release as it was published, as plain data: one function per check.

Belongs here: checks that warn, over the lock alone, and over the dates of the releases. Does not belong here: what a
name means (`recognition`), whether the archive still offers it (`upstream`), and Dagster, which shows the findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.findings import Finding
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.vocabulary import Modality, Role

OVERDUE_AFTER = timedelta(days=365)
"""Promised quarterly, releases came after 10, 4, 4 and 7.5 months (data reference, 5): a year is no false alarm."""
QUARTER = timedelta(days=92)


def files_recognised(lock: pl.DataFrame) -> Finding:
    """Every file is known: its modality, cell line, treatment and role.

    Protects from a new treatment, cell line or modality that is published and silently made into nothing, or guessed to
    be something else.
    """
    unknown = lock.filter(pl.col("unrecognised_reason").is_not_null())
    reasons = sorted(set(unknown["unrecognised_reason"]))
    message = (
        f"{unknown.height} of {lock.height} files are not known. {' '.join(reasons)} Nothing is made from them. Add a "
        "new treatment to cm4ai_assets/conditions.py, a new kind of name to "
        "cm4ai_assets/archives/dataverse/recognition.py."
    )
    return Finding(
        "files_recognised",
        passed=unknown.is_empty(),
        summary=f"All {lock.height} files are known." if unknown.is_empty() else message,
        rows=unknown.select("directory", "label", "size", "unrecognised_reason"),
        counts={"files": lock.height, "unknown": unknown.height},
    )


def file_names_safe(lock: pl.DataFrame) -> Finding:
    """Every published name can be a path on every filesystem.

    Protects from files that overwrite each other or leave their folder where a release is written out under its
    published names. Such a file is locked, stored and read like any other; exports give it a name of its own.
    """
    # A lock of before the flag has no such column: then no release with an odd name could be locked.
    odd = lock.filter(pl.col("name_problem").is_not_null()) if "name_problem" in lock.columns else lock.clear()
    message = f"{odd.height} of {lock.height} files have names that must not become paths; exports rename them."
    return Finding(
        "file_names_safe",
        passed=odd.is_empty(),
        summary=message if odd.height else f"All {lock.height} names can be paths.",
        rows=odd.select("file_id", "directory", "label", *[c for c in ("name_problem",) if c in odd.columns]),
        counts={"files": lock.height, "odd": odd.height},
    )


def digests_published(lock: pl.DataFrame) -> Finding:
    """Every file has a published digest.

    Protects from bytes that are held against their size only: other bytes of the same size would pass as published.
    """
    without = lock.filter(pl.col("digest").is_null())
    shown = [column for column in ("digest_problem",) if column in without.columns]  # not in a lock of before it
    return Finding(
        "digests_published",
        passed=without.is_empty(),
        summary=f"{without.height} of {lock.height} files have none; their size is all that can be held against."
        if without.height
        else f"All {lock.height} files have one.",
        rows=without.select("file_id", "directory", "label", "size", *shown),
        counts={"files": lock.height, "without": without.height},
    )


def image_archives_paired(lock: pl.DataFrame) -> Finding:
    """A release with image archives has exactly one for each condition.

    Protects from a condition that is missing from every table without anybody having left it out, and from two archives
    of which one would be taken by chance.
    """
    images = lock.filter(pl.col("modality") == Modality.IF, pl.col("role") == Role.IMAGES)
    found = {str(c): images.filter(pl.col("file_condition") == c) for c in CONDITIONS}
    odd = [f"{condition} has {rows.height}" for condition, rows in found.items() if rows.height != 1]
    if images.is_empty():
        return Finding("image_archives_paired", passed=True, summary="This release has no image archives.")
    return Finding(
        "image_archives_paired",
        passed=not odd,
        summary=f"Not one image archive each: {', '.join(odd)}." if odd else "One image archive for each condition.",
        rows=images.select("directory", "label", "size", "file_condition"),
        counts={"image_archives": images.height},
    )


def files_accessible(lock: pl.DataFrame) -> Finding:
    """Every file is available; names those that are not, and until when.

    Protects from taking a partial release for a whole one. An embargo or a restriction is a state of the release and no
    fault: what depends on such a file waits.
    """
    closed = lock.filter(pl.col("access") != "public")
    per_state = ", ".join(
        f"{count} {state}" for state, count in closed["access"].value_counts(sort=True).sort("access").iter_rows()
    )
    until: list[date] = sorted(closed["available_on"].drop_nulls())
    first = f" The first embargo ends on {until[0]}; from then on the file is available." if until else ""
    return Finding(
        "files_accessible",
        passed=closed.is_empty(),
        summary=f"{per_state} of {lock.height} files.{first}" if closed.height else "Every file is public.",
        rows=closed.select("directory", "label", "size", "access", "available_on", "unavailable_from"),
        counts={"files": lock.height, "not_public": closed.height},
    )


LOCK_CHECKS = (files_recognised, file_names_safe, digests_published, image_archives_paired, files_accessible)


def release_due(records: Sequence[ReleaseRecord], now: datetime) -> Finding:
    """A new dataset is published about every quarter; warns when none has been for a year, longer than any gap so far.

    Protects from silence: either the project has stopped, or releases go elsewhere and this platform does not see them.
    """
    first_seen: dict[str, datetime] = {}
    for record in records:
        first_seen[record.doi] = min(record.came_out, first_seen.get(record.doi, record.came_out))
    if not first_seen:
        return Finding("release_due", passed=False, summary="No release is registered yet.")
    days = sorted(first_seen.values())
    longest = max((later - earlier for earlier, later in pairwise(days)), default=timedelta())
    since = now - days[-1]
    late = f", {(since - QUARTER).days} days more than a quarter" if since > QUARTER else ""
    return Finding(
        "release_due",
        passed=since <= OVERDUE_AFTER,
        summary=f"The newest dataset came out on {days[-1]:%Y-%m-%d}, {since.days} days ago{late}. The longest gap so "
        f"far was {longest.days} days; this warns after {OVERDUE_AFTER.days}.",
        counts={"days_since_last": since.days, "longest_gap_days": longest.days, "datasets": len(days)},
    )


def records_readable(damaged: Sequence[str]) -> Finding:
    """Every file among the records of registered releases can be read and bears the key that it is named after.

    Protects from a release that disappears from every list because one small file was damaged, moved or edited.
    """
    moved = "Restore the file, or move it away and run `cm4ai releases --register`."
    return Finding(
        "records_readable",
        passed=not damaged,
        summary=f"{' '.join(damaged)} {moved}" if damaged else "Every record can be read.",
        counts={"damaged": len(damaged)},
    )
