"""Perturbed genes: one pass over the counts of the release's h5ad, the table and the tensor that come from it.

Belongs here: the asset `perturb_targets` and its blocking check. Does not belong here: the pass and what it says
(`perturbseq`), where the file is (`inputs`), and warnings (`target_checks`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import dagster as dg
import polars as pl

from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.automation import follows_its_inputs
from cm4ai_assets.defs.inputs import errors_for_dagster
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.perturbseq import inputs, target_pages
from cm4ai_assets.defs.perturbseq.archives import GROUP, TAGS
from cm4ai_assets.defs.perturbseq.inputs import MatrixFile
from cm4ai_assets.defs.products import check_spec, table_spec, tables_if_there
from cm4ai_assets.defs.progress import CountsLog
from cm4ai_assets.defs.publishing import AssetResult, Draft, Gate, publish
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.passes import CODE_VERSION
from cm4ai_assets.perturbseq.profiles import Product, Source, audit, product_of, table_of
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES
from cm4ai_assets.tables.targets import PERTURB_TARGETS
from cm4ai_assets.transfer.errors import AccessDeniedError
from cm4ai_assets.updates.credit import NOT_STATED, credit
from cm4ai_assets.vocabulary import Modality

PROFILES_CHECK = check_spec(
    "profiles_match_table",
    PERTURB_TARGETS,
    "Every chunk of the profiles is read again and they are what was computed; rows, cells and counts agree with the "
    "table. Protects from shifted rows and torn files. Blocking.",
    blocking=True,
)


@tables_if_there(
    table_spec(
        PERTURB_TARGETS,
        group=GROUP,
        kinds={"zarr", "parquet"},
        tags=TAGS,
        deps=("release_files",),
        optional=(FIGSHARE_FILES.name,),
        automation_condition=follows_its_inputs(),
        code_version=f"1.{CODE_VERSION}",
        skippable=True,
    ),
    checks=(PROFILES_CHECK,),
    name="perturb_targets",
    pool="counts",
)
def perturb_targets(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Perturbed genes and their profiles, from the counts of the release's h5ad."""
    partition = partition_of(context.partition_key)
    if release_files.filter(pl.col("modality") == Modality.PERTURBSEQ).collect().is_empty():
        not_there(context, platform, f"Release {partition.release} publishes nothing of Perturb-seq.")
        return
    try:
        with errors_for_dagster(context):
            left = inputs.fetch_small(context, platform, partition.release, "cells")
            file = inputs.near_matrix(platform, partition.release)
    except AccessDeniedError as state:
        not_there(context, platform, str(state))
        return
    if file is None:
        why = " ".join(left) or "Its article lists none that is public; CM4AI_H5AD can name a file on this machine."
        not_there(context, platform, f"No h5ad of release {partition.release} is at hand. {why}")
        return
    with errors_for_dagster(context):
        yield from _published(context, platform, partition, file)


def _published(
    context: dg.AssetExecutionContext, platform: Platform, partition: Partition, file: MatrixFile
) -> Iterator[AssetResult]:
    with product_of(
        platform.store,
        source_of(file),
        scratch=platform.settings.scratch,
        first_published_in=_published_in(platform, partition, file),
        progress=CountsLog(context.log),
        connect=platform.cluster,
        say=context.log.info,
    ) as product:
        frame = _frame(platform, partition, file, product)
        problems = audit(product, frame)
        message = "; ".join(problems) or f"{product.record.shape[0]:,} profiles read again, as computed"
        gate = Gate(PROFILES_CHECK.name, passed=not problems, description=message)
        metadata = target_pages.of_targets(frame, product, file, platform.store)
        draft = Draft(PERTURB_TARGETS, frame, [gate], metadata)
        yield from publish(context, platform.store, draft, commit=product.publish)


def source_of(file: MatrixFile) -> Source:
    """A file of the article as the pass reads it."""

    @contextmanager
    def opened() -> Iterator[H5ad]:
        with file.open() as source, H5ad(cast("BinaryIO", source), label=file.label) as h5ad:
            yield h5ad

    return Source(file.label, file.identity, opened, file.unchanged, file=file.file)


def _published_in(platform: Platform, partition: Partition, file: MatrixFile) -> dict[str, str]:
    """The article of the file; where it is none of an article, the release."""
    stated = inputs.article_files(platform, partition.release).filter(label=file.label).rows(named=True)
    if not stated:
        return credit(platform.store, PERTURB_TARGETS.name, partition)
    row = stated[0]
    return {"doi": row["doi"], "version": str(row["article_version"]), "license": row["license"] or NOT_STATED}


def _frame(platform: Platform, partition: Partition, file: MatrixFile, product: Product) -> pl.DataFrame:
    files = inputs.article_files(platform, partition.release).filter(label=file.label)
    stated = files["license"].to_list()
    rows = table_of(product, source=file.label, licence=stated[0] if stated else None)
    return PERTURB_TARGETS.place(rows, release=partition.release)


ASSETS: tuple[dg.AssetsDefinition, ...] = (perturb_targets,)
