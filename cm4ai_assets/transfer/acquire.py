"""Stored, or fetched once: how the bytes of any archive reach the store.

Belongs here: looking them up, one process at a time for the same bytes, room on the disk for all that download at once,
what a process that died left behind, and the digest of the first time where none is published. An archive says what it
wants (`Item`) and from where (`RemoteFile`), and speaks its own protocol. Does not belong here: how bytes arrive
(`download`), how they are stored (`storage.blobs`), and what an archive's refusal means (its own `acquire`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cm4ai_assets.coordination import Files, machines
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.disk import RESERVE, place, require_space
from cm4ai_assets.transfer.download import Fetched, Progress, RemoteFile, fetch
from cm4ai_assets.transfer.errors import NotFoundError, ProtocolError, UnverifiableError
from cm4ai_assets.transfer.parts import forget, is_kept, outstanding
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets.transfer.wanted import Wanted

_log = logging.getLogger(__name__)

RemoteFiles = Callable[[], Sequence[RemoteFile]]
"""Where the bytes are, the best way first. Asked only if they are not stored; raises if they may not be fetched."""

Explain = Callable[[ArchiveError], ArchiveError]
"""What a failure means for this item, in the archive's terms."""


@dataclass(frozen=True)
class Item:
    """What is wanted of any archive, free of its protocol.

    Attributes:
        label: What it is called in messages.
        identity: What stands for the bytes where no digest is published: never the same for other bytes.
        size: Their number; None where the archive does not state it, and then they are not fetched.
        digest_type: Algorithm of the published digest (`storage.digests.ALGORITHMS`); None where none is published.
        digest: The digest, lower-case hexadecimal.
    """

    label: str
    identity: str
    size: int | None
    digest_type: str | None = None
    digest: str | None = None

    @property
    def key(self) -> str:
        """Its name in the scratch folder: one for the same bytes, whatever item they are."""
        if self.digest_type and self.digest:
            return f"{self.digest_type.lower()}-{self.digest}"
        return f"unpublished-{hashlib.sha256(self.identity.encode()).hexdigest()[:32]}"


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


def as_it_is(error: ArchiveError) -> ArchiveError:
    """The explanation of an archive that has none."""
    return error


def stored(item: Item, blobs: BlobStore) -> Blob | None:
    """The stored bytes of an item, whatever they were stored for; None if they are not stored."""
    if item.digest_type and item.digest:
        blob = blobs.find(item.digest_type, item.digest)
    else:
        noted = blobs.index.first_use(item.identity)
        blob = noted if noted and blobs.has(noted.sha256) else None
    return blob if blob and item.size in {None, blob.size} else None


def stored_or_fetched(
    item: Item,
    remotes: RemoteFiles,
    blobs: BlobStore,
    scratch: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    counted: bool = True,
    retries: RetryPolicy | None = None,
    explain: Explain = as_it_is,
) -> Acquired:
    """The stored bytes of an item; fetched only if nothing before had them.

    Args:
        item: What is wanted.
        remotes: Where it is; asked only if it is not stored.
        blobs: Where bytes are stored.
        scratch: Local folder of partial downloads, shared by all processes that might want the same bytes.
        progress: Called with how far the download is.
        counted: Whether the archive should count the download.
        retries: Retry policy of the download.
        explain: Turns a failure into what it means for this item.

    Raises:
        UnverifiableError: The archive states no size.
        SizeMismatchError: Other bytes came than are published.
        DigestMismatchError: The same, or other bytes than the first time where no digest is published.
        NoSpaceError: The disk has no room for it beside what other processes are fetching.
        ArchiveError: It could not be fetched; what has arrived is kept for the next time.
    """
    if blob := stored(item, blobs):
        clear(scratch, item.key)
        return _acquired(item, blob, blobs)
    ways = remotes()
    size = _stated_size(item)
    with _alone(scratch, item.key, among_machines=True):
        if blob := stored(item, blobs):
            return _acquired(item, blob, blobs)
        blobs.require_room(size, beside=scratch)
        fetched = _fetched(
            ways, _wanted(item, size, blobs), scratch, explain, counted=counted, progress=progress, retries=retries
        )
        blob = blobs.add(fetched.path, fetched.sha256, fetched.digests, blocks=fetched.blocks())
        if item.digest is None:
            blobs.index.note_first_use(item.identity, blob, locks=scratch / "locks")
        fetched.forget()
    return _acquired(item, blob, blobs, fetched)


def fetch_to(
    target: Path,
    item: Item,
    remotes: RemoteFiles,
    scratch: Path,
    *,
    retries: RetryPolicy | None = None,
    explain: Explain = as_it_is,
) -> None:
    """An item as a file of the reader's own: verified like any other, and only then under its name.

    Raises:
        ArchiveError: As `stored_or_fetched`.
    """
    ways = remotes()
    size = _stated_size(item)
    with _alone(scratch, item.key):
        require_space({target.parent: size})
        fetched = _fetched(ways, _wanted(item, size, None), scratch, explain, retries=retries)
        place(fetched.path, target)
        fetched.forget()


def _acquired(item: Item, blob: Blob, blobs: BlobStore, fetched: Fetched | None = None) -> Acquired:
    return Acquired(
        sha256=blob.sha256,
        size=blob.size,
        path=blobs.path(blob.sha256),
        verified="digest" if item.digest else "size",
        fetched_bytes=fetched.fetched_bytes if fetched else 0,
        requests=fetched.requests if fetched else 0,
        reused=fetched is None,
    )


def _stated_size(item: Item) -> int:
    if item.size is None:
        raise UnverifiableError(
            f"The archive does not state the size of {item.label}.",
            remedy="It is not fetched, since a cut copy could not be distinguished from a whole one.",
        )
    return item.size


def _wanted(item: Item, size: int, blobs: BlobStore | None) -> Wanted:
    if item.digest_type and item.digest:
        return Wanted(item.key, size, item.digest_type, item.digest)
    if blobs and (noted := blobs.index.first_use(item.identity)):
        return Wanted(item.key, size, "SHA-256", noted.sha256, as_known="as when it was first stored")
    return Wanted(item.key, size, None, None)


def _fetched(
    ways: Sequence[RemoteFile],
    wanted: Wanted,
    scratch: Path,
    explain: Explain,
    *,
    counted: bool = True,
    progress: Callable[[Progress], None] | None = None,
    retries: RetryPolicy | None = None,
) -> Fetched:
    """The bytes, by the first way that has them. What arrived by one way is gone on with by the next."""
    try:
        for number, remote in enumerate(ways, 1):
            try:
                return fetch(
                    remote, wanted, scratch, counted=counted, progress=progress, retries=retries,
                    reserve=RESERVE + _promised(scratch, wanted.key),
                )  # fmt: skip
            except (NotFoundError, ProtocolError) as error:
                if number == len(ways):
                    raise
                _log.info("%s Trying the next way.", error.message)
    except ArchiveError as error:
        if (explained := explain(error)) is error:
            raise
        raise explained from error
    raise NotFoundError("No archive offers these bytes.")


def clear(scratch: Path, key: str) -> None:
    """Remove what a process left of a download, unless one is at it: it is stored, or nobody went on with it."""
    if is_kept(scratch, key):
        with suppress(TimeoutError), _locks(scratch).hold([key], patience=0):
            forget(scratch, key)


@contextmanager
def _alone(scratch: Path, key: str, *, among_machines: bool = False) -> Iterator[None]:
    """Be the only process that fetches this key; another one's download is waited for and then found stored.

    Partial files are of one scratch folder, so who writes them locks there. Machines that store into the same place
    agree as well. That saves a download; two that fetched the same bytes would store the same.
    """

    def waiting() -> None:
        _log.info("Another process is fetching %s; waiting for it.", key)

    with ExitStack() as stack:
        stack.enter_context(_locks(scratch).hold([key], waiting=waiting))
        if among_machines and (others := machines()):
            stack.enter_context(others.hold([f"fetch {key}"], waiting=waiting))
        yield


def _promised(scratch: Path, key: str) -> int:
    """Bytes that other processes are about to write into the same folder."""
    missing = 0
    for other, bytes_missing in outstanding(scratch):
        if other != key:
            try:
                with _locks(scratch).hold([other], patience=0):
                    continue
            except TimeoutError:
                missing += bytes_missing
    return missing


def _locks(scratch: Path) -> Files:
    return Files(scratch / "locks")
