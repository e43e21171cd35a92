"""Tables of the screen: its guides, its cells, and the statistics of its sequencing. Thin: `perturbseq` says how.

Belongs here: assets that are made from one published file each. Does not belong here: what the archives hold
(`archives`), effects of perturbations (`targets`), and warnings (`screen_checks`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import hashlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import dagster as dg
import polars as pl

from cm4ai_assets.archives.dataverse.locked_file import LockedFile, stored_blob
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.automation import follows_its_inputs
from cm4ai_assets.defs.inputs import archives_of, errors_for_dagster, fetch, opened
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.perturbseq import inputs, screen_pages
from cm4ai_assets.defs.perturbseq.archives import GROUP, TAGS
from cm4ai_assets.defs.products import blocking_check, table_spec, tables_if_there
from cm4ai_assets.defs.publishing import AssetResult, Draft, Gate, LongDraft, Metadata, gate_of, publish
from cm4ai_assets.perturbseq import cell_findings, cellranger_findings, guide_findings
from cm4ai_assets.perturbseq.cellranger import Metrics, read_metrics
from cm4ai_assets.perturbseq.cells import CellsRead, read_cells
from cm4ai_assets.perturbseq.guides import Library, read_library
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES
from cm4ai_assets.tables.screen import CELLRANGER_METRICS, GUIDE_LIBRARY, PERTURB_CELLS
from cm4ai_assets.transfer.errors import AccessDeniedError
from cm4ai_assets.vocabulary import Modality, Role


def library_of(platform: Platform, release: str) -> Library | None:
    """The stored feature reference of a release, read; None if none is stored.

    Raises:
        PublishedTableError: It is no such table.
    """
    file = inputs.near_guides(platform, release)
    if file is None:
        return None
    whitelist = inputs.near_controls(platform, release)
    with file.open() as stream:
        data = stream.read() or b""
    controls = None
    if whitelist is not None:
        with whitelist.open() as stream:
            controls = stream.read() or b""
    return read_library(data, file.label, sha256=hashlib.sha256(data).hexdigest(), whitelist=controls)


@tables_if_there(
    table_spec(
        GUIDE_LIBRARY,
        group=GROUP,
        kinds={"figshare", "parquet"},
        tags=TAGS,
        deps=(FIGSHARE_FILES.name,),
        automation_condition=follows_its_inputs(),
        code_version="1",
        skippable=True,
    ),
    checks=[blocking_check(GUIDE_LIBRARY, guide_findings.guides_kept)],
    name=GUIDE_LIBRARY.name,
    pool="figshare",
)
def guide_library(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """The guides of the feature reference in the release's article."""
    release = partition_of(context.partition_key).release
    try:
        with errors_for_dagster(context):
            notes = inputs.fetch_small(context, platform, release, "guides", "controls")
            library = library_of(platform, release)
    except AccessDeniedError as state:
        not_there(context, platform, str(state))
        return
    if library is None:
        why = " ".join(notes) or (
            "its article has no feature reference, or is not locked (figshare_files). Put one into the folder that "
            "CM4AI_H5AD names, under its published name."
        )
        not_there(context, platform, f"Release {release} has no guide library: {why}")
        return
    frame = GUIDE_LIBRARY.place(library.rows, release=release)
    gates = [gate_of(guide_findings.guides_kept(library))]
    yield from publish(context, platform.store, Draft(GUIDE_LIBRARY, frame, gates, screen_pages.of_library(library)))


@tables_if_there(
    table_spec(
        PERTURB_CELLS,
        group=GROUP,
        kinds={"figshare", "parquet"},
        tags=TAGS,
        deps=(FIGSHARE_FILES.name,),
        # Cells are held against the library where there is one.
        optional=(GUIDE_LIBRARY.name,),
        automation_condition=follows_its_inputs(),
        code_version="1",
        skippable=True,
    ),
    checks=[blocking_check(PERTURB_CELLS, cell_findings.cells_kept)],
    name=PERTURB_CELLS.name,
    pool="figshare",
)
def perturb_cells(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """The cells of the article's h5ad: on this machine, stored, or by range from Figshare."""
    release = partition_of(context.partition_key).release
    try:
        with errors_for_dagster(context):
            notes = inputs.fetch_small(context, platform, release, "cells")
            file = inputs.matrix(platform, release)
            if file is None:
                why = " ".join(notes) or "it has no Figshare article with an h5ad that is accessible."
                not_there(context, platform, f"Release {release} has no cells: {why}")
                return
            context.log.info(f"Reading the table of cells of {file.label} ({file.place.value}).")
            yield from _cells(context, platform, file, notes)
    except AccessDeniedError as state:
        not_there(context, platform, str(state))


def _cells(
    context: dg.AssetExecutionContext, platform: Platform, file: inputs.MatrixFile, notes: list[str]
) -> Iterator[AssetResult]:
    """Read and publish, a stretch of cells at a time."""
    release, found = partition_of(context.partition_key).release, CellsRead()

    def of_all() -> tuple[list[Gate], Metadata]:
        return [gate_of(cell_findings.cells_kept(found))], screen_pages.of_cells(found, file, notes)

    # HDF5 reads through the cast: all it asks of a file are `read` and `seek`.
    with file.open() as stream, H5ad(cast("BinaryIO", stream), label=file.label) as h5ad:
        stretches = read_cells(h5ad, found, guides=guides_of(platform, release))
        placed = (PERTURB_CELLS.place(stretch, release=release) for stretch in stretches)
        yield from publish(context, platform.store, LongDraft(PERTURB_CELLS, placed, of_all, (file.label,)))


def guides_of(platform: Platform, release: str) -> pl.Series | None:
    """The guides of a release's library in their normal form; None where it is not made."""
    partition = Partition(release)
    if not platform.store.has_table(GUIDE_LIBRARY.name, partition):
        return None
    return platform.store.table(GUIDE_LIBRARY.name, partition).select("guide").unique().collect()["guide"]


def statistics_files(lock: pl.LazyFrame) -> list[LockedFile]:
    """The tables of sequencing statistics of a release."""
    return archives_of(lock, Modality.PERTURBSEQ, Role.STATISTICS)


@tables_if_there(
    table_spec(
        CELLRANGER_METRICS,
        group=GROUP,
        kinds={"dataverse", "parquet"},
        tags=TAGS,
        deps=("release_files",),
        code_version="1",
        skippable=True,
    ),
    checks=[blocking_check(CELLRANGER_METRICS, cellranger_findings.metrics_kept)],
    name=CELLRANGER_METRICS.name,
    pool="dataverse",
)
def cellranger_metrics(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """The values of the release's table of sequencing statistics."""
    release, files = partition_of(context.partition_key).release, statistics_files(release_files)
    if not files:
        not_there(context, platform, f"Release {release} publishes no sequencing statistics.")
        return
    try:
        with errors_for_dagster(context):
            where = fetch(context, platform, files)
            metrics = _metrics(platform, files)
    except AccessDeniedError as state:
        not_there(context, platform, str(state))
        return
    frame = CELLRANGER_METRICS.place(metrics.rows, release=release)
    gates = [gate_of(cellranger_findings.metrics_kept(metrics))]
    metadata = {**where, **screen_pages.of_metrics(metrics)}
    yield from publish(context, platform.store, Draft(CELLRANGER_METRICS, frame, gates, metadata))


def _metrics(platform: Platform, files: list[LockedFile]) -> Metrics:
    """All tables together; samples are numbered on."""
    read: list[Metrics] = []
    with opened(platform, files) as sources:
        for file, source in zip(files, sources, strict=True):
            blob = stored_blob(file, platform.blobs)
            sha256 = blob.sha256 if blob else None
            data = source.read_at(0, source.size)
            metrics = read_metrics(data, file.label, file_id=file.file_id, sha256=sha256)
            before = sum(one.rows["sample_number"].n_unique() for one in read)
            numbered = metrics.rows.with_columns(pl.col("sample_number") + before)
            read.append(Metrics(numbered, metrics.lines, metrics.left_out))
    left_out = tuple(line for one in read for line in one.left_out)
    return Metrics(pl.concat([one.rows for one in read]), sum(one.lines for one in read), left_out)


ASSETS: tuple[dg.AssetsDefinition, ...] = (guide_library, perturb_cells, cellranger_metrics)
