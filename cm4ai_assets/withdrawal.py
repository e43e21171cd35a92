"""Taking damaged things out of the storage, so that they are fetched or made again.

Belongs here: `cm4ai withdraw`. Only what is damaged goes: it is read first, and what is whole stays.
"""

from __future__ import annotations

import re

from cm4ai_assets.errors import ConfigurationError, NotDamagedError
from cm4ai_assets.references import Kind, Reference, everything
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.store import Store
from cm4ai_assets.verification import check

_SHA256 = re.compile("[0-9a-f]{64}")


def withdraw(store: Store, thing: str) -> str:
    """Take a damaged blob, table, tensor, its statistics or a document away; what was wrong with it.

    Args:
        store: The storage.
        thing: The SHA-256 of a blob, or a path below the storage root, as `cm4ai verify` names them.

    Raises:
        ConfigurationError: Nothing stored is called that, or it is the record of a release, which nothing brings back.
        NotDamagedError: It was read, and is what was published.
    """
    blobs = BlobStore(store.fs, store.root)
    path = blobs.path(thing.lower()) if _SHA256.fullmatch(thing.lower()) else thing.strip("/")
    found = next((one for one in everything(store, unreadable=lambda _, __: None) if one.path == path), None)
    if found is None or found.kind is Kind.RECORD:
        raise ConfigurationError(f"{thing!r} is nothing that can be withdrawn.", remedy="`cm4ai verify` names what is.")
    result = check(store, found)
    if not result.problems:
        raise NotDamagedError(f"{result.what} is what was published ({result.size:,} bytes read now) and stays.")
    _remove(store, blobs, found)
    return result.problems[0]


def _remove(store: Store, blobs: BlobStore, found: Reference) -> None:
    if found.kind is Kind.BLOB:
        blobs.withdraw(found.path.rsplit("/", 1)[-1])
    else:
        store.remove(found.path)
