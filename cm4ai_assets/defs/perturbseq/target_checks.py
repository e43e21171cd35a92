"""Checks of perturbed genes that warn: what `perturbseq.target_findings` finds, over the published rows and record.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`perturbseq.target_findings`), and
what blocks (`targets`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.perturbseq.target_findings import OF_RECORD, OF_ROWS, library_covered
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.profiles import read_record
from cm4ai_assets.tables.screen import GUIDE_LIBRARY
from cm4ai_assets.tables.targets import PERTURB_TARGETS


@warning_checks(PERTURB_TARGETS, (*OF_RECORD, *OF_ROWS))
def target_checks(platform: Platform, partition: Partition) -> Findings:
    """Perturbed genes by themselves, and what the pass says of the file that it read."""
    store = platform.store
    targets = store.table(PERTURB_TARGETS.name, partition).collect()
    record = read_record(store.fs, store.address(targets["path"][0]))
    for of_record in OF_RECORD:
        yield of_record(record)
    for of_rows in OF_ROWS:
        yield of_rows(targets)


@warning_checks(PERTURB_TARGETS, (library_covered,), name="perturb_targets_library", reads=(GUIDE_LIBRARY.name,))
def library_checks(platform: Platform, partition: Partition) -> Findings:
    """Perturbed genes against the guide library, where the release has one."""
    store = platform.store
    has_library = store.has_table(GUIDE_LIBRARY.name, partition)
    library = store.table(GUIDE_LIBRARY.name, partition).collect() if has_library else None
    yield library_covered(store.table(PERTURB_TARGETS.name, partition).collect(), library)


CHECKS = (target_checks, library_checks)
