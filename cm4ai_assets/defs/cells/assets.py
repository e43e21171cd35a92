"""Nuclei: one pass over a published tensor, the table and the store of labels that come from it.

Belongs here: the asset `if_cells` and its blocking check. Does not belong here: the pass and what it says (`cells`),
and warnings (`checks`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg
import polars as pl

from cm4ai_assets.cells.audit import audit_cells
from cm4ai_assets.cells.products import product_of
from cm4ai_assets.defs.cells import pages
from cm4ai_assets.defs.images.assets import GROUP, TAGS
from cm4ai_assets.defs.inputs import errors_for_dagster
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import check_spec, table_asset
from cm4ai_assets.defs.progress import CellsLog
from cm4ai_assets.defs.publishing import AssetResult, Draft, Gate, publish
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.nuclei import SEGMENTATION_VERSION
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.updates.credit import credit

LABELS_CHECK = check_spec(
    "cells_match_labels",
    IF_CELLS,
    "The labels of every field are read again: each nucleus has a row with its pixels and its box, each row a nucleus, "
    "and each field is the one that if_fields has at that row of the tensor. Of labels that were published before, "
    "every byte is held against its digest instead, and every row against the store's. Protects from crops of other "
    "cells than the table says. Blocking.",
    blocking=True,
)


@table_asset(
    IF_CELLS,
    group=GROUP,
    kinds={"zarr", "parquet"},
    tags=TAGS,
    checks=(LABELS_CHECK,),
    code_version=f"1.{SEGMENTATION_VERSION}",
)
def if_cells(
    context: dg.AssetExecutionContext,
    platform: dg.ResourceParam[Platform],
    if_fields: pl.LazyFrame,
    if_tensors: pl.LazyFrame,
) -> Iterator[AssetResult]:
    """Nuclei of one condition, from the tensor's blue plane."""
    partition = partition_of(context.partition_key)
    fields, tensor = if_fields.collect(), if_tensors.select("path").collect().item()
    with (
        errors_for_dagster(context),
        product_of(
            platform.store,
            tensor,
            first_published_in=credit(platform.store, IF_CELLS.name, partition),
            progress=CellsLog(context.log),
            connect=platform.cluster,
        ) as product,
    ):
        frame = product.table(fields, release=partition.release, condition=partition.treatment)
        report = audit_cells(product, frame, fields)
        yield from publish(
            context,
            platform.store,
            Draft(
                IF_CELLS,
                frame,
                [Gate(LABELS_CHECK.name, passed=report.passed, description=report.summary)],
                pages.of_cells(frame, fields, product, platform.store, tensor),
                data_version=product.record.digest,
            ),
            commit=product.publish,
        )


ASSETS = (if_cells,)
