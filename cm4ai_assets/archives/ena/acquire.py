"""Files of sequencing runs, pulled on request: stored by content, verified by their published MD5.

Belongs here: a file of a run as an item of the engine. Does not belong here: choosing what to pull and what it may take
(`archives.pulling`), and which files a run has (`reports`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cm4ai_assets.archives.ena.ena import EnaClient
from cm4ai_assets.archives.ena.reports import RunFile
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.acquire import Acquired, Item, stored, stored_or_fetched
from cm4ai_assets.transfer.download import Progress
from cm4ai_assets.transfer.retries import RetryPolicy


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


def acquire(
    file: RunFile,
    client: EnaClient,
    blobs: BlobStore,
    scratch: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    retries: RetryPolicy | None = None,
) -> Acquired:
    """The stored bytes of a file of a run; fetched only if nothing before had them.

    Raises:
        UnverifiableError: No size is published.
        SizeMismatchError: Other bytes came than were published.
        DigestMismatchError: The same.
        ArchiveError: It could not be fetched; what has arrived is kept for the next time.
    """
    return stored_or_fetched(
        item_of(file),
        lambda: [client.file(file.url, file.name)],
        blobs,
        scratch,
        progress=progress,
        retries=retries or client.retries,
    )
