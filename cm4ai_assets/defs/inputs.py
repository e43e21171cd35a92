"""What steps read: the files of a lock that a subject needs, fetched and opened, with errors as Dagster acts on them.

Belongs here: what every subject's steps share between the lock and opened bytes. Does not belong here: which files a
subject needs (`defs.<subject>.inputs`), and what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import dagster as dg
import polars as pl

from cm4ai_assets.archives.dataverse.lock import locked_files
from cm4ai_assets.archives.dataverse.locked_file import LockedFile, stored_blob
from cm4ai_assets.defs.acquisition import acquire_file, as_dagster, source_of
from cm4ai_assets.defs.pages import failure
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.errors import ArchiveError, Cm4aiError, NotMaterializedError
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics.problems import NoTablesError
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.transfer.acquire import Acquired
from cm4ai_assets.transfer.errors import AccessDeniedError
from cm4ai_assets.updates.credit import licences
from cm4ai_assets.vocabulary import Modality, Role


def archives_of(lock: pl.LazyFrame, modality: Modality, *roles: Role, condition: str | None = None) -> list[LockedFile]:
    """The files of a lock of some roles, of one condition where that is asked for."""
    found = lock.filter(pl.col("modality") == modality, pl.col("role").is_in(roles))
    if condition is not None:
        found = found.filter(pl.col("file_condition") == condition)
    return locked_files(found.collect())


def fetch(context: dg.AssetExecutionContext, platform: Platform, files: Sequence[LockedFile]) -> Metadata:
    """See that the files are stored; where they come from, for the page of what is made from them.

    Raises:
        AccessDeniedError: One is not available, or not yet.
        ArchiveError: One could not be fetched.
    """
    acquired = [acquire_file(context, platform, file) for file in files]
    return {
        **(source_of(platform, files[0]) if len(files) == 1 else _release_of(files)),
        "files": ", ".join(file.label for file in files),
        "sha256": ", ".join(one.sha256 for one in acquired),
        "size": size_in_words(sum(one.size for one in acquired)),
        "bytes_fetched": size_in_words(sum(one.fetched_bytes for one in acquired)),
        "verified": "; ".join(_how_verified(platform, one) for one in acquired),
    }


def _how_verified(platform: Platform, stored: Acquired) -> str:
    """What is known of stored bytes: a step reads parts of them, and only those are held against digests now."""
    if not stored.reused:
        return "all of it, as it arrived now"
    last = platform.blobs.verified_on(stored.sha256)
    return f"all of it on {last:%Y-%m-%d}, not again now; what is read now, block by block" if last else "as it is read"


def _release_of(files: Sequence[LockedFile]) -> Metadata:
    if not files:
        return {}
    first = files[0]
    return {
        "doi": first.doi,
        "version": first.version,
        "landing_page": dg.MetadataValue.url(f"https://doi.org/{first.doi.removeprefix('doi:')}"),
        "license": licences([file.license for file in files]),
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
def errors_for_dagster(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Errors as what Dagster does about them; states of a release pass as they are (`acquisition.skipped`)."""
    try:
        yield
    except (AccessDeniedError, NoTablesError):
        raise
    except ArchiveError as error:
        raise as_dagster(context, error) from error
    except Cm4aiError as error:
        raise failure(str(error), about_it=error.runbook) from error
