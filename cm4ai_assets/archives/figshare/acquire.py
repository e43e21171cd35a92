"""Files of a Figshare article: stored by content, verified by their published MD5, or read by range where they are.

Belongs here: where a locked file is, and what a refusal means for it. Does not belong here: storing or fetching once
(`transfer.acquire`), which item of the engine it is (`locked_file`), and what an article holds (`lock`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from cm4ai_assets.archives.figshare.client import FigshareClient
from cm4ai_assets.archives.figshare.lock import access_of
from cm4ai_assets.archives.figshare.locked_file import FigshareFile, item_of, name_of
from cm4ai_assets.errors import ArchiveError, DigestMismatchError, SizeMismatchError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.acquire import Acquired, stored_or_fetched
from cm4ai_assets.transfer.download import Progress
from cm4ai_assets.transfer.errors import AccessDeniedError, NotFoundError, ReplacedError, UnverifiableError
from cm4ai_assets.transfer.pieces import HttpBytes, HttpFile, Traffic
from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)
_TO_EXPLAIN = (AccessDeniedError, NotFoundError, SizeMismatchError, DigestMismatchError)
_WHY = {
    "restricted": ("is not public", "Ask its authors."),
    "blocked": ("may not be downloaded: its article has downloads switched off", "Ask its authors."),
    "linked": ("is a link to somewhere else, and Figshare holds no bytes of it", "Fetch it from there by hand."),
    "gone": ("is no longer in this version of its article", "Materialize figshare_files again to see the change."),
}


def acquire(
    file: FigshareFile,
    client: FigshareClient,
    blobs: BlobStore,
    scratch: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    retries: RetryPolicy | None = None,
) -> Acquired:
    """The stored bytes of a locked file; fetched only if nothing before had them.

    Raises:
        AccessDeniedError: The file is not accessible, or not yet; `state` and `until` say more. Nothing is wrong.
        SizeMismatchError: Figshare sends other bytes than it published.
        DigestMismatchError: The same; as `ReplacedError` where it has meanwhile published others.
        ArchiveError: It could not be fetched; what has arrived is kept for the next time.
    """
    return stored_or_fetched(
        item_of(file),
        lambda: _ways(file, client),
        blobs,
        scratch,
        progress=progress,
        retries=retries or client.retries,
        explain=lambda error: _explained(error, file, client),
    )


def by_range(file: FigshareFile, client: FigshareClient, traffic: Traffic | None = None) -> HttpBytes:
    """A locked file where it is, to be read at any position; `traffic` counts what that costs.

    Raises:
        AccessDeniedError: It is not accessible, or not yet.
        UnverifiableError: Its size is not stated.
    """
    if file.size is None:
        raise UnverifiableError(
            f"Figshare does not state the size of {name_of(file)}.", remedy="It is not read in parts."
        )
    return HttpBytes(_ways(file, client), file.size, traffic)


def _ways(file: FigshareFile, client: FigshareClient) -> list[HttpFile]:
    """Where the file is, if it may be asked for.

    Raises:
        AccessDeniedError: It is known that Figshare would refuse; it is not even asked.
    """
    today = datetime.now(UTC).date()
    over = file.access == "embargoed" and file.embargo_until is not None and today >= file.embargo_until
    if file.access != "public" and not over:
        raise _denied(file, file.access, file.embargo_until)
    return client.file(file.file_id, name_of(file), file.url)


def _denied(file: FigshareFile, state: str, until: date | None) -> AccessDeniedError:
    if state == "embargoed":
        why = f"is embargoed until {until}" if until else "is embargoed without a stated end"
        remedy = "It is tried again after that day." if until else "Ask its authors."
    else:
        why, remedy = _WHY.get(state, (f"is not accessible: {state}", "Ask its authors."))
    return AccessDeniedError(f"{name_of(file)} {why}.", remedy=remedy, state=state, until=until)


def _explained(error: ArchiveError, file: FigshareFile, client: FigshareClient) -> ArchiveError:
    """What a refusal means, by listing the article's version once more: it may have changed since it was locked."""
    if not isinstance(error, _TO_EXPLAIN):
        return error
    try:
        article, day = client.article(file.article_id, file.article_version)
    except ArchiveError as other:
        _log.info("Article %s could not be listed again: %s", file.article_id, other)
        return error
    now = next((known for known in article.files if known.id == file.file_id), None)
    state, until, _ = access_of(article, now, day)
    if state != "public" or now is None:
        return _denied(file, state if state != "public" else "gone", until)
    if (now.md5, now.size) == (file.md5, file.size):
        return error
    return ReplacedError(
        f"Figshare now states another size or digest for {name_of(file)} than when it was locked.",
        remedy=f"{error} Materialize figshare_files again to see the change.",
    )
