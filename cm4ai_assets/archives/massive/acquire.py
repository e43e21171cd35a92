"""Files of a MassIVE deposit, pulled on request: stored by content, verified by size, their digest kept from then on.

MassIVE publishes no digests. The SHA-256 of the first time is noted beside the blobs, and whatever comes later under
that accession, path and size is held against it. Belongs here: one file, or the members of an acquisition folder. Does
not belong here: choosing what to pull and what it may take (`massive_inventory.plan_pull`), the protocols (`massive`,
`ftps`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import polars as pl
from filelock import FileLock

from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.archives.massive.inventory import Entry, unit_of
from cm4ai_assets.storage.blobs import Blob, BlobStore
from cm4ai_assets.storage.disk import make_folder, typed_disk_errors
from cm4ai_assets.transfer.download import Fetched, Progress, Source, Stream, fetch
from cm4ai_assets.transfer.errors import NotFoundError, ProtocolError, UnverifiableError
from cm4ai_assets.transfer.ftps import FtpsFile
from cm4ai_assets.transfer.http import Answer
from cm4ai_assets.transfer.parts import Wanted
from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)

# The web server may not resume, so what is larger comes by FTPS, which does.
WEB_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class DepositFile:
    """A file of a deposit: its size as listed, and its address by FTPS where one is stated."""

    accession: str
    path: str
    size: int | None
    url: str | None = None

    @property
    def identity(self) -> str:
        """What its digest is noted under: a file of another size is another file."""
        return f"massive {self.accession} {self.path} {self.size}"


@dataclass(frozen=True)
class _WebStream:
    """See `download.Stream`."""

    total: int | None
    url: str
    headers: Mapping[str, str]
    _answer: Answer
    start: int = 0

    def chunks(self) -> Iterator[bytes]:
        return self._answer.chunks()


@dataclass(frozen=True)
class WebFile:
    """A file of a deposit by HTTPS, as a `download.Source`."""

    client: MassiveClient
    file: DepositFile

    @property
    def name(self) -> str:
        """Accession and path."""
        return f"{self.file.accession}/{self.file.path} of MassIVE"

    @contextmanager
    def open(self, offset: int, *, counted: bool) -> Iterator[Stream]:
        """The bytes, always from the beginning. Nobody counts."""
        del offset, counted
        with self.client.open_file(self.file.accession, self.file.path) as answer:
            length = answer.headers.get("content-length", "")
            yield _WebStream(int(length) if length.isdecimal() else None, answer.url, answer.headers, answer)


def pull(
    file: DepositFile,
    client: MassiveClient,
    blobs: BlobStore,
    scratch: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    retries: RetryPolicy | None = None,
) -> Blob:
    """The stored bytes of a deposit's file, fetched if they are not stored yet.

    Raises:
        UnverifiableError: The listing states no size.
        SizeMismatchError: Other bytes came than were listed.
        DigestMismatchError: Other bytes came than the first time.
        ArchiveError: It could not be fetched; what has arrived is kept.
    """
    if file.size is None:
        raise UnverifiableError(
            f"No listing states the size of {file.accession}/{file.path}.",
            remedy="It is not fetched, since a cut copy could not be told from a whole one.",
        )
    key = f"massive-{hashlib.sha256(file.identity.encode()).hexdigest()[:32]}"
    lock = scratch / "locks" / f"{key}.lock"
    with typed_disk_errors(lock.parent):
        make_folder(lock.parent)
    with FileLock(lock):
        noted = blobs.first_use(file.identity)
        if noted and blobs.has(noted.sha256):
            return noted
        blobs.require_room(file.size, beside=scratch)
        digest_type, digest = ("SHA-256", noted.sha256) if noted else (None, None)
        wanted = Wanted(key, file.size, digest_type, digest, as_known="as when it was first pulled")
        fetched = _first_that_has_it(
            _sources(file, client), lambda source: fetch(source, wanted, scratch, progress=progress, retries=retries)
        )
        blob = blobs.add(fetched.path, fetched.sha256, fetched.digests)
        blobs.note_first_use(file.identity, blob)
        fetched.forget()
    return blob


def first_digests(files: pl.DataFrame, entries: Iterable[tuple[str, Entry]], blobs: BlobStore) -> pl.DataFrame:
    """Rows of `massive_files` with the SHA-256 of what was pulled of them before.

    Args:
        files: The rows.
        entries: Accession and entry of every listed file, members of acquisition folders one by one.
        blobs: Where pulled bytes are.
    """
    members: dict[tuple[str, str], list[DepositFile]] = {}
    for accession, entry in entries:
        file = DepositFile(accession, entry.path, entry.size)
        members.setdefault((accession, unit_of(entry.path)), []).append(file)
    noted = blobs.first_uses([file.identity for unit in members.values() for file in unit])
    known = {
        place: digest
        for place, unit in members.items()
        if (digest := unit_digest(unit, {f.path: noted[f.identity].sha256 for f in unit if f.identity in noted}))
    }
    digests = [known.get(place) for place in files.select("accession", "path").iter_rows()]
    return files.with_columns(pl.Series("sha256", digests, pl.String))


def unit_digest(unit: Sequence[DepositFile], digests: Mapping[str, str]) -> str | None:
    """The SHA-256 of a file; of a folder that of the lines that `sha256sum` prints of its members, sorted by path.

    None if a member is not known.
    """
    if len(digests) < len(unit):
        return None
    if len(unit) == 1 and unit_of(unit[0].path) == unit[0].path:
        return digests[unit[0].path]
    lines = "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _sources(file: DepositFile, client: MassiveClient) -> list[Source]:
    """Where the file may be had, the better way first."""
    web = WebFile(client, file)
    if not client.has_ftps or not file.url:
        return [web]
    ftps = FtpsFile(quote(file.url, safe="/:"))
    return [web, ftps] if (file.size or 0) <= WEB_LIMIT else [ftps, web]


def _first_that_has_it(sources: Sequence[Source], ask: Callable[[Source], Fetched]) -> Fetched:
    for source in sources[:-1]:
        try:
            return ask(source)
        except (NotFoundError, ProtocolError) as error:
            _log.info("%s Trying the other way.", error.message)
    return ask(sources[-1])
