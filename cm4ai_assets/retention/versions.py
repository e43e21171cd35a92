"""Stores that are named by what they were made of and by the version of the code: which of them nobody needs.

    {16 digits of the ZIP's SHA-256}-{edge}-v{pixel code}             tensor, statistics
    {16 digits of the ZIP's SHA-256}-{edge}-v{pixel code}-s{segmentation}   nuclei
    {16 digits of the ZIP's SHA-256}-{edge}-v{pixel code}-{smaller edge}    levels
    {16 digits of the h5ad's digest}-v{code}                          profiles

Belongs here: reading such names, and whether the version that came after is whole. Does not belong here: what refers to
them (`kept`).
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.retention.listing import Listing
from cm4ai_assets.retention.words import What
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.store import Store

_NAME = re.compile(r"(?P<of>\w+(?:-\d+)?)-v(?P<code>\d+)(?:-s(?P<segmentation>\d+)|-(?P<edge>\d+))?\.(?:zarr|parquet)")
_ROOMS: Final = (layout.LEVELS, layout.NUCLEI, layout.TENSORS, layout.PIXEL_STATISTICS, layout.PROFILES)
"""The rooms of such stores."""


class _Name(NamedTuple):
    """What a store is of, the same for every version of the code; and the versions, the later the greater."""

    of: str
    version: tuple[int, int]


def unneeded_stores(store: Store, listing: Listing, stays: set[str]) -> Iterator[tuple[str, What, str]]:
    """Path, class and reason of every store that nothing refers to.

    An older version whose newer one is not whole stays: the newer one is about to be made, or is damaged.
    """
    for room in _ROOMS:
        by_subject = defaultdict[str, list[tuple[tuple[int, int], str]]](list)
        for path in listing.children(room):
            if (name := _parsed(posixpath.basename(path))) is not None:
                by_subject[name.of].append((name.version, path))
        for found in by_subject.values():
            newest = max(found)[1]
            for _, path in found:
                if path in stays:
                    continue
                if path == newest:
                    yield path, What.TENSOR, "no registered release refers to it"
                elif _is_whole(store, room, newest):
                    yield path, What.CODE_VERSION, f"{posixpath.basename(newest)} stands complete"


def _parsed(name: str) -> _Name | None:
    """A store's name taken apart; None for a name that is none."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return _Name(f"{found['of']} {found['edge'] or ''}", (int(found["code"]), int(found["segmentation"] or 0)))


def _is_whole(store: Store, room: str, path: str) -> bool:
    try:
        _require_whole(store, room, path)
    except (Cm4aiError, OSError, ValueError):
        return False
    return True


def _require_whole(store: Store, room: str, path: str) -> None:
    """Raise where a store is not whole. Seldom asked: the library of arrays is imported here."""
    if room == layout.PIXEL_STATISTICS:
        store.digests.hold(path)
        return
    from cm4ai_assets.storage import nuclei, profiles, tensors  # noqa: PLC0415

    require = {layout.NUCLEI: nuclei.require_complete, layout.PROFILES: profiles.require_complete}
    require.get(room, tensors.require_complete)(store.fs, store.address(path))
