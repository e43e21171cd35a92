"""What changed from one lock to another: same bytes, renamed, replaced, added, removed.

Belongs here: pairing the files of two locks, and saying in words what came out. Does not belong here: which two are
compared (`releases.releases_before`), and what follows from it (`needs`).

Files are paired by their bytes first and by their place second, never by base name: one release has three files called
`ro-crate-metadata.json`, others carry the same ZIP under other names, or other bytes under the same name (data
reference, section 5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import polars as pl

from cm4ai_assets.tables.release import CHANGES, RELEASE_CHANGES

Row = Mapping[str, Any]
Pair = tuple[Row | None, Row | None]

_SIDE = ("directory", "label", "file_id", "size", "digest_type", "digest", "access")
_SUBSET = ("modality", "cell_line", "file_condition", "role")


def compare(before: pl.DataFrame | None, after: pl.DataFrame, *, release: str, against: str | None) -> pl.DataFrame:
    """Two locks, file by file, as a frame of `release_changes`: what needs attention first, then by place.

    Args:
        before: The earlier lock; None if there is no release before.
        after: The later lock.
        release: Release key of the later lock.
        against: Release key of the earlier one.
    """
    old: Sequence[Row] = [] if before is None else before.rows(named=True)
    pairs = _paired(old, after.rows(named=True))
    gone = [was for was, now in pairs if was is not None and now is None]
    new = [now for was, now in pairs if was is None and now is not None]
    rows = [_row(was, now, against, _counterpart(was, now, gone, new)) for was, now in pairs]
    order = {change: place for place, change in enumerate(("replaced", "added", "removed", "renamed", "unchanged"))}
    rows.sort(key=lambda row: (order[str(row["change"])], *_place_of(row)))
    return RELEASE_CHANGES.from_rows(rows, release=release)


def same_bytes(one: Row, other: Row) -> bool:
    """Whether two rows of locks mean the same bytes: by digest, else by file id, which a replacement changes."""
    if one["digest"] and other["digest"] and one["digest_type"] == other["digest_type"]:
        return bool(one["digest"] == other["digest"])
    return _identity(one) == _identity(other)


def marks(row: Row) -> frozenset[Hashable]:
    """What rows can be looked up by: two that mean the same bytes (`same_bytes`) have at least one mark in common."""
    return frozenset(mark for mark in (_digest(row), _identity(row)) if mark is not None)


def summary(changes: pl.DataFrame) -> str:
    """What happened, in one sentence.

    >>> summary(RELEASE_CHANGES.empty())
    'No files.'
    """
    counts = dict(changes["change"].value_counts().iter_rows())
    parts = [f"{counts[change]} {_WORDS[change]}" for change in CHANGES if counts.get(change)]
    if access := int(changes["access_changed"].sum()):
        parts.append(f"access changed for {access}")
    return f"{', '.join(parts).capitalize()}." if parts else "No files."


def new_bytes(changes: pl.DataFrame) -> int:
    """Bytes of this release that the release before did not have, each content once."""
    known = set(changes["previous_digest"].drop_nulls())
    fresh = changes.filter(pl.col("change").is_in(["added", "replaced"])).rows(named=True)
    sizes = {row["digest"] or row["file_id"]: row["size"] or 0 for row in fresh if row["digest"] not in known}
    return sum(sizes.values())


_WORDS = {
    "unchanged": "unchanged",
    "renamed": "renamed with the same bytes",
    "replaced": "replaced by other bytes",
    "added": "added",
    "removed": "removed",
}


def _paired(old: Sequence[Row], new: Sequence[Row]) -> list[Pair]:
    """Every file of both sides, once. Each rule takes what the rules before it left."""
    # Where several files have the same bytes, the one whose name is gone is the one that was renamed.
    places = {_path(row) for row in new}
    left_old, left_new = sorted(old, key=lambda row: (_path(row) in places, _path(row))), sorted(new, key=_path)
    pairs: list[Pair] = []
    rules: tuple[tuple[Callable[[Row], Hashable], bool], ...] = (
        (_path, True),  # unchanged
        (_identity, True),  # renamed within the dataset
        (_digest_and_label, True),  # moved, or published again by another dataset
        (_digest, True),  # renamed
        (_path, False),  # replaced
        (_file, False),  # other bytes under the same id, which the archive says cannot be
    )
    for key, needs_same_bytes in rules:
        waiting: dict[Hashable, list[Row]] = defaultdict(list)
        for was in left_old:
            if (name := key(was)) is not None:
                waiting[name].append(was)
        for now in list(left_new):
            found = next((w for w in waiting.get(key(now), ()) if not needs_same_bytes or same_bytes(w, now)), None)
            if found is not None:
                waiting[key(now)].remove(found)
                left_old.remove(found)
                left_new.remove(now)
                pairs.append((found, now))
    return [*pairs, *((was, None) for was in left_old), *((None, now) for now in left_new)]


def _path(row: Row) -> tuple[str, str]:
    return row["directory"], row["label"]


def _file(row: Row) -> Hashable:
    return row["doi"], row["file_id"]


def _identity(row: Row) -> Hashable:
    return row["doi"], row["file_id"], row["size"]


def _digest(row: Row) -> Hashable:
    return (row["digest_type"], row["digest"]) if row["digest"] else None


def _digest_and_label(row: Row) -> Hashable:
    return (row["digest_type"], row["digest"], row["label"]) if row["digest"] else None


def _row(was: Row | None, now: Row | None, against: str | None, counterpart: str | None) -> dict[str, object]:
    known = now or was or {}
    return {
        "against": against,
        "change": _change(was, now),
        **{name: now[name] if now else None for name in _SIDE},
        **{f"previous_{name}": was[name] if was else None for name in _SIDE},
        "access_changed": was is not None and now is not None and was["access"] != now["access"],
        "counterpart": counterpart,
        **{name: known[name] for name in _SUBSET},
    }


def _change(was: Row | None, now: Row | None) -> str:
    if was is None:
        return "added"
    if now is None:
        return "removed"
    if not same_bytes(was, now):
        return "replaced"
    return "unchanged" if _path(was) == _path(now) else "renamed"


def _counterpart(was: Row | None, now: Row | None, gone: Sequence[Row], new: Sequence[Row]) -> str | None:
    """The file that stands for the same thing on the other side, where exactly one does."""
    if (was is None) == (now is None):
        return None
    one, same, other = (was, gone, new) if now is None else (now, new, gone)
    subset = _subset(one or {})
    alike = [row for row in same if _subset(row) == subset]
    found = [row for row in other if _subset(row) == subset]
    if subset is None or len(alike) != 1 or len(found) != 1:
        return None
    return f"{found[0]['directory']}/{found[0]['label']}".lstrip("/")


def _subset(row: Row) -> tuple[Any, ...] | None:
    subset = tuple(row.get(name) for name in _SUBSET)
    return subset if row.get("role") else None


def _place_of(row: Mapping[str, object]) -> tuple[str, str]:
    side = "" if row["label"] is not None else "previous_"
    return str(row[f"{side}directory"]), str(row[f"{side}label"])
