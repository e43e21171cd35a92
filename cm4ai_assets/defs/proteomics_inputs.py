"""What the proteomics steps read: a release's archives, and what was pulled of its deposits.

Belongs here: from the lock to opened bytes, for steps and for the checks that look at the same bytes again. Does not
belong here: what the bytes mean (`proteomics`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import dagster as dg
import polars as pl

from cm4ai_assets.archives.acquire import stored_blob
from cm4ai_assets.archives.errors import AccessDeniedError, ArchiveError
from cm4ai_assets.archives.lock import locked_files
from cm4ai_assets.archives.massive_pull import WEB_LIMIT, DepositFile, pull
from cm4ai_assets.archives.published import LockedFile
from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.acquisition import acquire_file, as_dagster, origin
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.defs.resources import Platform
from cm4ai_assets.errors import Cm4aiError, NotMaterializedError
from cm4ai_assets.proteomics import apms, secms
from cm4ai_assets.proteomics.problems import NoTablesError
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.tables.release import RELEASE_FILES

_TABLE_KINDS = ("search_result", "quantification")
_SECMS_NAMES = r"(?i)\.(tsv|csv)$"
_ANNOTATION = r"_Sample_Annotation\.tsv$"


def archives_of(lock: pl.LazyFrame, modality: str, *roles: str, condition: str | None = None) -> list[LockedFile]:
    """The files of a lock of some roles, of one condition where that is asked for."""
    found = lock.filter(pl.col("modality") == modality, pl.col("role").is_in(roles))
    if condition is not None:
        found = found.filter(pl.col("file_condition") == condition)
    return locked_files(found.collect())


def fetch(context: dg.AssetExecutionContext, platform: Platform, files: Sequence[LockedFile]) -> Metadata:
    """See that the files are stored; where they come from, for the page of what is made from them.

    Raises:
        AccessDeniedError: One may not be had, or not yet.
        ArchiveError: One could not be had.
    """
    told = [acquire_file(context, platform, file) for file in files]
    return {
        **(origin(platform, files[0]) if len(files) == 1 else _release_of(files)),
        "files": ", ".join(file.label for file in files),
        "sha256": ", ".join(one.sha256 for one in told),
        "size": sum(one.size for one in told),
        "bytes_fetched": sum(one.fetched_bytes for one in told),
    }


def _release_of(files: Sequence[LockedFile]) -> Metadata:
    if not files:
        return {}
    first = files[0]
    return {
        "doi": first.doi,
        "version": first.version,
        "landing_page": dg.MetadataValue.url(f"https://doi.org/{first.doi.removeprefix('doi:')}"),
        "license": first.license or "not stated",
    }


@contextmanager
def opened(platform: Platform, files: Sequence[LockedFile]) -> Iterator[list[ByteSource]]:
    """The stored bytes of files, under their published names.

    Raises:
        NotMaterializedError: One is not stored.
    """
    with ExitStack() as stack:
        sources: list[ByteSource] = []
        for file in files:
            blob = stored_blob(file, platform.blobs)
            if blob is None:
                raise NotMaterializedError(
                    f"{file.path} of {file.doi} {file.version} is not stored.", remedy="Materialize the asset again."
                )
            source = platform.blobs.open(blob.sha256)
            stack.enter_context(source)
            source.name = file.label
            sources.append(source)
        yield sources


@contextmanager
def told_to_dagster(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Errors as what Dagster does about them; states of a release pass as they are (`acquisition.skipped`)."""
    try:
        yield
    except (AccessDeniedError, NoTablesError):
        raise
    except ArchiveError as error:
        raise as_dagster(context, error) from error
    except Cm4aiError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


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
    condition, files = Condition(partition.treatment), archives_of(lock, "secms", "package")
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


def read_runs(platform: Platform, release: str, lock: pl.LazyFrame) -> list[apms.Runs]:
    """The sample annotations of a release, of all conditions: in its archives, and in its deposits.

    Those in the deposits are fetched if they are not stored: they are small, and all that is known of the runs.
    """
    with opened(platform, archives_of(lock, "apms", "package")) as sources:
        found = [runs for source in sources for runs in apms.runs_in(source)]
    files = deposited(platform, release).filter(
        pl.col("kind") == "metadata", pl.col("name").str.contains(_ANNOTATION), pl.col("size") <= WEB_LIMIT
    )
    with platform.massive() as client:
        for accession, path, size, url in files.select("accession", "path", "size", "url").iter_rows():
            file = DepositFile(accession, path, size, url)
            blob = pull(file, client, platform.blobs, platform.settings.scratch)
            with platform.open_stream(blob.sha256) as stream:
                found.append(apms.read_runs(stream.read(), f"{accession}/{path}", accession=accession))
    return found


def lock_of(platform: Platform, release: str) -> pl.LazyFrame:
    """The lock of a release."""
    return platform.store.table(RELEASE_FILES.name, Partition(release))
