"""A fan-in over the conditions of a release, made of the same parts as the assets to come, and a platform with it.

Dagster loads this module as a code location in the tests that run its own loops; then the environment says where.
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg
import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.definitions import build
from cm4ai_assets.defs.automation import follows_its_inputs
from cm4ai_assets.defs.partitions import releases
from cm4ai_assets.defs.products import schema_check, table_spec
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.platform import Platform
from cm4ai_assets.tables.schema import Column, Table

GATHERED = Table(
    name="gathered",
    description="The archives of all conditions of a release.",
    partitioning=Partitioning.RELEASE,
    key=("condition",),
    own_columns=(Column("condition", pl.String(), "Condition."), Column("sha256", pl.String(), "Its archive.")),
    source="test",
)
tables._BY_NAME[GATHERED.name] = GATHERED


def gathered_asset() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="gathering",
        partitions_def=releases,
        specs=[
            table_spec(
                GATHERED, group="integration", kinds={"parquet"}, tags={"cm4ai/modality": "all"}, deps=["if_archive"],
                code_version="1", automation_condition=follows_its_inputs(),
            )
        ],
        check_specs=[schema_check(GATHERED)],
    )  # fmt: skip
    def gathered(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], if_archive: pl.LazyFrame
    ) -> Iterator[AssetResult]:
        """The archives of all conditions of a release."""
        rows = if_archive.select("condition", "sha256").collect()
        yield from publish(
            context, platform.store, Draft(GATHERED, GATHERED.place(rows, release=context.partition_key))
        )

    return gathered


def definitions(platform: Platform | None = None) -> dg.Definitions:
    return dg.Definitions.merge(build(platform), dg.Definitions(assets=[gathered_asset()]))


defs = definitions()
