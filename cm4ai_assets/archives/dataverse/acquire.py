"""From a row of the lock to a stored blob.

Belongs here: a locked file as a remote file of the engine, and what a refusal means for it. Does not belong here:
storing or fetching once (`transfer.acquire`), which item it is and whether it may be asked for (`locked_file`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.locked_file import (
    LockedFile,
    access_state,
    denial,
    fetched_size,
    item_of,
    may_be_asked_for,
    published_digest,
)
from cm4ai_assets.archives.dataverse.model import File
from cm4ai_assets.errors import ArchiveError, DigestMismatchError, SizeMismatchError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.transfer.acquire import Acquired, fetch_to, stored_or_fetched
from cm4ai_assets.transfer.download import Progress
from cm4ai_assets.transfer.errors import (
    AccessDeniedError,
    BlockedByWafError,
    DeaccessionedError,
    GuestbookRequiredError,
    NotFoundError,
    OfflineError,
    ReplacedError,
    UnverifiableError,
)
from cm4ai_assets.transfer.pieces import FileStream, HttpBytes, Traffic, is_page
from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)

_TO_EXPLAIN = (AccessDeniedError, NotFoundError, SizeMismatchError, DigestMismatchError)


def acquire(
    file: LockedFile,
    client: DataverseClient | None,
    blobs: BlobStore,
    scratch: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    counted: bool = True,
    retries: RetryPolicy | None = None,
) -> Acquired:
    """The stored bytes of a locked file; fetched only if no release before had them.

    Args:
        file: What is wanted.
        client: The archive; None to go without (offline): then no socket is opened.
        blobs: Where bytes are stored.
        scratch: Local folder of partial downloads, shared by all processes that might want the same file.
        progress: Called with how far the download is.
        counted: Whether the archive should count the download; not in tests.
        retries: Retry policy of the download; the client's by default.

    Raises:
        AccessDeniedError: The file is not accessible, or not yet; `state` and `until` say more. Nothing is wrong.
        OfflineError: It is not stored and there is no client.
        SizeMismatchError: The archive sends other bytes than it published.
        DigestMismatchError: The same; as `ReplacedError` where it has meanwhile published others.
        ArchiveError: It could not be fetched; what has arrived is kept for the next time.
    """
    return stored_or_fetched(
        item_of(file),
        lambda: _remotes(file, client, scratch),
        blobs,
        scratch,
        progress=progress,
        counted=counted,
        retries=retries or (client.retries if client else None),
        explain=lambda error: _explained(error, file, client),
    )


def fetch_file(file: LockedFile, client: DataverseClient, target: Path, scratch: Path) -> None:
    """A locked file as a file of the reader's own: verified like any other, and only then under its name.

    Raises:
        ArchiveError: As `acquire`.
    """
    fetch_to(
        target,
        item_of(file),
        lambda: _remotes(file, client, scratch),
        scratch,
        retries=client.retries,
        explain=lambda error: _explained(error, file, client),
    )


def by_range(file: LockedFile, client: DataverseClient, traffic: Traffic | None = None) -> ByteSource:
    """A locked file where it is, to be read at any position; `traffic` counts what that costs.

    Parts are small and somebody waits for them: they take no transfer slot, and the archive does not count them as
    downloads. They cannot be held against the digest, which is of the whole.

    Raises:
        AccessDeniedError: It is not accessible, or not yet.
        UnverifiableError: Its size is not stated.
    """
    if file.size is None:
        raise UnverifiableError(
            f"The archive does not state the size of {file.path}.", remedy="It is not read in parts."
        )
    _require_access(file, client)
    return _Explained(HttpBytes([DataverseFile(client, file)], file.size, traffic), file, client)


class _Explained:
    """A byte source whose refusals say what they mean for this file."""

    def __init__(self, source: HttpBytes, file: LockedFile, client: DataverseClient) -> None:
        self.name, self.size = source.name, source.size
        self._source, self._file, self._client = source, file, client

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource.read_at`."""
        try:
            return self._source.read_at(offset, length)
        except ArchiveError as error:
            explained = _explained(error, self._file, self._client)
            if explained is error:
                raise
            raise explained from error


def _remotes(file: LockedFile, client: DataverseClient | None, scratch: Path) -> list[DataverseFile]:
    """The archive, where it may be asked for the file.

    Raises:
        OfflineError: There is none.
        AccessDeniedError: It is known that it would refuse; it is not even asked.
    """
    if client is None:
        raise OfflineError(f"{file.path} of {file.doi} {file.version} is not stored, and no archive may be asked.")
    _require_access(file, client)
    client.share(scratch / "hosts")
    return [DataverseFile(client, file)]


def _require_access(file: LockedFile, client: DataverseClient) -> None:
    """Let nobody ask for what the archive is known to refuse.

    Raises:
        AccessDeniedError: It is.
    """
    today = datetime.now(UTC).date()
    if not may_be_asked_for(file.access, file.available_on, today=today, has_token=client.has_token):
        raise _denied(file, file.access, file.available_on)


def _denied(file: LockedFile, state: str, until: date | None) -> AccessDeniedError:
    what, remedy = denial(state, until)
    return AccessDeniedError(
        f"{file.path} (file {file.file_id} of {file.doi} {file.version}) {what}.",
        remedy=remedy, state=state, until=until if state == "embargoed" else None,
    )  # fmt: skip


def _explained(error: ArchiveError, file: LockedFile, client: DataverseClient | None) -> ArchiveError:
    """What a refusal means, by listing the version once more: it may have changed since it was locked."""
    if client is None or isinstance(error, GuestbookRequiredError) or not isinstance(error, _TO_EXPLAIN):
        return error
    try:
        version = client.version(file.doi, file.version)
    except DeaccessionedError as withdrawn:
        return withdrawn
    except ArchiveError as other:
        _log.info("%s could not be listed again: %s", file.doi, other)
        return error
    now = next((known for known in version.files or () if known.data_file.id == file.file_id), None)
    if isinstance(error, AccessDeniedError):
        state = access_state(now, version.seen_on or datetime.now(UTC).date()) if now else "gone"
        embargo = now.data_file.embargo if now else None
        return _denied(file, "blocked" if state == "public" else state, embargo.date_available if embargo else None)
    if now is None or not _is_replaced(file, now):
        return error
    return ReplacedError(
        f"The archive now states another size or digest for {file.path} (file {file.file_id} of {file.doi}"
        f" {file.version}) than when it was locked.",
        remedy=f"{error} The locked bytes can no longer be fetched; materialize release_files again to see the change.",
    )


def _is_replaced(file: LockedFile, now: File) -> bool:
    return (file.digest_type, file.digest, file.size) != (*published_digest(now.data_file), fetched_size(now.data_file))


@dataclass(frozen=True)
class DataverseFile:
    """A locked file as a `download.RemoteFile`."""

    client: DataverseClient
    file: LockedFile

    @property
    def name(self) -> str:
        """Path, file id and dataset."""
        return f"{self.file.path} (file {self.file.file_id} of {self.file.doi})"

    @contextmanager
    def open(self, offset: int, *, counted: bool, length: int | None = None) -> Iterator[FileStream]:
        """The file's bytes; see `download.RemoteFile`. With a length, so many of them."""
        opened = self.client.open_file(
            self.file.file_id, offset=offset, length=length, counted=counted, original=self.file.is_ingested
        )
        with opened as stream:
            if is_page(stream.headers.get("content-type")) and not is_page(self.file.content_type):
                # A sign-in or challenge page with status 200 (protocol reference, 3.7); refused before it is written.
                raise BlockedByWafError(
                    f"A web page was sent instead of {self.name}.",
                    remedy="A sign-in or challenge page stands before the archive; open the file in a browser.",
                )
            yield stream
