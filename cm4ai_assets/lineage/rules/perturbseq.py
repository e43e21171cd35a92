"""Rows of the Perturb-seq path: to files of the Figshare article, of sequencing runs, and of the release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cm4ai_assets.archives.ena.run_file import run_files
from cm4ai_assets.lineage.chain import Chain, Rows, Rule
from cm4ai_assets.lineage.published import NOT_LISTED, article_file, article_files, run_file
from cm4ai_assets.lineage.sources import sources_of
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.storage.layout import Partition, table_path
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.tables.screen import CELLRANGER_METRICS, GUIDE_LIBRARY, PERTURB_CELLS
from cm4ai_assets.tables.targets import PERTURB_TARGETS


def _article(chain: Chain, rows: Rows) -> Iterator[Step]:
    for row in rows.frame.rows(named=True):
        yield chain.file(article_file(chain.blobs, row), notes=_linked(row["access"]))


def _linked(access: str) -> tuple[str, ...]:
    return ("Figshare holds no bytes of it and vouches for nothing.",) if access == "linked" else ()


def _runs(chain: Chain, rows: Rows) -> Iterator[Step]:
    for row in rows.frame.rows(named=True):
        for file in run_files(row):
            note = f"Sample {row['sample'] or 'not named'}, BioProject {row['bioproject'] or 'not stated'}."
            yield chain.file(run_file(chain.blobs, row, file), notes=(note,))
        if not row["file_names"]:
            yield _unlisted_run(row)


def _unlisted_run(row: dict[str, object]) -> Step:
    """A run or sample of which no archive lists a file."""
    name = f"run {row['run']}" if row["run"] else f"sample {row['sample']}, of which no run is named"
    until = f" until {row['embargo_until']}" if row["embargo_until"] else ""
    note = f"No file of it is listed: {row['access']}{until}."
    return Step(StepKind.OUTSIDE, f"{name} of {row['bioproject'] or 'a BioProject that is not stated'}", notes=(note,))


def _guides(chain: Chain, rows: Rows) -> Iterator[Step]:
    for (name, sha256), part in rows.frame.partition_by("source_file", "source_sha256", as_dict=True).items():
        lines = part["source_line"].unique().sort().to_list()
        yield from _found(chain, rows, str(name), {str(sha256)}, lines=lines)


def _targets(chain: Chain, rows: Rows) -> Iterator[Step]:
    for name, identity in rows.frame.select("source", "source_identity").unique().sort("source").iter_rows():
        yield from _found(chain, rows, name, set(identity.split()), notes=_how_read(identity))


def _how_read(identity: str) -> tuple[str, ...]:
    """What an identity of `perturbseq` says of how the file was read."""
    if " range " in identity:
        return ("It was read by range where it is published: what came was held against its size, not its digest.",)
    if " local " in identity:
        return ("A copy on the operator's machine was read: of its size, and of its digest where it is small enough.",)
    return ()


def _found(
    chain: Chain, rows: Rows, name: str, ids: set[str], *, lines: Sequence[int] = (), notes: Sequence[str] = ()
) -> Iterator[Step]:
    """The file of the article that has a name and one of some ids (its digests, its file id)."""
    files, note = article_files(chain.blobs, _listed(chain, rows.partition), name, ids)
    known = (*notes, note) if note else tuple(notes)
    for file in files:
        yield chain.file(file, lines=lines, notes=known)
    if not files:
        yield Step(StepKind.OUTSIDE, f"file {name}", lines=tuple(lines), notes=known)


def _listed(chain: Chain, place: Partition) -> list[dict[str, object]]:
    where = chain.place(FIGSHARE_FILES.name, Partition(place.release))
    return [] if where is None else chain.table(FIGSHARE_FILES.name, where).collect().rows(named=True)


def _cells(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The matrix that the rows were read from: no column names it, but the record of the run does."""
    files = [article_file(chain.blobs, row) for row in _listed(chain, rows.partition) if row["role"] == "cells"]
    stored, _ = chain.stored(table_path(rows.table, rows.partition))
    given = {one.digest for one in stored.inputs}
    read = [file for file in files if file.sha256 in given]
    likely = read or files
    note = () if len(likely) == 1 else ("Which of the article's matrices was read is not recorded.",)
    yield from (chain.file(file, notes=note) for file in likely)
    if not files:
        yield Step(StepKind.OUTSIDE, "a matrix of cells", notes=(NOT_LISTED,))


def _metrics(chain: Chain, rows: Rows) -> Iterator[Step]:
    for source in sources_of(chain.store, rows.partition.release, rows.frame):
        if source.file is not None:
            yield chain.file(source.file)
        else:
            note = f"The lock of {rows.partition.release} does not list file {source.file_id}."
            yield Step(StepKind.OUTSIDE, f"file {', '.join(source.tables)}", notes=(note,))


RULES = {
    FIGSHARE_FILES.name: Rule(_article, reads=(RELEASE_FILES.name,)),
    SRA_RUNS.name: Rule(_runs, reads=(RELEASE_FILES.name,)),
    PERTURB_TARGETS.name: Rule(_targets, reads=(RELEASE_FILES.name, FIGSHARE_FILES.name)),
    GUIDE_LIBRARY.name: Rule(_guides, reads=(FIGSHARE_FILES.name,)),
    PERTURB_CELLS.name: Rule(_cells, reads=(FIGSHARE_FILES.name, GUIDE_LIBRARY.name)),
    CELLRANGER_METRICS.name: Rule(_metrics, reads=(RELEASE_FILES.name,)),
}
