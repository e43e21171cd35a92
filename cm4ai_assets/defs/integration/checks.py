"""Checks of coverage and splits that warn: what `integration` finds, over the published rows.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`integration.split_findings`), and
what blocks (`assets`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.integration import split_findings
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.integration import SPLITS


@warning_checks(SPLITS, split_findings.CHECKS)
def split_checks(platform: Platform, partition: Partition) -> Findings:
    """Splits by themselves."""
    rows = platform.store.table(SPLITS.name, partition).collect()
    for check in split_findings.CHECKS:
        yield check(rows)


CHECKS = (split_checks,)
