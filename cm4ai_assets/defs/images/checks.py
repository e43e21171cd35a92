"""Checks of the image path that warn: what `images.findings` finds, as asset checks with one history per partition.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`images.findings`), and what blocks
(`image_assets`: blocking checks run inside the step that publishes).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from cm4ai_assets.defs import pages as md
from cm4ai_assets.defs.images import pages as image_metadata
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import check_spec
from cm4ai_assets.findings import Finding
from cm4ai_assets.images import findings
from cm4ai_assets.images.findings import PublishedZip
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage import zips
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import table


def _checks_of(name: str) -> dg.AssetChecksDefinition:
    """All warning checks shown beside one table, in one step."""
    over_rows = [check for check in findings.TABLE_CHECKS if check.table == name]
    over_zip = [check for check in findings.ARCHIVE_CHECKS if check.table == name]
    checks: tuple[findings.Check[Any], ...] = (*over_rows, *over_zip)
    specs = [check_spec(check.name, table(name), check.description, blocking=False) for check in checks]

    def evaluate(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        partition = partition_of(context.partition_key)
        rows = platform.store.table(name, partition).collect() if over_rows else pl.DataFrame()
        for check in over_rows:
            yield _result(name, check.function(rows), platform, partition)
        if over_zip:
            archive = platform.store.table("if_archive", partition).collect().row(0, named=True)
            with platform.open_zip(archive["sha256"]) as source:
                md5 = archive["digest"] if archive["digest_type"] == "MD5" else None
                published = PublishedZip(source, zips.read_directory(source), md5)
                for zip_check in over_zip:
                    yield _result(name, zip_check.function(published), platform, partition)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks; see `products.check_spec`
        return dg.multi_asset_check(name=f"{name}_checks", specs=specs)(evaluate)


def _result(name: str, finding: Finding, platform: Platform, partition: Partition) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {key.replace(" ", "_"): count for key, count in finding.counts.items()}
    if not finding.rows.is_empty():
        metadata["rows"] = md.rows(finding.rows)
        if "field_id" in finding.rows.columns:
            metadata |= image_metadata.of_offenders(finding.rows["field_id"].to_list(), platform.store, partition)
    return dg.AssetCheckResult(
        asset_key=name,
        check_name=finding.check,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.summary,
        metadata=metadata,
    )


_TABLES = dict.fromkeys([c.table for c in findings.ARCHIVE_CHECKS] + [c.table for c in findings.TABLE_CHECKS])
CHECKS = tuple(_checks_of(name) for name in _TABLES)
