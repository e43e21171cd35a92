"""From a row of the lock to a stored blob: looked up first, fetched once, verified always.

Belongs here: deciding whether a file has to be fetched, whether it may be, and what a refusal means for this file. Does
not belong here: how bytes arrive (`download`) and how they are stored (`blobs`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from cm4ai_assets.archives.dataverse.client import DataverseClient, FileStream
from cm4ai_assets.archives.dataverse.locked_file import LockedFile, access_state, fetched_size, published_digest
from cm4ai_assets.archives.dataverse.model import File
from cm4ai_assets.errors import ArchiveError, DigestMismatchError, SizeMismatchError
from cm4ai_assets.storage.blobs import Blob, BlobStore
from cm4ai_assets.storage.disk import RESERVE, make_folder, place, require_space, typed_disk_errors
from cm4ai_assets.transfer.download import Progress, fetch
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
from cm4ai_assets.transfer.parts import Wanted, forget, is_kept, outstanding
from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Acquired:
    """A stored file: where its bytes are, what they were held against, and what it cost.

    `verified` is "digest" where a published digest was matched, "size" where none is published; `requests` counts how
    often the archive was asked for bytes; `reused` says that they were stored before.
    """

    sha256: str
    size: int
    path: str
    verified: Literal["digest", "size"]
    fetched_bytes: int
    requests: int
    reused: bool


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
        progress: Told how far the download is.
        counted: Whether the archive should count the download; not in tests.
        retries: Retry policy of the download; the client's by default.

    Raises:
        AccessDeniedError: The file may not be had, or not yet; `state` and `until` say more. Nothing is wrong.
        OfflineError: It is not stored and there is no client.
        SizeMismatchError: The archive sends other bytes than it published.
        DigestMismatchError: The same; as `ReplacedError` where it has meanwhile published others.
        ArchiveError: It could not be fetched; what has arrived is kept for the next time.
    """
    if stored := stored_blob(file, blobs):
        _clear(scratch, _key(file))
        return _acquired(file, stored, blobs, reused=True)
    if client is None:
        raise OfflineError(f"{file.path} of {file.doi} {file.version} is not stored, and no archive may be asked.")
    _permit(file, client, datetime.now(UTC).date())
    wanted = _wanted(file, blobs)
    client.share(scratch / "hosts")
    with _alone(scratch, wanted.key):
        if stored := stored_blob(file, blobs):
            return _acquired(file, stored, blobs, reused=True)
        blobs.require_room(wanted.size, beside=scratch)
        with _explaining(file, client):
            fetched = fetch(
                DataverseFile(client, file),
                wanted,
                scratch,
                counted=counted,
                progress=progress,
                retries=retries or client.retries,
                reserve=RESERVE + _promised(scratch, wanted.key),
            )
        blob = blobs.add(fetched.path, fetched.sha256, fetched.digests)
        if file.digest is None:
            blobs.note_first_use(_identity(file), blob)
        fetched.forget()
    return _acquired(file, blob, blobs, fetched_bytes=fetched.fetched_bytes, requests=fetched.requests)


def fetch_file(file: LockedFile, client: DataverseClient, target: Path, scratch: Path) -> None:
    """A locked file as a file of the reader's own: verified like any other, and only then under its name.

    Raises:
        ArchiveError: As `acquire`.
    """
    _permit(file, client, datetime.now(UTC).date())
    wanted = _wanted(file, None)
    client.share(scratch / "hosts")
    with _alone(scratch, wanted.key):
        require_space({target.parent: wanted.size})
        with _explaining(file, client):
            fetched = fetch(DataverseFile(client, file), wanted, scratch, retries=client.retries)
        place(fetched.path, target)
        fetched.forget()


def _acquired(
    file: LockedFile, blob: Blob, blobs: BlobStore, *, fetched_bytes: int = 0, requests: int = 0, reused: bool = False
) -> Acquired:
    return Acquired(
        sha256=blob.sha256,
        size=blob.size,
        path=blobs.path(blob.sha256),
        verified="digest" if file.digest else "size",
        fetched_bytes=fetched_bytes,
        requests=requests,
        reused=reused,
    )


def _identity(file: LockedFile) -> str:
    # A file id stays on rename and changes on replacement (data reference, 5), so it stands for bytes.
    return f"{file.doi} {file.file_id} {file.size}"


def stored_blob(file: LockedFile, blobs: BlobStore) -> Blob | None:
    """The stored bytes of a locked file, whatever release they came with; None if they are not stored."""
    if file.digest_type and file.digest:
        blob = blobs.find(file.digest_type, file.digest)
    else:
        noted = blobs.first_use(_identity(file))
        blob = noted if noted and blobs.has(noted.sha256) else None
    return blob if blob and file.size in {None, blob.size} else None


def _wanted(file: LockedFile, blobs: BlobStore | None) -> Wanted:
    if file.size is None:
        raise UnverifiableError(
            f"The archive does not state the size of {file.path} (file {file.file_id}).",
            remedy="It is not fetched, since a cut copy could not be told from a whole one.",
        )
    if file.digest_type and file.digest:
        return Wanted(_key(file), file.size, file.digest_type, file.digest)
    if blobs and (noted := blobs.first_use(_identity(file))):
        return Wanted(_key(file), file.size, "SHA-256", noted.sha256, as_known="as when it was first stored")
    return Wanted(_key(file), file.size, None, None)


def _key(file: LockedFile) -> str:
    """The name of the download in the scratch folder: one for the same bytes, whatever file they are."""
    if file.digest_type and file.digest:
        return f"{file.digest_type.lower()}-{file.digest}"
    return f"unpublished-{hashlib.sha256(_identity(file).encode()).hexdigest()[:32]}"


def _clear(scratch: Path, key: str) -> None:
    """Remove what a process left that died after it had stored the bytes, unless one is just storing them."""
    if is_kept(scratch, key):
        with suppress(Timeout), FileLock(_lock_path(scratch, key), timeout=0):
            forget(scratch, key)


def _permit(file: LockedFile, client: DataverseClient, today: date) -> None:
    """Let through what may be had, or may be had by now or with a token: then the archive decides.

    Raises:
        AccessDeniedError: It is known that it may not; the archive is not even asked.
    """
    over = file.access == "embargoed" and file.available_on is not None and today >= file.available_on
    if file.access == "public" or over or (client.has_token and file.access in {"restricted", "embargoed"}):
        return
    raise _denied(file, file.access, file.available_on)


def _denied(file: LockedFile, state: str, until: date | None) -> AccessDeniedError:
    told = {
        "restricted": ("is restricted", "Ask the depositor for access and set DATAVERSE_API_TOKEN."),
        "embargoed": (
            f"is embargoed until {until}" if until else "is embargoed without a stated end",
            "It is tried again after that day." if until else "Ask the depositor.",
        ),
        "retention_expired": ("is past its retention period", "The archive no longer gives it out."),
        "blocked": (
            "is public by the archive's listing and refused by its download",
            "The archive may restrict it meanwhile, or turn this client away; ask the archive.",
        ),
    }
    what, remedy = told.get(state, (f"cannot be had: {state}", "Ask the archive."))
    return AccessDeniedError(
        f"{file.path} (file {file.file_id} of {file.doi} {file.version}) {what}.",
        remedy=remedy, state=state, until=until if state == "embargoed" else None,
    )  # fmt: skip


@contextmanager
def _explaining(file: LockedFile, client: DataverseClient) -> Iterator[None]:
    """Turn a refusal into what it means for this file."""
    try:
        yield
    except (AccessDeniedError, NotFoundError, SizeMismatchError, DigestMismatchError) as error:
        raise _explained(error, file, client) from error


def _explained(error: ArchiveError, file: LockedFile, client: DataverseClient) -> ArchiveError:
    """What a refusal means, by listing the version once more: it may have changed since it was locked."""
    if isinstance(error, GuestbookRequiredError):
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


@contextmanager
def _alone(scratch: Path, key: str) -> Iterator[None]:
    """Be the only process that fetches this key; another one's download is waited for and then found stored."""
    path = _lock_path(scratch, key)
    with typed_disk_errors(path.parent):
        make_folder(path.parent)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("Another process is fetching %s; waiting for it.", key)
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


def _promised(scratch: Path, key: str) -> int:
    """Bytes that other processes are about to write into the same folder."""
    missing = 0
    for other, bytes_missing in outstanding(scratch):
        if other != key:
            lock = FileLock(_lock_path(scratch, other), timeout=0)
            try:
                with lock:
                    continue
            except Timeout:
                missing += bytes_missing
    return missing


def _lock_path(scratch: Path, key: str) -> Path:
    return scratch / "locks" / f"{key}.lock"


@dataclass(frozen=True)
class DataverseFile:
    """A locked file as a source of bytes."""

    client: DataverseClient
    file: LockedFile

    @property
    def name(self) -> str:
        """Path, file id and dataset."""
        return f"{self.file.path} (file {self.file.file_id} of {self.file.doi})"

    @contextmanager
    def open(self, offset: int, *, counted: bool, length: int | None = None) -> Iterator[FileStream]:
        """The file's bytes; see `download.Source`. With a length, so many of them."""
        opened = self.client.open_file(
            self.file.file_id, offset=offset, length=length, counted=counted, original=self.file.is_ingested
        )
        with opened as stream:
            if _is_page(stream.headers.get("content-type")) and not _is_page(self.file.content_type):
                # A sign-in or challenge page with status 200 (protocol reference, 3.7); refused before it is written.
                raise BlockedByWafError(
                    f"A web page was sent instead of {self.name}.",
                    remedy="A sign-in or challenge page stands before the archive; open the file in a browser.",
                )
            yield stream


def _is_page(content_type: str | None) -> bool:
    return (content_type or "").lower().lstrip().startswith(("text/html", "application/xhtml"))
