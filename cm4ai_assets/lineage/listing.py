"""The published files that the tables here list, of every archive and release, and finding one among them.

Belongs here: by name, id and digest. Does not belong here: what was made of a file (`made_from`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from cm4ai_assets.archives.ena.run_file import run_files
from cm4ai_assets.archives.massive.deposit_file import DepositFile
from cm4ai_assets.lineage.published import PublishedFile, article_file, deposit_file, release_file, run_file
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.tables.release import RELEASE_FILES

_PATH: Final = pl.concat_str("directory", "label", separator="/").str.strip_prefix("/")


@dataclass(frozen=True)
class Listed:
    """A published file, and the release whose tables list it."""

    release: str
    file: PublishedFile


@dataclass(frozen=True)
class _List:
    """A table of files: the names and digests of each, and its rows as files."""

    table: str
    names: tuple[pl.Expr, ...]
    digests: tuple[str, ...]
    files: Callable[[Store, BlobStore, dict[str, Any], str], list[PublishedFile]]


def _of_run(blobs: BlobStore, row: dict[str, Any]) -> list[PublishedFile]:
    return [run_file(blobs, row, file) for file in run_files(row)]


_LISTS: Final = (
    _List(
        RELEASE_FILES.name,
        (pl.col("label"), _PATH, pl.col("file_id").cast(pl.String())),
        ("digest",),
        lambda store, blobs, row, release: [release_file(store, blobs, row, release)],
    ),
    _List(
        FIGSHARE_FILES.name,
        (pl.col("label"), pl.format("{}/{}", "article_id", "label"), pl.col("file_id").cast(pl.String())),
        ("md5", "sha256"),
        lambda _store, blobs, row, _release: [article_file(blobs, row)],
    ),
    _List(
        MASSIVE_FILES.name,
        (pl.col("path"), pl.col("name"), pl.format("{}/{}", "accession", "path")),
        ("sha256",),
        lambda _store, blobs, row, _release: [deposit_file(blobs, row)],
    ),
    _List(SRA_RUNS.name, (pl.col("run"),), (), lambda _store, blobs, row, _release: _of_run(blobs, row)),
)


def by_name(store: Store, text: str) -> list[Listed]:
    """The files of a name, path, id, accession or published digest; of several releases, each."""
    found = [one for listed in _LISTS for one in _matching(store, listed, text)]
    return list(dict.fromkeys([*found, *_of_runs(store, text)]))


def _matching(store: Store, listed: _List, text: str) -> Iterator[Listed]:
    where = pl.any_horizontal(
        *((name == text).fill_null(value=False) for name in listed.names),
        *((pl.col(name) == text.lower()).fill_null(value=False) for name in listed.digests),
    )
    yield from _rows(store, listed, where)


def _rows(store: Store, listed: _List, where: pl.Expr) -> Iterator[Listed]:
    blobs = BlobStore(store.fs, store.root)
    for place in store.partitions(listed.table):
        for row in store.table(listed.table, place).filter(where).collect().rows(named=True):
            yield from (Listed(place.release, one) for one in listed.files(store, blobs, row, place.release))


def _of_runs(store: Store, text: str) -> Iterator[Listed]:
    """The files of sequencing runs by their own names and digests, which stand in lists."""
    has = [pl.col(name).list.contains(text) for name in ("file_names", "file_md5s")]
    for one in _rows(store, _LISTS[-1], pl.any_horizontal(has).fill_null(value=False)):
        if text in {one.file.path, one.file.digest}:
            yield one


def by_sha256(store: Store, sha256: str) -> list[Listed]:
    """The files whose stored bytes have a digest, whatever digest is published."""
    everything = pl.lit(value=True)
    small = [one for listed in _LISTS if listed.table != MASSIVE_FILES.name for one in _rows(store, listed, everything)]
    found = [one for one in small if one.file.sha256 == sha256]
    return list(dict.fromkeys([*found, *_of_deposits(store, sha256)]))


def _of_deposits(store: Store, sha256: str) -> Iterator[Listed]:
    """Files of deposits, pulled before their table was made or since: the index of blobs knows both."""
    blobs = BlobStore(store.fs, store.root)
    for place in store.partitions(MASSIVE_FILES.name):
        rows = store.table(MASSIVE_FILES.name, place).filter(~pl.col("is_folder")).collect().rows(named=True)
        identities = [DepositFile(row["accession"], row["path"], row["size"]).identity for row in rows]
        noted = blobs.index.first_uses(identities)
        for row, identity in zip(rows, identities, strict=True):
            known = row["sha256"] or (noted[identity].sha256 if identity in noted else None)
            if known == sha256:
                yield Listed(place.release, replace(deposit_file(blobs, row), sha256=sha256))


def names(store: Store) -> list[str]:
    """The names of all files that the locks list, for whoever mistyped one."""
    tables = [store.table(name, place) for name in (RELEASE_FILES.name, FIGSHARE_FILES.name)
              for place in store.partitions(name)]  # fmt: skip
    return (
        pl.concat([table.select("label") for table in tables]).unique().collect()["label"].to_list() if tables else []
    )


def same_file(one: PublishedFile, other: PublishedFile) -> bool:
    """Whether two entries mean the same bytes: by digest where both have one of a kind, else by id and place."""
    mine, theirs = _digests(one), _digests(other)
    for kind in sorted(mine.keys() & theirs.keys()):
        return mine[kind] == theirs[kind]
    return _place(one) == _place(other)


def _digests(file: PublishedFile) -> dict[str, str]:
    stated = {str(file.digest_type): file.digest, "SHA-256": file.sha256}
    return {kind: digest for kind, digest in stated.items() if digest}


def _place(file: PublishedFile) -> tuple[object, ...]:
    return (file.archive, file.dataset, file.file_id, file.path, file.size)
