"""What the proteomics steps read: a release's archives, and what was pulled of its deposits.

Belongs here: which files of a lock and of its deposits, for steps and for the checks that look at the same bytes again.
Does not belong here: how files are fetched and opened (`defs.inputs`), and what the bytes mean (`proteomics`).
"""

from __future__ import annotations

from functools import partial

import polars as pl

from cm4ai_assets.archives.massive.acquire import WEB_LIMIT, DepositFile, pull
from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.inputs import archives_of, opened
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics import apms, secms
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
        secms.LooseTable(path, partial(platform.open_stream, sha256), accession)
        for accession, path, sha256 in pulled.select("accession", "path", "sha256").iter_rows()
    ]
    if not files and not loose:
        raise NoTablesError(f"Release {partition.release} has no SEC-MS archive.")
    with opened(platform, files) as sources:
        try:
            return secms.read_condition(sources, condition)
        except NoTablesError:
            if not loose:
                raise
            return secms.read_condition(sources, condition, loose=loose)


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


def read_runs(platform: Platform, release: str, lock: pl.LazyFrame) -> list[apms.Runs]:
    """The stored sample annotations of a release, of all conditions: in its archives, and in its deposits.

    Raises:
        NotMaterializedError: One is not stored.
    """
    with opened(platform, archives_of(lock, Modality.APMS, Role.PACKAGE)) as sources:
        found = [runs for source in sources for runs in apms.runs_in(source)]
    for file in _annotations(platform, release):
        name = f"{file.accession}/{file.path}"
        blob = platform.blobs.first_use(file.identity)
        if blob is None or not platform.blobs.has(blob.sha256):
            raise NotMaterializedError(f"{name} of MassIVE is not stored.", remedy="Materialize apms_runs again.")
        with platform.open_stream(blob.sha256) as stream:
            found.append(apms.read_runs(stream.read(), name, accession=file.accession))
    return found


def lock_of(platform: Platform, release: str) -> pl.LazyFrame:
    """The lock of a release."""
    return platform.store.table(RELEASE_FILES.name, Partition(release))
