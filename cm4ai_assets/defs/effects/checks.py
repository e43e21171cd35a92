"""Checks of batch effects and of effects of treatments that warn: what `effects.findings` finds, over published rows.

Does not belong here: what is checked (`effects.findings`), and what blocks (`assets`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.effects import findings
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.effects import IF_EFFECTS, IF_PLATES


@warning_checks(IF_PLATES, findings.PLATE_CHECKS)
def plate_checks(platform: Platform, partition: Partition) -> Findings:
    """Plates and positions."""
    rows = platform.store.table(IF_PLATES.name, partition).collect()
    for check in findings.PLATE_CHECKS:
        yield check(rows)


@warning_checks(IF_EFFECTS, findings.EFFECT_CHECKS)
def effect_checks(platform: Platform, partition: Partition) -> Findings:
    """Effects of treatments."""
    rows = platform.store.table(IF_EFFECTS.name, partition).collect()
    for check in findings.EFFECT_CHECKS:
        yield check(rows)


CHECKS = (plate_checks, effect_checks)
