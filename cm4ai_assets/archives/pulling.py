"""Large files on request, of any archive: what `cm4ai pull` does with the inventories of a release.

Belongs here: the inventories as entries of one form, choosing among them by patterns, and what they may take. Does not
belong here: the transfer of one file (the `acquire` of each archive).

An entry is named `accession/path`: `MSV000101915/metadata/x.tsv`, `27261219/KOLF_Strong_Perturbations.h5ad` of a
Figshare article, `SRR31012081/SRR31012081_1.fastq.gz` of a sequencing run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from cm4ai_assets.archives.ena import acquire as runs
from cm4ai_assets.archives.ena.ena import EnaClient
from cm4ai_assets.archives.ena.run_file import run_files
from cm4ai_assets.archives.figshare import acquire as figshare
from cm4ai_assets.archives.figshare.client import FigshareClient
from cm4ai_assets.archives.figshare.locked_file import FigshareFile
from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.archives.massive.pulling import pull_rows
from cm4ai_assets.archives.pulled import Pulled
from cm4ai_assets.errors import ArchiveError, NotMaterializedError
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.names import safe_path
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.transfer.acquire import Acquired
from cm4ai_assets.transfer.download import Progress
from cm4ai_assets.transfer.errors import AccessDeniedError
from cm4ai_assets.transfer.retries import RetryPolicy

# Two files of an article may have one name; then their ids tell them apart.
_PATH = pl.when(pl.col("label").is_duplicated()).then(pl.format("{}/{}", "file_id", "label")).otherwise("label")
_COLUMNS = ("archive", "accession", "path", "size", "members", "url", "closed")


class BudgetExceededError(ArchiveError):
    """A pull that would take more than it may, or of which nobody knows how much it takes."""

    runbook = ""  # the message says all


@dataclass(frozen=True)
class PullPlan:
    """Entries that fit into a budget, smallest first, and what they take."""

    files: pl.DataFrame
    members: int
    total_bytes: int
    budget_bytes: int


@dataclass(frozen=True)
class Clients:
    """The archives that files are pulled from."""

    massive: MassiveClient
    figshare: FigshareClient
    ena: EnaClient


@dataclass(frozen=True)
class Holdings:
    """What the archives hold of a release: the rows of its inventories, none of one that is not materialized."""

    massive: pl.DataFrame = field(default_factory=MASSIVE_FILES.empty)
    figshare: pl.DataFrame = field(default_factory=FIGSHARE_FILES.empty)
    runs: pl.DataFrame = field(default_factory=SRA_RUNS.empty)

    def entries(self) -> pl.DataFrame:
        """All of it in one form: archive, accession, path, size, members, url, and why it is closed (null if not).

        An embargo that is over by today closes nothing. A run without files, and a sample without runs, is one closed
        entry, so that whoever names it reads why nothing can be pulled.
        """
        is_over = (pl.col("access") == "embargoed") & (pl.col("embargo_until") <= datetime.now(UTC).date())
        is_open = (pl.col("access") == "public") | is_over.fill_null(value=False)
        one, open_ = pl.lit(1, pl.Int32), pl.lit(None, pl.String)
        deposits = self.massive.with_columns(archive=pl.lit("massive"), closed=open_)
        article = self.figshare.with_columns(
            archive=pl.lit("figshare"),
            accession=pl.col("article_id").cast(pl.String),
            path=_PATH,
            members=one,
            url=pl.lit("api"),  # which is asked by file id, whatever address is stated
            closed=pl.when(~is_open).then(pl.format("{} {}", "access", "notes")),
        )
        files = self.runs.explode("file_names", "file_urls", "file_sizes").filter(pl.col("file_names").is_not_null())
        reads = files.with_columns(
            archive=pl.lit("ena"),
            accession=pl.col("run"),
            path=pl.col("file_names"),
            size=pl.col("file_sizes"),
            members=one,
            url=pl.col("file_urls"),
            closed=open_,
        )
        until = pl.format(" until {}", "embargo_until").fill_null("")
        without = self.runs.filter(pl.col("file_names").list.len() == 0, pl.col("access") != "public").with_columns(
            archive=pl.lit("ena"),
            accession=pl.coalesce("run", "biosample", "sample"),
            path=pl.lit("reads"),
            members=one,
            url=pl.lit(None, pl.String),
            closed=pl.concat_str(pl.lit("it is "), pl.col("access").str.replace("_", " "), until),
        )
        return pl.concat([frame.select(_COLUMNS) for frame in (deposits, article, reads, without)])


def chosen(files: pl.DataFrame, patterns: Sequence[str]) -> pl.DataFrame:
    """The entries that a pattern names, such as `MSV000101915/metadata/*` or `*_F07.d`; `*` also stands for slashes.

    Raises:
        NotMaterializedError: None does.
        AccessDeniedError: One that it names is closed.
    """
    places = [f"{accession}/{path}" for accession, path in files.select("accession", "path").iter_rows()]
    hits = [any(fnmatchcase(place, pattern) for pattern in patterns) for place in places]
    if not any(hits):
        raise NotMaterializedError(
            f"None of the {files.height:,} files that the archives hold is named by {' or '.join(patterns)}.",
            remedy="A pattern is held against accession/path; the tables massive_files, figshare_files and sra_runs "
            "list them.",
        )
    found = files.filter(pl.Series(hits, dtype=pl.Boolean))
    for row in found.filter(pl.col("closed").is_not_null()).head(1).rows(named=True):
        raise AccessDeniedError(
            f"{row['accession']}/{row['path']} is not accessible: {row['closed']}",
            remedy="Choose others. Nothing was pulled.",
        )
    return found


def plan_pull(files: pl.DataFrame, budget_bytes: int) -> PullPlan:
    """What pulling these entries takes, if it fits into the budget. Nothing is pulled in part.

    Raises:
        BudgetExceededError: It does not fit, or the size of an entry is not stated; the message says by how much.
    """
    unknown = files.filter(pl.col("size").is_null() | pl.col("members").is_null() | pl.col("url").is_null())
    if unknown.height:
        raise BudgetExceededError(
            f"{unknown.height} of {files.height} chosen files have no stated size or address, e.g. "
            f"{unknown['path'][0]}: whether they fit into {size_in_words(budget_bytes)} cannot be known.",
            remedy="Materialize the table that lists them while its archive answers, then choose again.",
        )
    total = int(files["size"].sum())
    if total > budget_bytes:
        largest = files.sort("size", descending=True).row(0, named=True)
        raise BudgetExceededError(
            f"The {files.height} chosen files have {size_in_words(total)}, {size_in_words(total - budget_bytes)} more"
            f" than the budget of {size_in_words(budget_bytes)}. The largest is "
            f"{largest['accession']}/{largest['path']} ({size_in_words(largest['size'])}).",
            remedy="Choose fewer files, or allow more bytes. Nothing was pulled.",
        )
    return PullPlan(files.sort("size", "path"), int(files["members"].sum()), total, budget_bytes)


def pull_all(
    plan: PullPlan,
    holdings: Holdings,
    clients: Clients,
    blobs: BlobStore,
    scratch: Path,
    *,
    target: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Pulled]:
    """Fetch what a plan names, archive by archive, smallest first; each entry as all its files are stored.

    Args:
        plan: What to pull; it fits into its budget.
        holdings: The inventories that the plan is of.
        clients: The archives.
        blobs: Where the bytes are kept.
        scratch: Folder of partial downloads.
        target: A folder that gets each file under accession and path as well, without a second copy where possible.
        progress: Called with how far each file is.

    Raises:
        ReplacedError: Something is not any more as it was listed.
        ArchiveError: A file could not be fetched. What came before is kept, and the same call goes on from there.
    """
    wanted = plan.files.select("archive", "accession", "path")
    deposits = wanted.filter(archive="massive").join(
        holdings.massive, on=["accession", "path"], how="left", maintain_order="left"
    )
    yield from pull_rows(deposits, clients.massive, blobs, scratch, target=target, progress=progress)

    def kept(accession: str, path: str, got: Acquired) -> Pulled:
        if target is not None:
            directory, _, name = path.rpartition("/")
            blobs.link(got.sha256, target / accession / safe_path(directory, name))
        return Pulled(accession, path, got.size, got.sha256, {path: got.sha256})

    article = holdings.figshare.with_columns(path=_PATH).rows(named=True)
    by_path = {row["path"]: FigshareFile.from_row(row) for row in article}
    for _, accession, path in wanted.filter(archive="figshare").iter_rows():
        yield kept(
            accession, path, figshare.acquire(by_path[path], clients.figshare, blobs, scratch, progress=progress)
        )
    of_runs = {
        (row["run"], file.name): file
        for row in holdings.runs.filter(pl.col("file_names").list.len() > 0).rows(named=True)
        for file in run_files(row)
    }
    for _, accession, path in wanted.filter(archive="ena").iter_rows():
        # The client that lists runs is impatient; a download is not.
        got = runs.acquire(
            of_runs[accession, path], clients.ena, blobs, scratch, progress=progress, retries=RetryPolicy()
        )
        yield kept(accession, path, got)
