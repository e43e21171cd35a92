"""A file of a sequencing run as an item of the engine, and its stored bytes.

Belongs here: what needs no client. Does not belong here: fetching (`acquire`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cm4ai_assets.archives.ena.reports import RunFile
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.acquire import Item, stored


def run_files(row: Mapping[str, Any]) -> list[RunFile]:
    """The files of a row of `sra_runs`."""
    columns = (row["file_names"], row["file_urls"], row["file_sizes"], row["file_md5s"])
    return [RunFile(row["files_kind"], name, url, size, md5) for name, url, size, md5 in zip(*columns, strict=True)]


def item_of(file: RunFile) -> Item:
    """A file of a run as any archive's item. Without a digest its address stands for its bytes."""
    label, identity = f"{file.name} ({file.url})", f"run {file.url} {file.size}"
    return Item(label, identity, file.size, "MD5" if file.md5 else None, file.md5)


def stored_blob(file: RunFile, blobs: BlobStore) -> Blob | None:
    """The stored bytes of a file of a run; None if they are not stored."""
    return stored(item_of(file), blobs)
