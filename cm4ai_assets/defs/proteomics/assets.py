"""Assets of the proteomics path: SEC-MS profiles, AP-MS interactions and runs. Thin: `proteomics` says how.

Belongs here: assets that are made from published tables. Does not belong here: warnings (`proteomics_checks`), and the
inventories of MassIVE (`massive_assets`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg
import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.automation import follows_its_inputs
from cm4ai_assets.defs.inputs import archives_of, errors_for_dagster, fetch
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import blocking_check, table_spec, tables_if_there
from cm4ai_assets.defs.proteomics import inputs
from cm4ai_assets.defs.proteomics import pages as proteomics_metadata
from cm4ai_assets.defs.publishing import AssetResult, Draft, gate_of, publish
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics import findings
from cm4ai_assets.proteomics.apms_forms import Reading
from cm4ai_assets.proteomics.problems import NoTablesError
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, MASSIVE_FILES, SECMS_PROFILES, SECMS_PROTEINS
from cm4ai_assets.transfer.errors import AccessDeniedError
from cm4ai_assets.vocabulary import CellLine, Modality, Role

GROUP = "proteomics"
SECMS_TAGS = {"cm4ai/modality": Modality.SECMS.value}
APMS_TAGS = {"cm4ai/modality": Modality.APMS.value, "cm4ai/cell_line": CellLine.MDA_MB_468.value}


@tables_if_there(
    *(
        table_spec(
            table,
            group=GROUP,
            kinds={"dataverse", "parquet"},
            tags=SECMS_TAGS,
            deps=("release_files",),
            # Tables that were pulled of a deposit are read where the release itself has none.
            optional=(MASSIVE_FILES.name,),
            code_version="2",
            skippable=True,
        )
        for table in (SECMS_PROFILES, SECMS_PROTEINS)
    ),
    checks=[blocking_check(table, findings.rows_kept) for table in (SECMS_PROFILES, SECMS_PROTEINS)],
    name="secms_tables",
    pool="dataverse",
)
def secms(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Elution profiles and protein groups from one reading of the published tables."""
    partition = partition_of(context.partition_key)
    try:
        with errors_for_dagster(context):
            where = fetch(context, platform, archives_of(release_files, Modality.SECMS, Role.PACKAGE))
            reading = inputs.read_secms(platform, partition, release_files)
    except (AccessDeniedError, NoTablesError) as state:
        not_there(context, platform, str(state))
        return
    place = {"release": partition.release, "condition": partition.treatment}
    yield from publish(
        context,
        platform.store,
        Draft(
            SECMS_PROFILES,
            SECMS_PROFILES.place(reading.profiles, **place),
            [gate_of(findings.rows_kept(reading))],
            {**where, **proteomics_metadata.of_profiles(reading)},
        ),
        Draft(
            SECMS_PROTEINS,
            SECMS_PROTEINS.place(reading.proteins, **place),
            [gate_of(findings.rows_kept(reading))],
            {**where, **proteomics_metadata.of_proteins(reading)},
        ),
    )


@tables_if_there(
    table_spec(
        APMS_INTERACTIONS,
        group=GROUP,
        kinds={"dataverse", "parquet"},
        tags=APMS_TAGS,
        deps=("release_files",),
        code_version="2",
        skippable=True,
    ),
    checks=[blocking_check(APMS_INTERACTIONS, findings.rows_kept)],
    name="apms_interactions",
    pool="dataverse",
)
def apms_interactions(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Scored bait-prey pairs."""
    partition = partition_of(context.partition_key)
    try:
        with errors_for_dagster(context):
            where = fetch(context, platform, inputs.interaction_files(partition, release_files))
            reading = inputs.read_interactions(platform, partition, release_files)
    except (AccessDeniedError, NoTablesError) as state:
        not_there(context, platform, str(state))
        return
    frame = APMS_INTERACTIONS.place(reading.rows, release=partition.release, condition=partition.condition)
    metadata = {**where, **proteomics_metadata.of_interactions(frame)}
    yield from publish(
        context, platform.store, Draft(APMS_INTERACTIONS, frame, [gate_of(findings.rows_kept(reading))], metadata)
    )


@tables_if_there(
    table_spec(
        APMS_RUNS,
        group=GROUP,
        kinds={"massive", "parquet"},
        tags=APMS_TAGS,
        deps=("release_files",),
        optional=(MASSIVE_FILES.name,),
        automation_condition=follows_its_inputs(),
        code_version="2",
        skippable=True,
    ),
    checks=[blocking_check(APMS_RUNS, findings.rows_kept)],
    name="apms_runs",
    pool="massive",
)
def apms_runs(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Annotated raw runs, from the annotations in the release's archives and in its deposits."""
    partition = partition_of(context.partition_key)
    try:
        with errors_for_dagster(context):
            where = fetch(context, platform, archives_of(release_files, Modality.APMS, Role.PACKAGE))
            inputs.pull_annotations(platform, partition.release)
            reading = inputs.read_runs(platform, partition.release, release_files)
            rows = _runs(reading, partition)
    except (AccessDeniedError, NoTablesError) as state:
        not_there(context, platform, str(state))
        return
    frame = APMS_RUNS.place(rows, release=partition.release, condition=partition.condition)
    unknown = reading.rows["run_condition"].null_count()
    metadata = {**where, **proteomics_metadata.of_runs(frame, of_unknown_treatment=unknown)}
    yield from publish(
        context, platform.store, Draft(APMS_RUNS, frame, [gate_of(findings.rows_kept(reading))], metadata)
    )


def _runs(reading: Reading, partition: Partition) -> pl.DataFrame:
    """The annotated runs of one condition."""
    if not reading.tallies:
        raise NoTablesError(
            f"Release {partition.release} has no annotated AP-MS runs: neither its archives nor the deposits that "
            "massive_files lists hold a sample annotation."
        )
    rows = reading.of(Condition(partition.treatment))
    if rows.is_empty():
        raise NoTablesError(f"None of the annotated AP-MS runs of this release is {partition.condition}.")
    return rows


ASSETS = (secms, apms_interactions, apms_runs)
