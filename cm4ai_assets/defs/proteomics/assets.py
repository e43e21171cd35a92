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
from cm4ai_assets.defs.inputs import archives_of, fetch, opened, told_to_dagster
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import table_spec, tables_if_there
from cm4ai_assets.defs.proteomics import inputs
from cm4ai_assets.defs.proteomics import pages as proteomics_metadata
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics import apms
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
            code_version="1",
            skippable=True,
        )
        for table in (SECMS_PROFILES, SECMS_PROTEINS)
    ),
    name="secms_tables",
    pool="dataverse",
)
def secms(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Elution profiles and protein groups from one reading of the published tables."""
    partition = partition_of(context.partition_key)
    try:
        with told_to_dagster(context):
            where = fetch(context, platform, archives_of(release_files, Modality.SECMS, Role.PACKAGE))
            reading = inputs.read_secms(platform, partition, release_files)
    except (AccessDeniedError, NoTablesError) as state:
        not_there(context, platform, str(state))
        return
    told = {"release": partition.release, "condition": partition.treatment}
    yield from publish(
        context,
        platform.store,
        Draft(
            SECMS_PROFILES,
            SECMS_PROFILES.place(reading.profiles, **told),
            metadata={**where, **proteomics_metadata.of_profiles(reading)},
        ),
        Draft(
            SECMS_PROTEINS,
            SECMS_PROTEINS.place(reading.proteins, **told),
            metadata={**where, **proteomics_metadata.of_proteins(reading)},
        ),
    )


@tables_if_there(
    table_spec(
        APMS_INTERACTIONS,
        group=GROUP,
        kinds={"dataverse", "parquet"},
        tags=APMS_TAGS,
        deps=("release_files",),
        code_version="1",
        skippable=True,
    ),
    name="apms_interactions",
    pool="dataverse",
)
def apms_interactions(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Scored bait-prey pairs."""
    partition = partition_of(context.partition_key)
    try:
        with told_to_dagster(context):
            files = archives_of(release_files, Modality.APMS, Role.TABLES, Role.PACKAGE, condition=partition.treatment)
            where = fetch(context, platform, files)
            with opened(platform, files) as sources:
                tables = [table for source in sources for table in apms.interactions_in(source)]
            rows = _interactions(tables, partition, [file.label for file in files])
    except (AccessDeniedError, NoTablesError) as state:
        not_there(context, platform, str(state))
        return
    frame = APMS_INTERACTIONS.place(rows, release=partition.release, condition=partition.condition)
    metadata = {**where, **proteomics_metadata.of_interactions(frame)}
    yield from publish(context, platform.store, Draft(APMS_INTERACTIONS, frame, metadata=metadata))


def _interactions(tables: list[apms.Interactions], partition: Partition, labels: list[str]) -> pl.DataFrame:
    """The rows of the tables that are of this condition, or that state none."""
    mine = [table for table in tables if table.condition in {None, Condition(partition.treatment)}]
    if mine:
        return apms.together(mine)
    if not labels:
        raise NoTablesError(f"Release {partition.release} has no AP-MS archive of {partition.condition}.")
    raise NoTablesError(
        f"This release has no scored interactions of {partition.condition}: no table in {', '.join(labels)} is one.",
        remedy="The May 2024 release has those of untreated cells; apms_runs lists runs of which only raw data is out.",
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
        code_version="1",
        skippable=True,
    ),
    name="apms_runs",
    pool="massive",
)
def apms_runs(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Annotated raw runs, from the annotations in the release's archives and in its deposits."""
    partition = partition_of(context.partition_key)
    try:
        with told_to_dagster(context):
            where = fetch(context, platform, archives_of(release_files, Modality.APMS, Role.PACKAGE))
            inputs.pull_annotations(platform, partition.release)
            found = inputs.read_runs(platform, partition.release, release_files)
            rows = _runs(found, partition)
    except (AccessDeniedError, NoTablesError) as state:
        not_there(context, platform, str(state))
        return
    frame = APMS_RUNS.place(rows, release=partition.release, condition=partition.condition)
    unknown = sum(runs.rows["run_condition"].null_count() for runs in found)
    metadata = {**where, **proteomics_metadata.of_runs(frame, of_unknown_treatment=unknown)}
    yield from publish(context, platform.store, Draft(APMS_RUNS, frame, metadata=metadata))


def _runs(found: list[apms.Runs], partition: Partition) -> pl.DataFrame:
    """The annotated runs of one condition."""
    if not found:
        raise NoTablesError(
            f"Release {partition.release} has no annotated AP-MS runs: neither its archives nor the deposits that "
            "massive_files lists hold a sample annotation."
        )
    rows = pl.concat([runs.of(Condition(partition.treatment)) for runs in found])
    if rows.is_empty():
        raise NoTablesError(f"None of the annotated AP-MS runs of this release is {partition.condition}.")
    return rows


ASSETS = (secms, apms_interactions, apms_runs)
