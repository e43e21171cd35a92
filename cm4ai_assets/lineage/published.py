"""The published files that a table is made of: of the release, of its article, of its deposits.

Belongs here: from a partition of a table to files as an archive publishes them, with their digests. Does not belong
here: which files a job reads (`updates.inputs`), and tables that are made of other tables (`storage.makings` names
those).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.archives.dataverse import locked_file as dataverse
from cm4ai_assets.archives.dataverse.exports import download_url
from cm4ai_assets.archives.dataverse.locked_file import LockedFile
from cm4ai_assets.archives.ena import run_file as runs
from cm4ai_assets.archives.ena.reports import RunFile
from cm4ai_assets.archives.figshare import locked_file as figshare
from cm4ai_assets.archives.figshare.locked_file import FigshareFile
from cm4ai_assets.archives.massive.deposit_file import DepositFile
from cm4ai_assets.errors import ReleaseKeyError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.updates.credit import OF_THE_ARTICLE
from cm4ai_assets.updates.inputs import FEEDS, lock_of, published_as

DATAVERSE, FIGSHARE, MASSIVE, ENA = "dataverse", "figshare", "massive", "ena"
NOT_LISTED: Final = "The article lists no such file with these bytes: the operator had it on this machine."
UNSURE: Final = "Its bytes are not stored here any more: whether these are the ones that were read is not known."


@dataclass(frozen=True)
class PublishedFile:
    """One file as an archive publishes it.

    Attributes:
        archive: dataverse, figshare, massive, or ena for a sequencing run, whichever archive lists its files.
        dataset: DOI or accession of what it is part of.
        version: Version of that; None where the archive has none.
        file_id: The archive's id; None where it has none.
        path: Directory and name.
        size: Bytes; None where not stated.
        digest_type: Algorithm of `digest`.
        digest: As published; None where none is.
        sha256: Of the stored bytes; None where they are not stored here.
        license: As stated.
        access: As `release_files` and `figshare_files` say it.
        url: Where it can be fetched; None where that is not known.
    """

    archive: str
    dataset: str
    version: str | None
    file_id: str | None
    path: str
    size: int | None
    digest_type: str | None
    digest: str | None
    sha256: str | None
    license: str | None
    access: str
    url: str | None


@dataclass(frozen=True)
class ReadFile:
    """What rows say of a file of the article that they were read from.

    Attributes:
        name: Its name.
        identity: What stands for its bytes.
        files: It as it is published; none if the article lists no such file.
        note: What is to be known of that; empty if nothing.
    """

    name: str
    identity: str
    files: tuple[PublishedFile, ...]
    note: str


def published_inputs(store: Store, release: str, name: str, condition: str | None = None) -> tuple[PublishedFile, ...]:
    """The published files that a partition of a table is made of, each once; none for a table made of tables.

    Args:
        store: The storage.
        release: Release key.
        name: Name of the table.
        condition: Its condition, where the table has one.
    """
    return PublishedFiles(store).inputs(release, name, condition)


class PublishedFiles:
    """The published files of one storage, each looked up once: for whoever asks about many partitions.

    Args:
        store: The storage.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._blobs = store, BlobStore(store.fs, store.root)
        self._locks: dict[str, pl.DataFrame | None] = {}
        self._files: dict[tuple[str, object], PublishedFile] = {}

    def inputs(self, release: str, name: str, condition: str | None = None) -> tuple[PublishedFile, ...]:
        """See `published_inputs`."""
        found = [*self._of_release(release, name, condition), *_of_article(self._store, self._blobs, release, name)]
        found += _of_deposits(self._store, self._blobs, release, name, condition)
        return tuple(dict.fromkeys(found))

    def listed(self, release: str) -> tuple[PublishedFile, ...]:
        """All that the lock of a release lists; nothing without a lock."""
        lock = self._lock(release)
        return () if lock is None else tuple(self._file(release, row) for row in lock.rows(named=True))

    def _of_release(self, release: str, name: str, condition: str | None) -> Iterator[PublishedFile]:
        feed = next((feed for feed in FEEDS if name in {feed.first, *feed.tables}), None)
        lock = self._lock(release) if feed else None
        for row in feed.inputs(lock).get(condition, ()) if feed and lock is not None else ():
            yield self._file(release, dict(row))

    def _lock(self, release: str) -> pl.DataFrame | None:
        if release not in self._locks:
            self._locks[release] = lock_of(self._store, release)
        return self._locks[release]

    def _file(self, release: str, row: dict[str, object]) -> PublishedFile:
        key = (release, row["file_id"])
        if key not in self._files:
            self._files[key] = release_file(self._store, self._blobs, row, release)
        return self._files[key]


def release_file(store: Store, blobs: BlobStore, row: dict[str, object], release: str) -> PublishedFile:
    """A row of `release_files` as a published file."""
    file = LockedFile.from_row(row)
    blob = dataverse.stored_blob(file, blobs)
    return PublishedFile(
        archive=DATAVERSE,
        dataset=file.doi,
        version=file.version,
        file_id=str(file.file_id),
        path=file.path,
        size=file.size,
        digest_type=file.digest_type,
        digest=file.digest,
        sha256=blob.sha256 if blob else None,
        license=file.license,
        access=file.access,
        url=_address(store, release, file),
    )


def _address(store: Store, release: str, file: LockedFile) -> str | None:
    try:
        return download_url(file, ReleaseRegistry(store).get(release).archive)
    except ReleaseKeyError:
        return None


def article_file(blobs: BlobStore, row: dict[str, object]) -> PublishedFile:
    """A row of `figshare_files` as a published file."""
    blob = figshare.stored_blob(FigshareFile.from_row(row), blobs)
    return PublishedFile(
        archive=FIGSHARE,
        dataset=str(row["doi"]),
        version=_text(row["article_version"]),
        file_id=_text(row["file_id"]),
        path=str(row["label"]),
        size=_number(row["size"]),
        digest_type="MD5" if row["md5"] else None,
        digest=_text(row["md5"]),
        sha256=blob.sha256 if blob else None,
        license=_text(row["license"]),
        access=str(row["access"]),
        url=_text(row["url"]),
    )


def article_files(
    blobs: BlobStore, listed: Iterable[Mapping[str, Any]], name: str, ids: set[str]
) -> tuple[list[PublishedFile], str]:
    """The files of an article that have a name and one of some ids, and what is to be known of them; empty if nothing.

    Args:
        blobs: The storage's blobs.
        listed: Rows of `figshare_files`.
        name: The name.
        ids: Digests of a file, or its file id.
    """
    named = [article_file(blobs, dict(row)) for row in listed if row["label"] == name]
    if files := [file for file in named if ids & {file.sha256, file.digest, file.file_id}]:
        return files, ""
    unsure = [file for file in named if file.sha256 is None]
    return unsure, UNSURE if unsure else NOT_LISTED


def files_read(store: Store, release: str, name: str, rows: pl.DataFrame) -> Iterator[ReadFile]:
    """The files of a release's article that rows name, each once.

    Args:
        store: The storage.
        release: Release key.
        name: A table whose rows name them, by `updates.credit.OF_THE_ARTICLE`.
        rows: Its rows.
    """
    if (columns := OF_THE_ARTICLE[name]) is None:
        return
    listed, blobs = _rows(store, FIGSHARE_FILES.name, release, None), BlobStore(store.fs, store.root)
    for label, identity in rows.select(columns).drop_nulls().unique().sort(columns).iter_rows():
        files, note = article_files(
            blobs, () if listed is None else listed.rows(named=True), label, {*identity.split()}
        )
        yield ReadFile(label, identity, tuple(files), note)


def deposit_file(blobs: BlobStore, row: dict[str, object]) -> PublishedFile:
    """A row of `massive_files` as a published file; MassIVE publishes no digests, and its deposits are public.

    Its bytes may have been pulled since the table was made: the index of blobs knows.
    """
    file = DepositFile(str(row["accession"]), str(row["path"]), _number(row["size"]))
    blob = blobs.index.first_use(file.identity)
    return PublishedFile(
        archive=MASSIVE,
        dataset=str(row["accession"]),
        version=None,
        file_id=None,
        path=str(row["path"]),
        size=_number(row["size"]),
        digest_type=None,
        digest=None,
        sha256=blob.sha256 if blob and blobs.has(blob.sha256) else None,
        license=_text(row["license"]),
        access="public",
        url=_text(row["url"]),
    )


def run_file(blobs: BlobStore, row: dict[str, object], file: RunFile) -> PublishedFile:
    """One of the files (`archives.ena.run_file.run_files`) of a row of `sra_runs`."""
    blob = runs.stored_blob(file, blobs)
    return PublishedFile(
        archive=ENA,
        dataset=str(row["run"]),
        version=None,
        file_id=None,
        path=file.name,
        size=file.size,
        digest_type="MD5" if file.md5 else None,
        digest=file.md5,
        sha256=blob.sha256 if blob else None,
        license=None,
        access=str(row["access"]),
        url=file.url,
    )


def _of_article(store: Store, blobs: BlobStore, release: str, name: str) -> Iterator[PublishedFile]:
    if name not in OF_THE_ARTICLE or (rows := _rows(store, FIGSHARE_FILES.name, release, None)) is None:
        return
    if OF_THE_ARTICLE[name] is None:  # no row says which: all that hold cells
        for row in rows.filter(pl.col("role") == "cells").sort("file_id").rows(named=True):
            yield article_file(blobs, row)
    elif (made := _rows(store, name, release, None)) is not None:
        for read in files_read(store, release, name, made):
            yield from read.files


def _of_deposits(
    store: Store, blobs: BlobStore, release: str, name: str, condition: str | None
) -> Iterator[PublishedFile]:
    """The tables that were pulled from deposits, as rows name them."""
    if not {"source_file_id", "source_sha256"} <= set(tables.table(name).polars_schema):
        return
    where = published_as(store, name, Partition(release, condition))
    if where is not None:
        made = store.table(name, where).filter(pl.col("source_file_id").is_null())
        named = made.select(pl.col("^source_file$"), "source_sha256").unique().collect()
        yield from deposited(store, blobs, release, named)


def deposited(store: Store, blobs: BlobStore, release: str, named: pl.DataFrame) -> Iterator[PublishedFile]:
    """The files of a release's deposits that rows name, by the digest of what was pulled, or by accession and path.

    Args:
        store: The storage.
        blobs: Its blobs.
        release: Release key.
        named: Rows with `source_sha256` and, where the table has it, `source_file`.
    """
    listed = _rows(store, MASSIVE_FILES.name, release, None)
    if listed is None or named.is_empty():
        return
    places = named["source_file"].drop_nulls() if "source_file" in named.columns else pl.Series(dtype=pl.String)
    by_digest = pl.col("sha256").is_in(named["source_sha256"].drop_nulls().implode()).fill_null(value=False)
    by_place = pl.format("{}/{}", "accession", "path").is_in(places.implode())
    for row in listed.filter(by_digest | by_place).sort("accession", "path").rows(named=True):
        yield deposit_file(blobs, row)


def _rows(store: Store, name: str, release: str, condition: str | None) -> pl.DataFrame | None:
    """A partition of a table as the release has it, its own or one of the same bytes; None if it has none."""
    where = published_as(store, name, Partition(release, condition))
    return None if where is None else store.table(name, where).collect()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None
