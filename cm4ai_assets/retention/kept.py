"""What stays: all that registered releases refer to, and what those lean on.

Belongs here: which releases count, and when the answer is not known for certain. Does not belong here: what a release
refers to (`references`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cm4ai_assets import tables
from cm4ai_assets.references import NO_RELEASE, Kind, Reference, References
from cm4ai_assets.retention.listing import Listing
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

IsYoung = Callable[[str], bool]
"""Whether anything at or below a path is too young to go."""

_NAMES = frozenset({*(one.name for one in tables.ALL), *(one.name for one in tables.DOCUMENTS)})


@dataclass(frozen=True)
class Kept:
    """What stays.

    Attributes:
        by_release: What each release refers to, by its key: registered ones, and others that stay whole.
        registered: The registered ones, oldest first.
        unknown: Why it is not known for certain what stays, in sentences; empty where it is.
        references: What all of it was asked of.
    """

    by_release: Mapping[str, tuple[Reference, ...]]
    registered: tuple[str, ...]
    unknown: tuple[str, ...]
    references: References

    def paths(self) -> set[str]:
        """The path of everything that stays."""
        return {one.path for found in self.by_release.values() for one in found}


def kept(store: Store, listing: Listing, *, is_young: IsYoung) -> Kept:
    """What stays of a storage. A release that is not registered stays whole in two cases.

    A registered one has the same bytes and reads its tables; or something of it is young: somebody is at work on it.
    """
    unknown: dict[str, str] = {}  # by the path of a table that cannot be read

    def unreadable(table: Reference, error: BaseException) -> None:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        unknown[table.path] = f"{table.path} cannot be read, so what it refers to is not known: {cause}"

    references = References(store, unreadable=unreadable)
    registry = ReleaseRegistry(store)
    registered = tuple(record.key for record in registry.all())
    waiting = [*registered, NO_RELEASE, *_at_work(listing, is_young)]
    by_release: dict[str, tuple[Reference, ...]] = {}
    while waiting:
        release = waiting.pop()
        if release not in by_release:
            by_release[release] = tuple(references.of(release))
            waiting += {one.partition.release for one in by_release[release] if one.kind is Kind.TABLE}
    doubts = (*unknown.values(), *_doubts(listing, registry, registered))
    return Kept(by_release, registered, tuple(dict.fromkeys(doubts)), references)


def product_of(path: str) -> tuple[str, layout.Partition] | None:
    """Name and partition of the table or document whose file a path is; None for any other path."""
    return layout.table_partition(path) or layout.document_partition(path)


def _at_work(listing: Listing, is_young: IsYoung) -> set[str]:
    """The releases of which a table or document is young."""
    young = (path for path in _product_files(listing) if is_young(path))
    return {found[1].release for path in young if (found := product_of(path)) is not None}


def _product_files(listing: Listing) -> list[str]:
    return [path for room in (layout.TABLES, layout.DOCUMENTS) for path in listing.under(room)]


def _doubts(listing: Listing, registry: ReleaseRegistry, registered: tuple[str, ...]) -> Iterator[str]:
    """Why the registry, or this version of the software, may not know everything that is needed."""
    yield from (f"{one} What that release refers to is not known." for one in registry.damaged())
    digests = layout.file_digests_path(layout.RELEASES).removesuffix(".json")
    for path in listing.under(digests):
        record = path.removeprefix(f"{layout.FILE_DIGESTS}/").removesuffix(".json")
        if record not in listing.files:
            yield (
                f"{record} is gone. Restore it (`cm4ai releases --register`), or remove {path} as well if that release "
                "was given up on purpose."
            )
    products = {found[0] for path in _product_files(listing) if (found := product_of(path)) is not None}
    if products and not registered:
        yield "No release is registered here. Register them (`cm4ai releases --register`)."
    for name in sorted(products - _NAMES):
        yield f"{name} is nothing that this version of the software knows; a newer one wrote it. Use that one."
