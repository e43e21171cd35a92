"""Checks of the image path that warn: what `images.findings` finds, as asset checks with one history per partition.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`images.findings`), and what blocks
(`image_assets`: blocking checks run inside the step that publishes).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from typing import Any

import dagster as dg
import polars as pl

from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.images import pages as image_metadata
from cm4ai_assets.defs.publishing import Metadata
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

    @warning_checks(table(name), described={check.name: check.description for check in checks}, page=_page)
    def findings_of(platform: Platform, partition: Partition) -> Findings:
        rows = platform.store.table(name, partition).collect() if over_rows else pl.DataFrame()
        for check in over_rows:
            yield check.function(rows)
        if over_zip:
            archive = platform.store.table("if_archive", partition).collect().row(0, named=True)
            with platform.open_zip(archive["sha256"]) as source:
                md5 = archive["digest"] if archive["digest_type"] == "MD5" else None
                published = PublishedZip(source, zips.read_directory(source), partition.treatment, md5)
                for zip_check in over_zip:
                    yield zip_check.function(published)

    return findings_of


def _page(finding: Finding, platform: Platform, partition: Partition) -> Metadata:
    """The fields that a finding is about, as pictures; blurred images beside sharp ones."""
    if "field_id" not in finding.rows.columns or finding.rows.is_empty():
        return {}
    if finding.check == findings.in_focus.__name__:
        return image_metadata.of_blurred(finding.rows, platform.store, partition)
    return image_metadata.of_offenders(finding.rows["field_id"].to_list(), platform.store, partition)


_TABLES = dict.fromkeys([c.table for c in findings.ARCHIVE_CHECKS] + [c.table for c in findings.TABLE_CHECKS])
CHECKS = tuple(_checks_of(name) for name in _TABLES)
