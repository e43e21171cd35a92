"""Checks of a release as a whole; all of them warn.

Belongs here: how findings about locks and about the collection are run and shown. Does not belong here: what is checked
(`updates.findings`, `updates.upstream`), and when the release sensor has it looked at again.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.findings import Finding
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates import findings
from cm4ai_assets.updates.upstream import upstream_status

STILL_PUBLISHED = "still_published"

_SHOWN = ("change", "previous_directory", "previous_label", "directory", "label", "previous_access", "access")


@warning_checks(RELEASE_FILES, findings.LOCK_CHECKS)
def lock_checks(platform: Platform, partition: Partition) -> Findings:
    """What is unknown, missing or closed in a release."""
    lock = platform.store.table(RELEASE_FILES.name, partition).collect()
    for function in findings.LOCK_CHECKS:
        yield function(lock)


@warning_checks(
    RELEASE_FILES,
    described={
        STILL_PUBLISHED: "The archive still offers this version, with the files, bytes and access that were locked. "
        "Warns of what was withdrawn, closed again or altered in place. What is stored is kept in any case. Asks the "
        "archive; the release sensor has it evaluated again whenever it sees a change."
    },
    name="release_files_still_published",
    asks_archive=True,
    pool="dataverse",
)
def still_published(platform: Platform, partition: Partition) -> Findings:
    """Whether the archive still offers the release as it was locked: the one check that asks the archive."""
    record = platform.registry.get(partition.release)
    lock = platform.store.table(RELEASE_FILES.name, partition).collect()
    try:
        with platform.archive() as archive:
            status = upstream_status(record, lock, archive)
    except ArchiveError as error:
        unknown = f"Not known, because the archive could not be asked: {error}"
        yield Finding(STILL_PUBLISHED, passed=False, summary=unknown)
        return
    yield Finding(STILL_PUBLISHED, status.is_as_locked, status.summary, status.rows.select(_SHOWN))


@warning_checks(COLLECTION, [findings.release_due, findings.records_readable])
def collection_checks(platform: Platform, _: Partition) -> Findings:
    """Whether a new dataset is overdue, and whether every registered release can be read."""
    yield from collection_findings(platform, datetime.now(UTC))


def collection_findings(platform: Platform, now: datetime) -> Findings:
    """What there is to say about the collection; the sensor reports it too, after each look at the archive."""
    yield findings.release_due(platform.registry.all(), now)
    yield findings.records_readable([str(damaged) for damaged in platform.registry.damaged()])


CHECKS = (lock_checks, still_published, collection_checks)
