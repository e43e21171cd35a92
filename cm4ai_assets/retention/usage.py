"""How many bytes each release takes, and what of the storage and of the scratch folder could go.

Belongs here: that one value, which `cm4ai gc`, `cm4ai status` and the status page show. Does not belong here: what
stays (`kept`), what nobody needs (`stored`, `scratch`), and taking it away (`removing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cm4ai_assets.references import Kind, Reference
from cm4ai_assets.retention.kept import Kept, kept
from cm4ai_assets.retention.listing import Listing
from cm4ai_assets.retention.scratch import old_scratch
from cm4ai_assets.retention.stored import Unneeded
from cm4ai_assets.retention.words import Removable, What
from cm4ai_assets.storage.documents import read_current
from cm4ai_assets.storage.store import Store

YOUNG: Final = timedelta(hours=24)
"""What was written later than so long ago stays: another process may be about to publish what refers to it."""


@dataclass(frozen=True)
class ReleaseUsage:
    """Bytes of what one registered release refers to: blobs, tables, stores and documents.

    Attributes:
        release: Its key.
        size: All of it.
        own: What only this release refers to: so much would go with it.
        shared: What others refer to as well.
        by_kind: All of it by what it is (`references.Kind`).
    """

    release: str
    size: int
    own: int
    shared: int
    by_kind: Mapping[Kind, int]


@dataclass(frozen=True)
class Usage:
    """What a storage holds.

    Attributes:
        releases: The registered releases, oldest first.
        stored: Bytes of all files of the storage.
        could_go: What could go, in the order in which it would be removed.
        young: What nothing refers to, and what is too young to go.
        unknown: Why it is not known what releases refer to, in sentences; then `could_go` has nothing that depends on
            it. Empty where it is known.
        at: When the storage was looked at, by its own clock (UTC).
    """

    releases: tuple[ReleaseUsage, ...]
    stored: int
    could_go: tuple[Removable, ...]
    young: tuple[Removable, ...]
    unknown: tuple[str, ...]
    at: datetime

    @property
    def size_that_could_go(self) -> int:
        """Bytes of `could_go`."""
        return sum(one.size for one in self.could_go)

    def by_class(self) -> dict[What, tuple[int, int]]:
        """How many things of each class could go, and their bytes; classes without any are left out."""
        counts, sizes = Counter(one.what for one in self.could_go), Counter[What]()
        for one in self.could_go:
            sizes[one.what] += one.size
        return {what: (counts[what], sizes[what]) for what in What if what in counts}


def usage(store: Store, *, scratch: Path | None = None, young: timedelta = YOUNG) -> Usage:
    """What a storage holds, now. Nothing is changed.

    Args:
        store: The storage.
        scratch: The scratch folder (CM4AI_SCRATCH); it is not looked at if not given.
        young: What was written later than so long ago stays.
    """
    at, listing = store.now(), Listing(store.listing())

    def is_young(path: str) -> bool:
        return _is_young(listing.written(path), at - young)

    stays = kept(store, listing, is_young=is_young)
    found = sorted(_unneeded(store, listing, stays, is_young), key=lambda one: (list(What).index(one.what), one.path))
    return Usage(
        releases=_by_release(store, listing, stays),
        stored=sum(file.size for file in listing.files.values()),
        could_go=(
            *(one for one in found if not _is_young(one.written, at - young)),
            *(old_scratch(scratch, at) if scratch is not None else ()),
        ),
        young=tuple(one for one in found if _is_young(one.written, at - young)),
        unknown=stays.unknown,
        at=at,
    )


def _is_young(written: datetime | None, since: datetime) -> bool:
    """What the storage does not state the age of counts as young."""
    return written is None or written >= since


def _unneeded(store: Store, listing: Listing, stays: Kept, is_young: Callable[[str], bool]) -> list[Removable]:
    """What nobody needs, of whatever age; each path once."""
    unneeded = Unneeded(store, listing, stays)
    found = list(unneeded.left_behind())
    if not stays.unknown:
        unreferenced = list(unneeded.unreferenced())
        leaving = {one.path for one in unreferenced if not is_young(one.path)}
        found += [*unreferenced, *unneeded.software(leaving)]
    return list({one.path: one for one in found}.values())


def _by_release(store: Store, listing: Listing, stays: Kept) -> tuple[ReleaseUsage, ...]:
    sizes = {
        one.path: sum(listing.size(path) for path in _places(store, one))
        for found in stays.by_release.values()
        for one in found
    }
    users = Counter(path for found in stays.by_release.values() for path in {one.path for one in found})
    return tuple(_of_release(release, stays.by_release[release], sizes, users) for release in stays.registered)


def _of_release(
    release: str, found: Iterable[Reference], sizes: Mapping[str, int], users: Mapping[str, int]
) -> ReleaseUsage:
    by_kind, own = Counter[Kind](), 0
    for one in found:
        by_kind[one.kind] += sizes[one.path]
        own += sizes[one.path] if users[one.path] == 1 else 0
    size = by_kind.total()
    return ReleaseUsage(release, size, own, size - own, dict(by_kind))


def _places(store: Store, one: Reference) -> list[str]:
    """Where the files of a reference stand; of a document those of its published version."""
    if one.kind is not Kind.DOCUMENT:
        return [one.path]
    try:
        return [read_current(store, one.path).folder]
    except Exception:  # noqa: BLE001 - damage, of which its check speaks
        return [one.path]
