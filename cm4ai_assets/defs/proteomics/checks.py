"""Checks of the proteomics path that warn: what `proteomics.findings` finds, with one history per partition.

Belongs here: how findings are run and shown. Does not belong here: what is checked (`proteomics.findings`), and what
blocks (the schemas, inside the step that publishes).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.

import polars as pl

from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.proteomics import inputs
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics import apms_findings, findings
from cm4ai_assets.proteomics.correlation import PairCorrelation, pairs_of
from cm4ai_assets.proteomics.elution import from_profiles
from cm4ai_assets.releases import ReleaseKey
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, SECMS_PROFILES, SECMS_PROTEINS


def _rows(platform: Platform, table: Table, partition: Partition) -> pl.DataFrame:
    return platform.store.table(table.name, partition).collect()


@warning_checks(
    SECMS_PROFILES,
    (
        findings.tables_present,
        findings.tables_recognised,
        findings.tables_usable,
        findings.samples_known,
        findings.text_sound,
        findings.elution_aligned,
        findings.replicates_correlate,
    ),
)
def profile_checks(platform: Platform, partition: Partition) -> Findings:
    """The tables of the release once more, and the published replicates against each other."""
    reading = inputs.read_secms(platform, partition, inputs.lock_of(platform, partition.release))
    yield findings.tables_present(reading.packages)
    yield findings.tables_recognised(reading.packages)
    yield findings.tables_usable(reading)
    yield findings.samples_known(reading)
    yield findings.text_sound(reading)
    del reading
    pairs = _pairs(platform.store.table(SECMS_PROFILES.name, partition))
    yield findings.elution_aligned(pairs)
    yield findings.replicates_correlate(pairs)


def _pairs(profiles: pl.LazyFrame) -> list[PairCorrelation]:
    """Replicates of the same cells, compared; those of other cells are never in memory at once."""
    cells = ("cell_line", "cell_type")
    pairs = []
    for values in profiles.select(cells).unique(maintain_order=True).collect().iter_rows():
        of_cells = [pl.col(name).eq_missing(pl.lit(value)) for name, value in zip(cells, values, strict=True)]
        pairs += pairs_of(from_profiles(profiles.filter(of_cells).collect()))
    return pairs


@warning_checks(
    SECMS_PROTEINS,
    (
        findings.windows_aligned,
        findings.groups_unique,
        findings.quantities_sound,
        findings.ids_sound,
        findings.scale_consistent,
        findings.scale_unchanged,
    ),
)
def protein_checks(platform: Platform, partition: Partition) -> Findings:
    """Protein groups by themselves, and against those of the release before."""
    proteins = _rows(platform, SECMS_PROTEINS, partition)
    yield findings.windows_aligned(proteins)
    yield findings.groups_unique(proteins)
    yield findings.quantities_sound(proteins)
    yield findings.ids_sound(proteins)
    yield findings.scale_consistent(proteins)
    before = _before(platform, SECMS_PROTEINS, partition)
    yield findings.scale_unchanged(
        proteins.clear() if before is None else _rows(platform, SECMS_PROTEINS, before), proteins
    )


def _before(platform: Platform, table: Table, partition: Partition) -> Partition | None:
    """The same condition of the last release before that has the table."""
    own = ReleaseKey.parse(partition.release)
    older = [
        other
        for other in platform.store.partitions(table.name)
        if other.condition == partition.condition and ReleaseKey.parse(other.release) < own
    ]
    return max(older, key=lambda other: ReleaseKey.parse(other.release), default=None)


@warning_checks(
    APMS_INTERACTIONS,
    (
        apms_findings.interactions_sound,
        apms_findings.pairs_placed,
        findings.tables_recognised,
        findings.tables_usable,
        findings.text_sound,
    ),
)
def interaction_checks(platform: Platform, partition: Partition) -> Findings:
    """Bait-prey pairs, and the tables of the release once more."""
    yield apms_findings.interactions_sound(_rows(platform, APMS_INTERACTIONS, partition))
    reading = inputs.read_interactions(platform, partition, inputs.lock_of(platform, partition.release))
    yield apms_findings.pairs_placed(reading.unplaced)
    yield from _noticed(reading)


def _noticed(reading: findings.Noticed) -> Findings:
    """What was noticed while tables of AP-MS were read."""
    yield findings.tables_recognised(reading.packages)
    yield findings.tables_usable(reading)
    yield findings.text_sound(reading)


@warning_checks(
    APMS_RUNS,
    (
        apms_findings.runs_sound,
        apms_findings.treatments_known,
        apms_findings.runs_deposited,
        findings.tables_recognised,
        findings.tables_usable,
        findings.text_sound,
    ),
)
def run_checks(platform: Platform, partition: Partition) -> Findings:
    """Annotated runs by themselves, and those of all conditions against the deposited raw files."""
    yield apms_findings.runs_sound(_rows(platform, APMS_RUNS, partition))
    release = partition.release
    every = inputs.read_runs(platform, release, inputs.lock_of(platform, release))
    yield apms_findings.treatments_known(every.rows)
    yield apms_findings.runs_deposited(every.rows, inputs.deposited(platform, release))
    yield from _noticed(every)


CHECKS = (profile_checks, protein_checks, interaction_checks, run_checks)
