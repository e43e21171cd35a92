"""Assets of a release's own metadata: what its crates and datasheets claim. Thin: `crates` says how.

Belongs here: assets that are made from crates, datasheets and provenance pages, and how often the data is used. Does
not belong here: warnings (`checks`), and which bytes are read (`inputs`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg
import polars as pl

from cm4ai_assets.archives.datacite import merged, snapshot
from cm4ai_assets.crates.datasheet import datasheet_table
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.reader import read_crates
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.automation import follows_its_inputs
from cm4ai_assets.defs.crates import inputs, pages
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.defs.products import table_asset, table_spec, tables_if_there
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES, RELEASE_DATASHEET, USAGE_METRICS
from cm4ai_assets.tables.release import IF_ARCHIVE

GROUP = "metadata"  # the name in the contract; below `images`, whose ZIPs hold crates too
TAGS = {"cm4ai/modality": "all"}


def _spec(table: Table) -> dg.AssetSpec:
    return table_spec(
        table,
        group=GROUP,
        kinds={"dataverse", "parquet"},
        tags=TAGS,
        deps=("release_files",),
        # The crates inside the image ZIPs are read once these are stored; nothing waits for them.
        optional=(IF_ARCHIVE.name,),
        code_version="1",
        skippable=True,
        automation_condition=follows_its_inputs(),
    )


@tables_if_there(_spec(CRATE_ENTITIES), _spec(CRATE_EDGES), name="crate_tables", pool="dataverse")
def crates(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Entities and edges of every crate of the release, from one reading."""
    found = inputs.gather(context, platform, release_files.collect())
    if found.unreadable:
        not_there(context, platform, found.unreadable)
        return
    made = crate_tables(read_crates(found.crates), release=context.partition_key)
    problems = [*found.problems, *made.problems]
    yield from publish(
        context,
        platform.store,
        Draft(CRATE_ENTITIES, made.entities, metadata=pages.of_entities(made.entities, found, problems)),
        Draft(CRATE_EDGES, made.edges, metadata=pages.of_edges(made.entities, made.edges, found.graphs)),
    )


@tables_if_there(_spec(RELEASE_DATASHEET), name="release_datasheet", pool="dataverse")
def release_datasheet(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """What the datasheets of the release say, as one list of fields."""
    found = inputs.gather(context, platform, release_files.collect())
    added = inputs.added_datasheet(platform, context.partition_key, found)
    if found.unreadable and not added:
        not_there(context, platform, found.unreadable)
        return
    page = inputs.landing_page(platform, context.partition_key, found)
    documents = [*([] if page is None else [page]), *added, *found.documents]
    frame = datasheet_table(documents, release=context.partition_key)
    if page is None:
        frame = pl.concat([inputs.described_before(platform, context.partition_key), frame])
    yield from publish(
        context, platform.store, Draft(RELEASE_DATASHEET, frame, metadata=pages.of_datasheet(frame, found))
    )


@table_asset(
    USAGE_METRICS,
    group=GROUP,
    kinds={"dataverse", "datacite", "parquet"},
    tags=TAGS,
    deps=(COLLECTION,),
    pool="dataverse",
)
def usage_metrics(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """A snapshot of what the services count of every registered dataset, beside those of the months before."""
    has_some = platform.store.has_table(USAGE_METRICS.name, Partition())
    before = platform.store.table(USAGE_METRICS.name, Partition()).collect() if has_some else USAGE_METRICS.empty()
    dois = sorted({record.doi for record in platform.registry.all()})
    with platform.usage_services() as (dataverse, datacite):
        fresh = snapshot(dois, dataverse=dataverse, datacite=datacite)
    frame = merged(before, fresh)
    yield from publish(context, platform.store, Draft(USAGE_METRICS, frame, metadata=pages.of_usage(fresh)))


OF_RELEASE = (crates, release_datasheet)
ASSETS = (*OF_RELEASE, usage_metrics)
