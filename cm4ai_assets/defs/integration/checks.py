"""Checks of coverage and splits that warn: what `integration` finds, over the published rows.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`integration`), and what blocks
(`assets`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.integration import inputs
from cm4ai_assets.integration import coverage_findings, split_findings
from cm4ai_assets.integration.coverage_findings import antibody_ids_agree
from cm4ai_assets.integration.mapping import bundled_mapping
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.images import IF_ANTIBODIES
from cm4ai_assets.tables.integration import PROTEINS, SPLITS


@warning_checks(SPLITS, split_findings.CHECKS)
def split_checks(platform: Platform, partition: Partition) -> Findings:
    """Splits by themselves."""
    rows = platform.store.table(SPLITS.name, partition).collect()
    for check in split_findings.CHECKS:
        yield check(rows)


@warning_checks(PROTEINS, (*coverage_findings.CHECKS, antibody_ids_agree))
def protein_checks(platform: Platform, partition: Partition) -> Findings:
    """Coverage by itself, and the ids of the antibodies behind it."""
    rows = platform.store.table(PROTEINS.name, partition).collect()
    for check in coverage_findings.CHECKS:
        yield check(rows)
    antibodies = inputs.read(platform, partition.release, [IF_ANTIBODIES.name])[IF_ANTIBODIES.name]
    yield antibody_ids_agree(antibodies, bundled_mapping())


CHECKS = (split_checks, protein_checks)
