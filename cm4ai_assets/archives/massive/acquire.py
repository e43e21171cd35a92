"""Files of a MassIVE deposit, pulled on request: stored by content, verified by size, their digest kept from then on.

MassIVE publishes no digests. The SHA-256 of the first time is noted beside the blobs, and whatever comes later under
that accession, path and size is held against it. Belongs here: one file, or the members of an acquisition folder. Does
not belong here: choosing what to pull and what it may take (`archives.pulling`), the protocols (`massive`,
`ftps`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import polars as pl

from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.archives.massive.deposit_file import DepositFile
from cm4ai_assets.archives.massive.inventory import Entry, unit_of
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.acquire import Acquired, Item, stored_or_fetched
from cm4ai_assets.transfer.connections import Chunk, Room
from cm4ai_assets.transfer.download import Progress, RemoteFile, Stream
from cm4ai_assets.transfer.ftps import FtpsFile
from cm4ai_assets.transfer.http import Answer
from cm4ai_assets.transfer.retries import RetryPolicy

# The web server may not resume, so what is larger comes by FTPS, which does.
WEB_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class _WebStream:
    """See `download.Stream`."""

    total: int | None
    url: str
    headers: Mapping[str, str]
    _answer: Answer
    start: int = 0

    def chunks(self, room: Room | None = None) -> Iterator[Chunk]:
        return self._answer.chunks(room)


@dataclass(frozen=True)
class WebFile:
    """A file of a deposit by HTTPS, as a `download.RemoteFile`."""

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
) -> Acquired:
    """The stored bytes of a deposit's file, fetched if they are not stored yet.

    Raises:
        UnverifiableError: The listing states no size.
        SizeMismatchError: Other bytes came than were listed.
        DigestMismatchError: Other bytes came than the first time.
        ArchiveError: It could not be fetched; what has arrived is kept.
    """
    item = Item(f"{file.accession}/{file.path} of MassIVE", file.identity, file.size)
    return stored_or_fetched(item, lambda: _remotes(file, client), blobs, scratch, progress=progress, retries=retries)


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
    noted = blobs.index.first_uses([file.identity for unit in members.values() for file in unit])
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


def _remotes(file: DepositFile, client: MassiveClient) -> list[RemoteFile]:
    """The ways to the file, the better one first."""
    web = WebFile(client, file)
    if not client.has_ftps or not file.url:
        return [web]
    ftps = FtpsFile(quote(file.url, safe="/:"))
    return [web, ftps] if (file.size or 0) <= WEB_LIMIT else [ftps, web]
