"""What the Perturb-seq steps read: where the files of a release's Figshare article are, near or far.

Belongs here: one file of the article as something to open, wherever its bytes are: on this machine (`CM4AI_H5AD`),
stored, or at Figshare by range. Fetching what is small enough is for steps alone (`fetch_small`), and so is reading by
range (`matrix`): a check asks no archive (`near_matrix`). Does not belong here: what the bytes mean (`perturbseq`), and
the lock of the article (`archives`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl

from cm4ai_assets.archives.figshare.acquire import acquire, by_range
from cm4ai_assets.archives.figshare.lock import role_of
from cm4ai_assets.archives.figshare.locked_file import FigshareFile, stored_blob
from cm4ai_assets.defs.progress import DownloadLog
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.perturbseq.sources import File, OwnFile, StoredFile, cached
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.bytes import ByteFile
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES
from cm4ai_assets.transfer.pieces import Traffic

Opener = Callable[[], io.RawIOBase]


class Place(StrEnum):
    """Where the bytes of a file are."""

    LOCAL = "local"
    STORED = "stored"
    RANGE = "range"


@dataclass(frozen=True)
class MatrixFile:
    """A file of the article, or one that the operator named in its place.

    Attributes:
        label: Its published name, or its own where it is none of the article.
        size: Bytes.
        md5: The published MD5; None where none is published.
        identity: What stands for its bytes: other bytes have another one.
        place: Where the bytes are.
        verified: What they are held against, in words for the page.
        traffic: What reading by range has cost so far; zero elsewhere.
        file: Where the bytes are, for other processes too; None where they are at Figshare.
    """

    label: str
    size: int
    md5: str | None
    identity: str
    place: Place
    verified: str
    _opener: Opener = field(repr=False)
    traffic: Traffic = field(default_factory=Traffic)
    file: File | None = None

    @property
    def is_near(self) -> bool:
        """Whether all of it can be read without asking an archive."""
        return self.place is not Place.RANGE

    def unchanged(self) -> None:
        """See that the operator's file is what it was: a pass takes hours.

        Raises:
            H5adDamagedError: It is not.
        """
        if self.file is not None:
            self.file.unchanged()

    def open(self) -> io.RawIOBase:
        """The bytes as a binary file to be read and sought; close it after use (it is a context manager)."""
        return self._opener()


def article_files(platform: Platform, release: str) -> pl.DataFrame:
    """The rows of `figshare_files` of a release; none where it is not materialized."""
    partition = Partition(release)
    if not platform.store.has_table(FIGSHARE_FILES.name, partition):
        return FIGSHARE_FILES.empty()
    return platform.store.table(FIGSHARE_FILES.name, partition).collect()


def fetch_small(context: dg.AssetExecutionContext, platform: Platform, release: str, *roles: str) -> list[str]:
    """See that the article's files of some roles are stored, those of at most `CM4AI_PERTURBSEQ_GB`.

    For steps alone. What the operator has on this machine (`CM4AI_H5AD`) is not fetched.

    Returns:
        Why files were not fetched, in sentences.

    Raises:
        AccessDeniedError: One is not accessible, or not yet.
        ArchiveError: One could not be fetched.
    """
    left, limit, mine = [], platform.settings.perturbseq_bytes, _own(platform)
    with platform.figshare() as client:
        for file in _files(platform, release, *roles):
            if stored_blob(file, platform.blobs) is not None or (mine is not None and _named(mine, file.label)):
                continue
            if file.size is None or file.size > limit:
                left.append(_too_large(file, limit))
                continue
            acquire(file, client, platform.blobs, platform.settings.scratch, progress=DownloadLog(context.log))
    return left


def _too_large(file: FigshareFile, limit: int) -> str:
    return (
        f"{file.label} has {file.size or 0:,} bytes, more than the {limit:,} that are fetched unasked. Run `cm4ai pull "
        f"'{file.article_id}/{file.label}' --budget {-(-(file.size or 0) // 10**9)}GB`, or set CM4AI_H5AD to a copy."
    )


def matrix(platform: Platform, release: str) -> MatrixFile | None:
    """The cells of a release, wherever they are; None where the release has no article, or it no accessible matrix.

    Near ones first (`near_matrix`); else the largest of the article, by range, unless `CM4AI_PERTURBSEQ_GB` is 0. For
    steps alone.

    Raises:
        ConfigurationError: `CM4AI_H5AD` names something else than was published under that name.
    """
    if (near := near_matrix(platform, release)) is not None:
        return near
    if not platform.settings.perturbseq_bytes:
        return None
    far = [file for file in _files(platform, release, "cells") if file.access == "public" and file.size is not None]
    return _by_range(platform, far[0]) if far else None


def near_matrix(platform: Platform, release: str) -> MatrixFile | None:
    """The cells of a release, if they are on this machine or stored: the operator's own, else the largest.

    Raises:
        ConfigurationError: `CM4AI_H5AD` names something else than was published under that name.
    """
    return _near(platform, _files(platform, release, "cells"), own=True)


def near_guides(platform: Platform, release: str) -> MatrixFile | None:
    """The feature reference of the release's article, if it is stored; else the operator's own."""
    return _near(platform, _files(platform, release, "guides"), own=False) or _beside(platform, "guides")


def near_controls(platform: Platform, release: str) -> MatrixFile | None:
    """The list of control guides of the release's article, if it is stored; else the operator's own."""
    return _near(platform, _files(platform, release, "controls"), own=False) or _beside(platform, "controls")


def _beside(platform: Platform, role: str) -> MatrixFile | None:
    """A file of a role in the folder that `CM4AI_H5AD` names, by its name: for what the article itself may not hold."""
    folder = _own(platform)
    if folder is None or not folder.is_dir():
        return None
    found = sorted(path for path in folder.iterdir() if path.is_file() and role_of(path.name) == role)
    return _unpublished(platform, found[0]) if found else None


def _files(platform: Platform, release: str, *roles: str) -> list[FigshareFile]:
    """The article's files of some roles, the largest first."""
    rows = article_files(platform, release).filter(pl.col("role").is_in(roles))
    return [FigshareFile.from_row(row) for row in rows.sort("size", descending=True, nulls_last=True).rows(named=True)]


def _near(platform: Platform, files: list[FigshareFile], *, own: bool) -> MatrixFile | None:
    mine = _own(platform) if own else None
    for file in files:
        if mine is not None and (path := _named(mine, file.label)) is not None:
            return _local(platform, path, file)
    for file in files:
        if (blob := stored_blob(file, platform.blobs)) is not None:
            return _stored(platform, blob, file)
    return _unpublished(platform, mine) if mine is not None and mine.is_file() else None


def _own(platform: Platform) -> Path | None:
    """The operator's h5ad file, or the folder of such files; None if there is none."""
    path = platform.settings.h5ad
    if path is not None and not path.exists():
        raise ConfigurationError(f"CM4AI_H5AD={str(path)!r} does not exist.", remedy="Name an h5ad file or its folder.")
    return path


def _named(path: Path, label: str) -> Path | None:
    """The file of a published name, where that is the file or lies in the folder; None if neither."""
    inside = path / label if path.is_dir() else path
    return inside if inside.is_file() and inside.name == label else None


def _local(platform: Platform, path: Path, file: FigshareFile) -> MatrixFile:
    """The operator's copy of a published file: of its size, and of its digest where computing that is quick."""
    own = OwnFile.at(path, file.label)
    if file.size is not None and own.size != file.size:
        raise ConfigurationError(
            f"{path} has {own.size:,} bytes, {file.label} was published with {file.size:,}.",
            remedy="It is another file, or a cut copy. Copy it again, or unset CM4AI_H5AD.",
        )
    verified = "size; its digest is not computed, because it is large"
    if file.md5 and own.size <= platform.settings.perturbseq_bytes:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != file.md5:
            raise ConfigurationError(
                f"{path} has the MD5 {found}, {file.label} was published with {file.md5}.",
                remedy="It is another file, or a damaged copy. Copy it again, or unset CM4AI_H5AD.",
            )
        verified = "size and published MD5, all of it"
    # The time of the last change tells a copy that was exchanged, where nothing is computed.
    identity = f"md5 {file.md5} local {own.size} {own.mtime_ns}"
    return _near_at(platform, own, Place.LOCAL, md5=file.md5, identity=identity, verified=verified)


def _unpublished(platform: Platform, path: Path) -> MatrixFile:
    own = OwnFile.at(path, path.name)
    identity = f"local {path.name} {own.size} {own.mtime_ns}"
    verified = "nothing: no file of this name is in the release's article"
    return _near_at(platform, own, Place.LOCAL, md5=None, identity=identity, verified=verified)


def _stored(platform: Platform, blob: Blob, file: FigshareFile) -> MatrixFile:
    stored = StoredFile(blob.sha256, file.label, blob.size)
    verified = "published MD5 when it was stored; every block that is read, against its digest"
    return _near_at(platform, stored, Place.STORED, md5=file.md5, identity=f"sha256 {blob.sha256}", verified=verified)


def _near_at(
    platform: Platform, file: File, place: Place, *, md5: str | None, identity: str, verified: str
) -> MatrixFile:
    opener = partial(file.open, platform.store)
    return MatrixFile(file.label, file.size, md5, identity, place, verified, opener, file=file)


def _by_range(platform: Platform, file: FigshareFile) -> MatrixFile:
    traffic = Traffic()

    def opened() -> io.RawIOBase:
        client = platform.figshare()
        source = by_range(file, client, traffic)
        return ByteFile(cached(source), close=client.close)

    verified = "size and entity tag of every piece; the published MD5 is of the whole and is not checked"
    identity = f"md5 {file.md5} range {file.file_id} {file.size}"
    return MatrixFile(file.label, file.size or 0, file.md5, identity, Place.RANGE, verified, opened, traffic)
