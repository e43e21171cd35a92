"""What the archives hold of a release's Perturb-seq data: the lock of its Figshare article, and its sequencing runs.

Belongs here: asking Figshare, ENA and NCBI for listings. Does not belong here: the protocols (`archives.figshare`,
`archives.ena`), and where the bytes of a file are (`inputs`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from cm4ai_assets.archives.dataverse.lock import locked_files
from cm4ai_assets.archives.dataverse.locked_file import stored_blob as dataverse_blob
from cm4ai_assets.archives.ena.ncbi import located
from cm4ai_assets.archives.ena.reports import RunFile, RunReport
from cm4ai_assets.archives.ena.run_file import stored_blob as run_blob
from cm4ai_assets.archives.figshare.client import article_in
from cm4ai_assets.archives.figshare.lock import access_of, lock_frame
from cm4ai_assets.archives.figshare.locked_file import FigshareFile, stored_blob
from cm4ai_assets.crates.reader import pages_in, read_crates
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.crates.inputs import Found, gather
from cm4ai_assets.defs.inputs import errors_for_dagster, opened
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.perturbseq import pages
from cm4ai_assets.defs.products import table_spec, tables_if_there
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.perturbseq.deposits import article_of, named_in
from cm4ai_assets.perturbseq.runs import listed_in, runs_table
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.platform import Platform
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.transfer.errors import AccessDeniedError
from cm4ai_assets.vocabulary import PERTURBSEQ_BIOPROJECT, PERTURBSEQ_DOI, Modality, Role

GROUP = "perturbation"
TAGS = {"cm4ai/modality": Modality.PERTURBSEQ.value}

# Crates of Perturb-seq, loose and in ZIPs, and those of the release as a whole.
_CRATES = pl.col("modality").is_in([Modality.PERTURBSEQ, Modality.RELEASE]) & pl.col("role").is_in(
    [Role.CRATE, Role.CRATE_BUNDLE, Role.PACKAGE, Role.RAW_INDEX]
)


def crates_of(context: dg.AssetExecutionContext, platform: Platform, lock: pl.DataFrame) -> Found:
    """The crates that describe a release's Perturb-seq data, fetched where they are not stored."""
    return gather(context, platform, lock.filter(_CRATES))


@tables_if_there(
    table_spec(
        FIGSHARE_FILES,
        group=GROUP,
        kinds={"figshare", "parquet"},
        tags=TAGS,
        deps=("release_files",),
        code_version="1",
        skippable=True,
    ),
    name="figshare_files",
    pool="figshare",
)
def figshare_files(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """The files of the article that the release's crates name, or that is known of the programme."""
    release, lock = partition_of(context.partition_key).release, release_files.collect()
    if lock.filter(modality=Modality.PERTURBSEQ).is_empty():
        not_there(context, platform, f"Release {release} publishes nothing of Perturb-seq.")
        return
    try:
        with errors_for_dagster(context):
            frame, notes = _locked(context, platform, release, lock)
    except AccessDeniedError as state:
        not_there(context, platform, str(state))
        return
    metadata = pages.of_article(frame, notes)
    yield from publish(context, platform.store, Draft(FIGSHARE_FILES, frame, metadata=metadata))


def _locked(
    context: dg.AssetExecutionContext, platform: Platform, release: str, lock: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """The lock of the article, and what is to be known of how it was found.

    Raises:
        AccessDeniedError: Figshare lists no file of it, because of an embargo or because it has none.
        ArchiveError: Figshare could not be asked.
    """
    found = crates_of(context, platform, lock)
    named = named_in(file.data for file in found.crates)
    notes = [f"Not read: {reason}" for reason in found.left_out]
    doi, is_named = article_of(named, PERTURBSEQ_DOI)
    if len(named.dois) > 1:
        notes.append(f"The crates name {len(named.dois)} articles: {', '.join(named.dois)}; {doi} is locked.")
    how = "a private link only" if named.private else "no article"
    note = "" if is_named else f"The crates that could be read name {how}; {PERTURBSEQ_DOI} is known of the programme."
    number, version = article_in(doi)
    with platform.figshare() as client:
        article, day = client.article(number, version)
    if not article.files:
        state, until, why = access_of(article, None, day)
        raise AccessDeniedError(
            f"Figshare lists no file of article {number}: {why or 'it is a metadata record.'}", state=state, until=until
        )

    def stored(file: FigshareFile) -> str | None:
        blob = stored_blob(file, platform.blobs)
        return blob.sha256 if blob else None

    named_by = "crate" if is_named else "programme"
    frame = lock_frame(article, release=release, day=day, named_by=named_by, note=note, stored=stored)
    return frame, [*([note] if note else []), *notes]


@tables_if_there(
    table_spec(
        SRA_RUNS,
        group=GROUP,
        kinds={"ena", "parquet"},
        tags=TAGS,
        deps=("release_files",),
        code_version="1",
        skippable=True,
    ),
    name="sra_runs",
    pool="ena",
)
def sra_runs(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """The runs that the release's crates list, with what ENA and NCBI hold of them."""
    release, lock = partition_of(context.partition_key).release, release_files.collect()
    if lock.filter(modality=Modality.PERTURBSEQ).is_empty():
        not_there(context, platform, f"Release {release} publishes nothing of Perturb-seq.")
        return
    with errors_for_dagster(context):
        frame, notes = _runs(context, platform, release, lock)
    if frame.is_empty():
        why = " ".join(notes) or f"no crate lists a sample, and no archive a run of {PERTURBSEQ_BIOPROJECT}."
        not_there(context, platform, f"Nothing to list for release {release}: {why}")
        return
    yield from publish(context, platform.store, Draft(SRA_RUNS, frame, metadata=pages.of_sequencing(frame, notes)))


def _runs(
    context: dg.AssetExecutionContext, platform: Platform, release: str, lock: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """The rows, and who could not be asked or read. An archive that does not answer leaves its side open."""
    found = crates_of(context, platform, lock)
    listed = listed_in((o for crate in read_crates(found.crates) for o in crate.objects()), previews_of(platform, lock))
    unread = [f"Not read: {reason}" for reason in found.left_out]  # which `gather` has logged
    notes = [f"Not read: {problem}" for problem in found.problems]
    reports: dict[str, list[RunReport] | None] = {}
    with platform.ena() as ena, platform.ncbi() as ncbi:
        for archive, client in (("ena", ena), ("ncbi", ncbi)):
            try:
                reports[archive] = client.runs(PERTURBSEQ_BIOPROJECT)
            except ArchiveError as error:
                reports[archive] = None
                notes.append(f"{archive.upper()} could not be asked for {PERTURBSEQ_BIOPROJECT}: {error}")
        with_files = {report.run for report in reports["ena"] or () if report.chosen}
        reports["ncbi"], more = located(reports["ncbi"], with_files, ncbi)
    notes += more
    for note in notes:
        context.log.warning(for_terminal(note))

    def stored(file: RunFile) -> str | None:
        blob = run_blob(file, platform.blobs)
        return blob.sha256 if blob else None

    today = datetime.now(UTC).date()
    frame = runs_table(
        listed, reports, release=release, project=PERTURBSEQ_BIOPROJECT, day=today, stored=stored
    )  # fmt: skip
    return frame, [*unread, *notes]


def previews_of(platform: Platform, lock: pl.DataFrame) -> list[str]:
    """The pages that show crates, in the release's stored ZIPs: what is known of a crate that is not at hand."""
    pages_found = []
    for file in locked_files(lock.filter(_CRATES)):
        if not file.label.lower().endswith(".zip") or dataverse_blob(file, platform.blobs) is None:
            continue
        with opened(platform, [file]) as (source,):
            pages_found += pages_in(source, "ro-crate-preview.html")
    return pages_found


ASSETS: tuple[dg.AssetsDefinition, ...] = (figshare_files, sra_runs)
