"""Taking away what could go: in an order in which whatever still stands has all that it needs.

Belongs here: how each class goes, and what is left alone because it is no longer what was looked at. Does not belong
here: what could go (`usage`), and keeping runs away meanwhile (`defs.collecting`).

It can be interrupted at any moment. What refers to other things goes before them, content before its records, and of a
folder first the file without which no reader takes it for complete. What is left could go the next time.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cm4ai_assets.references.following import FOLLOW
from cm4ai_assets.retention.listing import Listing
from cm4ai_assets.retention.words import Removable, What
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.store import Store
from cm4ai_assets.transfer.acquire import clear


@dataclass(frozen=True)
class Removed:
    """What became of one thing: it is gone, or it was left because it had changed since it was looked at."""

    thing: Removable
    gone: bool


def remove(store: Store, could_go: Iterable[Removable], *, scratch: Path | None = None) -> Iterator[Removed]:
    """Take things away, one after the other; each as it is gone.

    Args:
        store: The storage.
        could_go: What `usage` found, in any order.
        scratch: The scratch folder, where something of it could go.
    """
    for one in sorted(could_go, key=_order):
        if one.what.in_scratch:
            gone = scratch is not None and _remove_scratch(scratch, one)
        else:
            gone = _is_unchanged(store, one)
            if gone:
                _WAYS[one.what](store, one.path)
        yield Removed(one, gone)


def _order(one: Removable) -> tuple[int, bool, str]:
    """Of tables first those whose rows name other things."""
    found = layout.table_partition(one.path)
    return list(What).index(one.what), found is None or found[0] not in FOLLOW, one.path


def _is_unchanged(store: Store, one: Removable) -> bool:
    """No process has written there since it was looked at."""
    listing = Listing(store.listing(one.path))
    return listing.size(one.path) == one.size and listing.written(one.path) == one.written


def _remove_blob(store: Store, path: str) -> None:
    BlobStore(store.fs, store.root).withdraw(posixpath.basename(path))


def _remove_store(store: Store, path: str) -> None:
    store.remove(path, first=METADATA if path.endswith(".zarr") else None)


def _remove_document(store: Store, path: str) -> None:
    store.remove(path, first=layout.CURRENT)


def _remove_leftover(store: Store, path: str) -> None:
    if path.startswith(f"{layout.STAGING}/"):
        store.staging.discard(posixpath.basename(path))
    else:
        store.remove(path)


_WAYS: dict[What, Callable[[Store, str], None]] = {
    What.DOCUMENT: _remove_document,
    What.TABLE: Store.remove,
    What.CODE_VERSION: _remove_store,
    What.TENSOR: _remove_store,
    What.BLOB: _remove_blob,
    What.DOCUMENT_VERSION: Store.remove,
    What.RECORD: Store.remove,
    What.LEFTOVER: _remove_leftover,
}


def _remove_scratch(scratch: Path, one: Removable) -> bool:
    """Remove something of the scratch folder; False if a process is at it."""
    path = scratch / one.path
    if path.suffix in {".part", ".json"} and path.parent == scratch:
        clear(scratch, path.stem)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    return not path.exists()
