"""Paths as people copy them, taken apart: what of the layout a path below the storage is.

Belongs here: from a text to a path of the storage, and from a path to the names in it. Does not belong here: building
paths (`layout`), and what stands there (`store`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from fsspec.core import split_protocol

from cm4ai_assets.storage import layout
from cm4ai_assets.storage.store import Store

BLOBS = "blobs"
BLOB_BYTES, BLOB_BLOCKS = f"{BLOBS}/sha256", f"{BLOBS}/blocks"
RECORDS = (layout.FILE_DIGESTS, layout.MAKINGS, layout.VERIFIED)
"""Rooms of records that stand under the path of what they are about."""

_BLOB = re.compile(rf"{BLOBS}/(?:sha256|blocks|index/sha256)/[0-9a-f]{{2}}/(?P<sha256>[0-9a-f]{{64}})(?:\.json)?")
_STORES = f"{layout.TENSORS}|{layout.NUCLEI}|{layout.PROFILES}|{layout.LEVELS}"
_STORE = re.compile(rf"(?P<path>(?:{_STORES})/[^/]+\.zarr)(?:/(?P<part>.+))?")
_FOLDER = re.compile(
    rf"(?P<folder>(?:{layout.TABLES}|{layout.DOCUMENTS})/\w+(?:/(?:release|condition)=[^/]+)*)(?:/(?P<part>.+))?"
)


def path_within(store: Store, text: str) -> str | None:
    """A path or address as a path of the storage; None if it is none below it, or nothing stands there."""
    return next((one for one in _readings(store, text) if one is not None and store.exists(one)), None)


def _readings(store: Store, text: str) -> Iterator[str | None]:
    """What a text may mean: an address, a path from the storage's root, or one from here."""
    protocol, path = split_protocol(text)
    if protocol is not None:
        known = (store.fs.protocol,) if isinstance(store.fs.protocol, str) else store.fs.protocol
        yield _below(store.root, path) if protocol in known else None
        return
    if not text.startswith("/"):
        yield _below("", text)
    if store.is_local:
        yield _below(str(Path(store.root).resolve()), str(Path(text).resolve()))
    yield _below(store.root, text)


def _below(root: str, path: str) -> str | None:
    """A path relative to a root; None if it is not below it."""
    clean = posixpath.normpath(path)
    if root and not clean.startswith(f"{root}/"):
        return None
    relative = clean.removeprefix(f"{root}/") if root else clean
    return None if relative == "." or relative.startswith(("..", "/")) else relative


def record_of(path: str) -> str | None:
    """The path that a record (`RECORDS`) is about; None for any other path."""
    room = next((room for room in RECORDS if path.startswith(f"{room}/")), None)
    return None if room is None else path.removeprefix(f"{room}/").removesuffix(".json")


def blob_of(path: str) -> str | None:
    """The SHA-256 of the blob that a path stands for, or the record of its blocks; None for any other path."""
    found = _BLOB.fullmatch(path)
    return None if found is None else found["sha256"]


def is_index_entry(path: str) -> bool:
    """The path is that of an entry that says which blob a digest means."""
    return path.startswith(f"{BLOBS}/index/")


def store_of(path: str) -> tuple[str, str | None] | None:
    """The Zarr store that a path is, or lies in, and the part of it; None for any other path."""
    found = _STORE.fullmatch(path)
    return None if found is None else (found["path"], found["part"])


def product_folder_of(path: str) -> tuple[str, str | None] | None:
    """The folder of a partition of a table or document that a path is, or lies in, and the part of it."""
    found = _FOLDER.fullmatch(path)
    return None if found is None else (found["folder"], found["part"])
