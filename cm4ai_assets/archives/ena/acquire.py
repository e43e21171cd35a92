"""Files of sequencing runs, pulled on request: stored by content, verified by their published MD5.

Belongs here: fetching one. Does not belong here: choosing what to pull and what it may take (`archives.pulling`), which
files a run has (`reports`), and which item of the engine each is (`run_file`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cm4ai_assets.archives.ena.ena import EnaClient
from cm4ai_assets.archives.ena.reports import RunFile
from cm4ai_assets.archives.ena.run_file import item_of
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.acquire import Acquired, stored_or_fetched
from cm4ai_assets.transfer.download import Progress
from cm4ai_assets.transfer.retries import RetryPolicy


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
