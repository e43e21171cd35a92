"""Checks of the screen that warn: what the findings of `perturbseq` say, with one history per release.

Belongs here: how findings are run and shown. Does not belong here: what is checked, and what blocks (the schemas, and
that nothing was lost, inside the step that publishes).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.

import polars as pl

from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.perturbseq import screen_pages
from cm4ai_assets.defs.perturbseq.tables import guides_of, library_of
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.findings import Finding
from cm4ai_assets.perturbseq import cell_findings, cellranger_findings, guide_findings
from cm4ai_assets.perturbseq.overview import overview_of
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.screen import CELLRANGER_METRICS, GUIDE_LIBRARY, PERTURB_CELLS


@warning_checks(
    GUIDE_LIBRARY,
    (
        guide_findings.guides_unique,
        guide_findings.guides_named,
        guide_findings.sequences_sound,
        guide_findings.genes_identified,
        guide_findings.controls_listed,
        guide_findings.three_per_gene,
    ),
)
def library_checks(platform: Platform, partition: Partition) -> Findings:
    """The stored feature reference once more, with its whitelist."""
    library = library_of(platform, partition.release)
    if library is None:
        raise NotMaterializedError(
            f"The feature reference of {partition.release} is not stored.", remedy="Materialize guide_library again."
        )
    yield guide_findings.guides_unique(library)
    yield guide_findings.guides_named(library)
    yield guide_findings.sequences_sound(library)
    yield guide_findings.genes_identified(library)
    yield guide_findings.controls_listed(library)
    yield guide_findings.three_per_gene(library)


def _cells(platform: Platform, partition: Partition) -> pl.LazyFrame:
    return platform.store.table(PERTURB_CELLS.name, partition)


def _page(finding: Finding, platform: Platform, partition: Partition) -> Metadata:
    return screen_pages.of_finding(finding, lambda: overview_of(_cells(platform, partition)))


@warning_checks(
    PERTURB_CELLS,
    (
        cell_findings.cells_unique,
        cell_findings.guides_called,
        cell_findings.guides_known,
        cell_findings.targets_known,
        cell_findings.controls_present,
        cell_findings.channels_known,
        cell_findings.counts_plausible,
        cell_findings.columns_known,
    ),
    page=_page,
)
def cell_checks(platform: Platform, partition: Partition) -> Findings:
    """The published cells; each check reads its own columns."""
    cells = _cells(platform, partition)
    overview = overview_of(cells)
    yield cell_findings.cells_unique(cells)
    yield cell_findings.guides_called(cells)
    yield cell_findings.guides_known(cells, has_library=guides_of(platform, partition.release) is not None)
    yield cell_findings.targets_known(cells, overview)
    yield cell_findings.controls_present(cells, overview)
    yield cell_findings.channels_known(cells, overview)
    yield cell_findings.counts_plausible(cells)
    yield cell_findings.columns_known(cells)


@warning_checks(
    CELLRANGER_METRICS,
    (cellranger_findings.values_sound, cellranger_findings.samples_known, cellranger_findings.metrics_known),
)
def metric_checks(platform: Platform, partition: Partition) -> Findings:
    """The published statistics."""
    rows = platform.store.table(CELLRANGER_METRICS.name, partition).collect()
    yield cellranger_findings.values_sound(rows)
    yield cellranger_findings.samples_known(rows)
    yield cellranger_findings.metrics_known(rows)


CHECKS = (library_checks, cell_checks, metric_checks)
