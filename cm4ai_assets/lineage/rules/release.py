"""Rows about a release as the archive published it: each names a file."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.lineage.chain import Chain, Rows, Rule
from cm4ai_assets.lineage.published import release_file
from cm4ai_assets.lineage.steps import Step
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.release import IF_ARCHIVE, RELEASE_CHANGES, RELEASE_FILES


def _locked(chain: Chain, rows: Rows) -> Iterator[Step]:
    for row in rows.frame.rows(named=True):
        yield chain.file(release_file(chain.store, chain.blobs, row, rows.partition.release))


def _changes(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The file in this release and in the one before it, by the rows of their locks."""
    yield from _lock_rows(chain, rows.partition.release, rows.values("file_id"))
    for (before,), part in rows.frame.partition_by("against", as_dict=True).items():
        if before is not None:
            yield from _lock_rows(chain, str(before), part["previous_file_id"].drop_nulls().to_list())


def _lock_rows(chain: Chain, release: str, file_ids: list[int]) -> Iterator[Step]:
    if file_ids:
        yield from chain.matching(RELEASE_FILES.name, Partition(release), pl.col("file_id").is_in(file_ids))


def _archive(chain: Chain, rows: Rows) -> Iterator[Step]:
    yield from _lock_rows(chain, rows.partition.release, rows.values("file_id"))


RULES = {
    RELEASE_FILES.name: Rule(_locked),
    RELEASE_CHANGES.name: Rule(_changes, reads=(RELEASE_FILES.name,)),
    IF_ARCHIVE.name: Rule(_archive, reads=(RELEASE_FILES.name,)),
}
