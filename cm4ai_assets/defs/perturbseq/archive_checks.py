"""Checks of what the archives hold of Perturb-seq: what `perturbseq.archive_findings` finds, one history per partition.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`perturbseq.archive_findings`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from datetime import UTC, datetime

from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.perturbseq import archive_findings as findings
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS


@warning_checks(
    FIGSHARE_FILES,
    (findings.digests_published, findings.files_accessible, findings.article_named, findings.roles_recognised),
)
def file_checks(platform: Platform, partition: Partition) -> Findings:
    """The files of the article, as they were locked."""
    files = platform.store.table(FIGSHARE_FILES.name, partition).collect()
    yield findings.digests_published(files)
    yield findings.files_accessible(files, datetime.now(UTC).date())
    yield findings.article_named(files)
    yield findings.roles_recognised(files)


@warning_checks(
    SRA_RUNS,
    (
        findings.runs_have_digests,
        findings.embargoes_current,
        findings.libraries_known,
        findings.channels_complete,
        findings.lists_agree,
    ),
)
def run_checks(platform: Platform, partition: Partition) -> Findings:
    """The sequencing runs, as crates and archives list them."""
    runs = platform.store.table(SRA_RUNS.name, partition).collect()
    yield findings.runs_have_digests(runs)
    yield findings.embargoes_current(runs, datetime.now(UTC).date())
    yield findings.libraries_known(runs)
    yield findings.channels_complete(runs)
    yield findings.lists_agree(runs)


CHECKS = (file_checks, run_checks)
