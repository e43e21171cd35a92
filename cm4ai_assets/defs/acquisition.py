"""Getting published files inside a step: progress in the log, states that are no failures, retries where waiting helps.

Belongs here: what an acquisition means to Dagster. Does not belong here: the acquisition
(`archives.dataverse.acquire`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.locked_file import LockedFile
from cm4ai_assets.defs.pages import described, failure, texts
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.progress import DownloadLog
from cm4ai_assets.defs.publishing import not_evaluated
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.platform import Platform
from cm4ai_assets.transfer.acquire import Acquired

# A download has already waited and tried again for as long as `transfer.retries` says. What is left is an outage.
RETRIES = 3
RETRY_SECONDS = 300


def acquire_file(context: dg.AssetExecutionContext, platform: Platform, file: LockedFile) -> Acquired:
    """The stored bytes of a locked file, fetched if no release before had them.

    Raises:
        AccessDeniedError: It is not available, or not yet. A state; see `skipped`.
        SizeMismatchError: Other bytes came than were published.
        DigestMismatchError: The same.
        ArchiveError: Anything else; `as_dagster` says what becomes of it.
    """
    with platform.archive() as archive:
        return acquire(file, archive, platform.blobs, platform.settings.scratch, progress=DownloadLog(context.log))


def read_again(context: dg.AssetExecutionContext, platform: Platform, stored: Acquired) -> None:
    """See that bytes which were stored before are still what they were: all of them are read.

    Raises:
        StoredBytesDamagedError: They are not.
    """
    if stored.reused:
        context.log.info(f"Stored before; all {stored.size:,} bytes are read again and held against their digests.")
        platform.blobs.hold(stored.sha256)


def as_dagster(context: dg.AssetExecutionContext, error: ArchiveError) -> Exception:
    """What to raise for an archive's error: a retry by Dagster where waiting helps, a plain failure where not any more.

    Dagster's own word on the last retry would be that they are exceeded, and not what was wrong.
    """
    if error.retryable and context.retry_number < RETRIES:
        context.log.warning(for_terminal(f"{error} It is tried again in {RETRY_SECONDS} s."))
        return dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS)
    return failure(str(error), about_it=error.runbook)


def source_of(platform: Platform, file: LockedFile) -> dict[str, Any]:
    """Where a file comes from, for the page of what is made from it."""
    return {
        "doi": file.doi,
        "version": file.version,
        "file_id": str(file.file_id),  # a name: Dagster would plot a number
        "label": file.label,
        "source": dg.MetadataValue.url(f"{platform.settings.dataverse_url}/api/access/datafile/{file.file_id}"),
        "landing_page": dg.MetadataValue.url(f"https://doi.org/{file.doi.removeprefix('doi:')}"),
        "license": file.license or "not stated",
    }


def not_there(context: dg.AssetExecutionContext, platform: Platform, reason: str) -> None:
    """Record of each table of the step that it is not made, and why, where the release does not have it."""
    context.log.warning(for_terminal(f"Not made: {reason}"))
    for key in sorted(context.selected_asset_keys):
        platform.absences.note(key.to_user_string(), partition_of(context.partition_key), reason)
        context.log_event(dg.AssetObservation(key, partition=context.partition_key, description=described(reason)))


def skipped(
    context: dg.AssetExecutionContext,
    platform: Platform,
    checks: Sequence[dg.AssetCheckSpec],
    reason: str,
    metadata: Mapping[str, Any],
) -> Iterator[dg.AssetCheckResult]:
    """Say that nothing is made, and why, where that is a state of the release and not a failure.

    Each asset gets an observation. Dagster asks for the outcome of every check; that there is none is no pass.
    """
    context.log.warning(for_terminal(f"Skipped: {reason}"))
    for key in sorted({check.asset_key for check in checks}):
        platform.absences.note(key.to_user_string(), partition_of(context.partition_key), reason)
        context.log_event(
            dg.AssetObservation(
                key, partition=context.partition_key, description=described(reason), metadata=texts(metadata)
            )
        )
    yield from not_evaluated(checks, reason)
