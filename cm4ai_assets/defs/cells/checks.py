"""Checks of nuclei that warn: what `cells.findings` finds, as asset checks with one history per partition.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`cells.findings`), and what blocks
(`assets`: blocking checks run inside the step that publishes).
"""

from __future__ import annotations

import dagster as dg

from cm4ai_assets.cells import findings
from cm4ai_assets.defs.cells import pages
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.findings import Finding
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import IF_FIELDS, IF_TENSORS


def _page(finding: Finding, platform: Platform, partition: Partition) -> Metadata:
    """Some of the fields that a finding is about, with outlines."""
    if "field_id" not in finding.rows.columns or finding.rows.is_empty():
        return {}
    return pages.of_offenders(finding.rows["field_id"].to_list(), platform.store, partition)


@warning_checks(
    IF_CELLS,
    (findings.cells_per_field, findings.fields_with_cells, findings.cells_plausible, findings.cells_whole),
    reads=(IF_FIELDS.name, IF_TENSORS.name),
    page=_page,
)
def _findings_of(platform: Platform, partition: Partition) -> Findings:
    cells, fields = (platform.store.table(name, partition).collect() for name in (IF_CELLS.name, IF_FIELDS.name))
    counted = findings.counts(cells, fields)
    yield findings.cells_per_field(counted)
    yield findings.fields_with_cells(counted, pages.reasons(platform.store, partition))
    yield findings.cells_plausible(cells)
    yield findings.cells_whole(cells)


CHECKS: tuple[dg.AssetChecksDefinition, ...] = (_findings_of,)
