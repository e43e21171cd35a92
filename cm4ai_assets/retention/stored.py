"""What of a storage nobody needs, class by class, of whatever age.

Belongs here: from what stands and what stays to what could go. Does not belong here: ages (`usage`), stores that are
named by a version of the code (`versions`), and the scratch folder (`scratch`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from cm4ai_assets.errors import DocumentError
from cm4ai_assets.retention.kept import Kept
from cm4ai_assets.retention.listing import Listing
from cm4ai_assets.retention.versions import unneeded_stores
from cm4ai_assets.retention.words import Removable, What
from cm4ai_assets.storage import documents, layout
from cm4ai_assets.storage.addresses import BLOB_BLOCKS, BLOB_BYTES, RECORDS, blob_of, record_of
from cm4ai_assets.storage.disk import is_temporary
from cm4ai_assets.storage.store import Store


@dataclass(frozen=True)
class Unneeded:
    """What nobody needs of one storage.

    Args:
        store: The storage.
        listing: Its files.
        kept: What stays.
    """

    store: Store
    listing: Listing
    kept: Kept

    @cached_property
    def stays(self) -> set[str]:
        """The path of everything that a release refers to."""
        return self.kept.paths()

    def unreferenced(self) -> Iterator[Removable]:
        """What could go because nothing refers to it: for certain only where it is known what stays."""
        yield from self._documents()
        yield from self._tables()
        for path, what, reason in unneeded_stores(self.store, self.listing, self.stays):
            yield self._one(what, path, reason)
        for path in self.listing.under(BLOB_BYTES):
            if path not in self.stays and blob_of(path) is not None:
                yield self._one(What.BLOB, path, "no registered release refers to it")
        yield from self._absences()

    def left_behind(self) -> Iterator[Removable]:
        """What could go whatever releases refer to: replaced, cut short, or about something that is gone."""
        yield from self._document_versions()
        yield from self._records()
        yield from self._leftovers()

    def software(self, leaving: set[str]) -> Iterator[Removable]:
        """Source and distributions that no record of a run names, but for the records of what is `leaving`."""
        subjects = [record_of(path) or "" for path in self.listing.under(layout.MAKINGS)]
        named = {one.path for one in self.kept.references.software_of(one for one in subjects if one not in leaving)}
        for room in (layout.ENVIRONMENTS, layout.SOFTWARE):
            for path in self.listing.under(room):
                if path not in named and not is_temporary(path):
                    yield self._one(What.RECORD, path, "no record of a run names it")

    def _one(self, what: What, path: str, reason: str) -> Removable:
        return Removable(what, path, self.listing.size(path), reason, self.listing.written(path))

    def _tables(self) -> Iterator[Removable]:
        for path in self.listing.under(layout.TABLES):
            found = layout.table_partition(path)
            if found is not None and path not in self.stays:
                yield self._one(What.TABLE, path, f"release {found[1].release} is not registered")

    def _documents(self) -> Iterator[Removable]:
        for path in self.listing.under(layout.DOCUMENTS):
            found, base = layout.document_partition(path), posixpath.dirname(path)
            if found is not None and base not in self.stays:
                yield self._one(What.DOCUMENT, base, f"release {found[1].release} is not registered")

    def _document_versions(self) -> Iterator[Removable]:
        """Versions that are not published; of a document whose record is damaged none."""
        for path in self.listing.under(layout.DOCUMENTS):
            base = posixpath.dirname(path)
            if layout.document_partition(path) is None or base not in self.stays:
                continue
            try:
                published = documents.read_current(self.store, base).folder
            except (DocumentError, FileNotFoundError):
                continue
            for one in self.listing.children(base):
                if one not in {path, published} and not is_temporary(one):
                    yield self._one(What.DOCUMENT_VERSION, one, f"{posixpath.basename(published)} is published")

    def _records(self) -> Iterator[Removable]:
        """Records of what is gone. Those of release records say that one is missing (`kept`), and stay."""
        for path in (path for room in RECORDS for path in self.listing.under(room)):
            about = record_of(path) or ""
            if not is_temporary(path) and not about.startswith(layout.RELEASES) and not self.listing.under(about):
                yield self._one(What.RECORD, path, f"{about} is gone")
        for path in self.listing.under(BLOB_BLOCKS):
            sha256 = blob_of(path)
            if sha256 is not None and f"{BLOB_BYTES}/{sha256[:2]}/{sha256}" not in self.listing.files:
                yield self._one(What.RECORD, path, "its blob is gone")

    def _absences(self) -> Iterator[Removable]:
        """Why something was not made, of releases that are not registered."""
        for path in self.listing.under(layout.ABSENCES):
            release = layout.absence_release(path)
            if release is not None and release not in self.kept.by_release:
                yield self._one(What.RECORD, path, f"release {release} is not registered")

    def _leftovers(self) -> Iterator[Removable]:
        """What processes that were killed left: folders in the making, and files that were not yet renamed."""
        for folder in self.listing.children(layout.STAGING):
            if folder not in self.listing.files:
                yield self._one(What.LEFTOVER, folder, "its process ended before it was published")
        for path in self.listing.files:
            name, in_staging = posixpath.basename(path), path.startswith(f"{layout.STAGING}/")
            is_own = not path.startswith(f"{layout.DOCUMENTS}/") or name.startswith((".", f"{layout.CURRENT}."))
            if is_temporary(name) and is_own and not in_staging:
                yield self._one(What.LEFTOVER, path, "its process ended before it was renamed")
