"""What the proteomics steps read: a release's archives, and what was pulled of its deposits.

Belongs here: which files of a lock and of its deposits, for steps and for the checks that look at the same bytes again.
Does not belong here: how files are fetched and opened (`defs.inputs`), and what the bytes mean (`proteomics`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import polars as pl

from cm4ai_assets.archives.dataverse.locked_file import LockedFile, stored_blob
from cm4ai_assets.archives.massive.acquire import WEB_LIMIT, pull
from cm4ai_assets.archives.massive.deposit_file import DepositFile
from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.inputs import archives_of, opened
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics import apms, runs, secms
from cm4ai_assets.proteomics.apms_forms import Reading
from cm4ai_assets.proteomics.packages import Archive, LooseTable, SourceFile, archive_of
from cm4ai_assets.proteomics.problems import NoTablesError
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.vocabulary import Modality, Role

_TABLE_KINDS = ("search_result", "quantification")
_SECMS_NAMES = r"(?i)\.(tsv|csv)$"
_ANNOTATION = r"_Sample_Annotation\.tsv$"


def deposited(platform: Platform, release: str) -> pl.DataFrame:
    """The rows of `massive_files` of a release; none where it is not materialized."""
    partition = Partition(release)
    if not platform.store.has_table(MASSIVE_FILES.name, partition):
        return MASSIVE_FILES.empty()
    return platform.store.table(MASSIVE_FILES.name, partition).collect()


def read_secms(platform: Platform, partition: Partition, lock: pl.LazyFrame) -> secms.Reading:
    """The SEC-MS tables of one condition: of the release's archives, else those that were pulled of its deposits.

    Raises:
        NoTablesError: Neither holds any of this condition.
        ArchiveDamagedError: An archive is no ZIP, or not safe.
    """
    condition, files = Condition(partition.treatment), archives_of(lock, Modality.SECMS, Role.PACKAGE)
    pulled = deposited(platform, partition.release).filter(
        pl.col("sha256").is_not_null(), pl.col("kind").is_in(_TABLE_KINDS), pl.col("name").str.contains(_SECMS_NAMES)
    )
    loose = [
        LooseTable(path, partial(platform.open_stream, sha256), accession, SourceFile(path, None, sha256))
        for accession, path, sha256 in pulled.select("accession", "path", "sha256").iter_rows()
    ]
    if not files and not loose:
        raise NoTablesError(f"Release {partition.release} has no SEC-MS archive.")
    with _archives(platform, files) as archives:
        try:
            return secms.read_condition(archives, condition)
        except NoTablesError:
            if not loose:
                raise
            return secms.read_condition(archives, condition, loose=loose)


def _annotations(platform: Platform, release: str) -> list[DepositFile]:
    """The sample annotations in a release's deposits: they are small, and all that is known of the runs."""
    files = deposited(platform, release).filter(
        pl.col("kind") == "metadata", pl.col("name").str.contains(_ANNOTATION), pl.col("size") <= WEB_LIMIT
    )
    return [DepositFile(*row) for row in files.select("accession", "path", "size", "url").iter_rows()]


def pull_annotations(platform: Platform, release: str) -> None:
    """See that the sample annotations of a release's deposits are stored. For the step alone: a check never fetches.

    Raises:
        ArchiveError: One could not be fetched.
    """
    with platform.massive() as client:
        for file in _annotations(platform, release):
            pull(file, client, platform.blobs, platform.settings.scratch)


def read_interactions(platform: Platform, partition: Partition, lock: pl.LazyFrame) -> Reading:
    """The scored pairs of one condition, in the release's archives.

    Raises:
        NoTablesError: None holds any of this condition.
        ArchiveDamagedError: An archive is no ZIP, or not safe.
    """
    files = interaction_files(partition, lock)
    if not files:
        raise NoTablesError(f"Release {partition.release} has no AP-MS archive of {partition.condition}.")
    with _archives(platform, files) as archives:
        return apms.interactions_of(archives, Condition(partition.treatment))


def interaction_files(partition: Partition, lock: pl.LazyFrame) -> list[LockedFile]:
    """The archives that may hold scored pairs of one condition."""
    return archives_of(lock, Modality.APMS, Role.TABLES, Role.PACKAGE, condition=partition.treatment)


def read_runs(platform: Platform, release: str, lock: pl.LazyFrame) -> Reading:
    """The stored sample annotations of a release, of all conditions: in its archives, and in its deposits.

    Raises:
        NotMaterializedError: One is not stored.
    """
    loose: list[LooseTable] = []
    for file in _annotations(platform, release):
        name = f"{file.accession}/{file.path}"
        blob = platform.blobs.index.first_use(file.identity)
        if blob is None or not platform.blobs.has(blob.sha256):
            raise NotMaterializedError(f"{name} of MassIVE is not stored.", remedy="Materialize apms_runs again.")
        source_file = SourceFile(name, None, blob.sha256)
        loose.append(LooseTable(name, partial(platform.open_stream, blob.sha256), file.accession, source_file))
    with _archives(platform, archives_of(lock, Modality.APMS, Role.PACKAGE)) as archives:
        return runs.runs_of(archives, loose)


@contextmanager
def _archives(platform: Platform, files: Sequence[LockedFile]) -> Iterator[list[Archive]]:
    """The stored ZIPs of files, with what is known of their publication."""
    with opened(platform, files) as sources:
        blobs = [stored_blob(file, platform.blobs) for file in files]
        yield [
            archive_of(source, file_id=file.file_id, sha256=None if blob is None else blob.sha256)
            for source, file, blob in zip(sources, files, blobs, strict=True)
        ]


def lock_of(platform: Platform, release: str) -> pl.LazyFrame:
    """The lock of a release."""
    return platform.store.table(RELEASE_FILES.name, Partition(release))
