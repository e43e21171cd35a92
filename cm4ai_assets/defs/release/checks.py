"""Checks of a release as a whole; all of them warn.

Belongs here: how findings about locks and about the collection are run and shown. Does not belong here: what is checked
(`updates.findings`, `updates.upstream`), and when the release sensor has it looked at again.
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from cm4ai_assets.defs import pages as md
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import check_spec
from cm4ai_assets.defs.release.assets import COLLECTION
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.findings import Finding
from cm4ai_assets.platform import Platform
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates import findings
from cm4ai_assets.updates.upstream import upstream_status

STILL_PUBLISHED = "still_published"
RELEASE_DUE = findings.release_due.__name__

_SHOWN = ("change", "previous_directory", "previous_label", "directory", "label", "previous_access", "access")


def _described(function: Callable[..., object]) -> str:
    return " ".join((function.__doc__ or "").split())


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks; see `products.check_spec`

    @dg.multi_asset_check(
        name="release_files_checks",
        specs=[
            check_spec(function.__name__, RELEASE_FILES, _described(function), blocking=False)
            for function in findings.LOCK_CHECKS
        ],
    )
    def lock_checks(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        """What is unknown, missing or closed in a release."""
        lock = platform.store.table(RELEASE_FILES.name, partition_of(context.partition_key)).collect()
        for function in findings.LOCK_CHECKS:
            finding = function(lock)
            yield dg.AssetCheckResult(
                asset_key=RELEASE_FILES.name,
                check_name=finding.check,
                passed=finding.passed,
                severity=dg.AssetCheckSeverity.WARN,
                description=finding.summary,
                metadata=_metadata(finding),
            )

    @dg.multi_asset_check(
        name="release_files_still_published",
        specs=[
            check_spec(
                STILL_PUBLISHED,
                RELEASE_FILES,
                "The archive still offers this version, with the files, bytes and access that were locked. Warns of "
                "what was withdrawn, closed again or altered in place. What is stored is kept in any case. Asks the "
                "archive; the release sensor has it evaluated again whenever it sees a change.",
                blocking=False,
            )
        ],
        pool="dataverse",
    )
    def still_published(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        """Whether the archive still offers the release as it was locked."""
        record = platform.registry.get(context.partition_key)
        lock = platform.store.table(RELEASE_FILES.name, partition_of(context.partition_key)).collect()
        try:
            with platform.archive() as archive:
                status = upstream_status(record, lock, archive)
        except ArchiveError as error:
            yield dg.AssetCheckResult(
                check_name=STILL_PUBLISHED,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"Not known, because the archive could not be asked: {error}",
            )
            return
        yield dg.AssetCheckResult(
            check_name=STILL_PUBLISHED,
            passed=status.is_as_locked,
            severity=dg.AssetCheckSeverity.WARN,
            description=status.summary,
            metadata={"state": str(status.state), "differences": md.rows(status.rows.select(_SHOWN))},
        )


@dg.asset_check(asset=COLLECTION, name=RELEASE_DUE, description=_described(findings.release_due), blocking=False)
def release_due(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
    """Whether a new dataset is overdue."""
    finding = findings.release_due(platform.registry.all(), datetime.now(UTC))
    return dg.AssetCheckResult(
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.summary,
        metadata=_metadata(finding),
    )


def due_evaluation(finding: Finding) -> dg.AssetCheckEvaluation:
    """The finding `release_due` as the sensor reports it."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(COLLECTION),
        check_name=RELEASE_DUE,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.summary,
        metadata=_metadata(finding),
        blocking=False,
    )


def _metadata(finding: Finding) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(finding.counts)
    return metadata if finding.rows.is_empty() else {**metadata, "rows": md.rows(finding.rows)}


CHECKS = (lock_checks, still_published, release_due)
