"""What the quality checks say about the article's files and the sequencing runs, as plain data: one function per check.

Does not belong here: what a file's content says (`findings` of guides and cells), and Dagster.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding

_FILE = ("label", "size", "md5", "supplied_md5", "access", "embargo_until", "notes")
_RUN = ("sample", "run", "access", "embargo_until", "listed_by", "defects")


def digests_published(files: pl.DataFrame) -> Finding:
    """Each file has a size and an MD5, which is also its depositor's. Protects from bytes that nothing vouches for."""
    bad = files.filter(
        pl.any_horizontal(
            pl.col("size").is_null(),
            pl.col("md5").is_null(),
            pl.col("supplied_md5").is_not_null() & (pl.col("supplied_md5") != pl.col("md5")),
        )
    )
    return Finding(
        "digests_published",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {files.height} files of the article have no size or MD5, or other bytes than their "
        "depositor sent.",
        rows=bad.select(_FILE).head(ROWS_SHOWN),
        counts={"files": files.height, "without": bad.height},
    )


def files_accessible(files: pl.DataFrame, today: date) -> Finding:
    """Each file is public, or embargoed until a day to come. Protects from waiting for what nobody will ever send."""
    waiting = files.filter(pl.col("access") == "embargoed", pl.col("embargo_until") > today)
    closed = files.filter(pl.col("access") != "public").join(waiting, on="file_id", how="anti")
    last = max(waiting["embargo_until"].to_list(), default=None)
    until = f", {waiting.height} are embargoed until {last}" if waiting.height else ""
    return Finding(
        "files_accessible",
        passed=closed.is_empty(),
        summary=f"{files.filter(access='public').height} of {files.height} files are public{until}; {closed.height} "
        "are closed without a day on which that ends.",
        rows=pl.concat([closed, waiting]).select(_FILE).head(ROWS_SHOWN),
        counts={"files": files.height, "embargoed": waiting.height, "closed": closed.height},
    )


def article_named(files: pl.DataFrame) -> Finding:
    """The release's own crate names the article by DOI. Protects from cells of another article than the release's."""
    other = files.filter(pl.col("named_by") != "crate")
    doi = str(files["doi"].first()) if files.height else "no article"
    return Finding(
        "article_named",
        passed=other.is_empty(),
        summary=f"The release's crates name {doi}."
        if other.is_empty()
        else f"{doi} was locked as the programme's article: the crates that could be read do not name it by DOI.",
        counts={"files": files.height, "not_named": other.height},
    )


def roles_recognised(files: pl.DataFrame) -> Finding:
    """The article has a matrix of cells and a feature reference. Protects from a renamed file that is then not read."""
    roles = set(files["role"])
    absent = [role for role in ("cells", "guides") if role not in roles]
    other = files.filter(role="other")
    return Finding(
        "roles_recognised",
        passed=not absent,
        summary=(f"No file of the article is recognised as {' or as '.join(absent)}; " if absent else "")
        + f"{other.height} of {files.height} files are of no known role.",
        rows=other.select(_FILE).head(ROWS_SHOWN),
        counts={"files": files.height, "absent_roles": len(absent), "other": other.height},
    )


def runs_have_digests(runs: pl.DataFrame) -> Finding:
    """Files of public runs have sizes and MD5s that the archives agree on. Protects from pulls nothing can verify."""
    damaged = ["unequal_lists", "illegible_list", "no_digest", "digests_differ"]
    unsized = (pl.col("file_names").list.len() > 0) & pl.col("size").is_null()
    bad = runs.filter(pl.col("defects").list.set_intersection(damaged).list.len().gt(0) | unsized)
    public = runs.filter(access="public").height
    return Finding(
        "runs_have_digests",
        passed=bad.is_empty(),
        summary=f"{bad.height} runs have files without size or digest, or archives that disagree; {public} are public.",
        rows=bad.select(_RUN).head(ROWS_SHOWN),
        counts={"public": public, "without": bad.height},
    )


def embargoes_current(runs: pl.DataFrame, today: date) -> Finding:
    """Embargoes end on a stated day that is to come. Protects from runs that stay closed after the day of release."""
    embargoed = runs.filter(access="embargoed")
    over = embargoed.filter(pl.col("embargo_until").is_null() | (pl.col("embargo_until") <= today))
    per_day = embargoed["embargo_until"].drop_nulls().value_counts().sort("embargo_until").iter_rows()
    days = ", ".join(f"{count} until {day}" for day, count in per_day)
    return Finding(
        "embargoes_current",
        passed=over.is_empty(),
        summary=f"{embargoed.height} of {runs.height} rows are embargoed{f' ({days})' if days else ''}; of "
        f"{over.height} the day is over, or none is stated.",
        rows=over.select(_RUN).head(ROWS_SHOWN),
        counts={"embargoed": embargoed.height, "over": over.height},
    )


def libraries_known(runs: pl.DataFrame) -> Finding:
    """Each run is of one known sample and library. Protects from reads of transcripts that are taken for guides."""
    bad = runs.filter(
        pl.col("library").is_null()
        | pl.col("defects").list.contains("samples_differ")
        | (pl.col("run").is_not_null() & pl.col("run").is_duplicated())
    )
    per_library = ", ".join(
        f"{n} {name}" for name, n in runs["library"].drop_nulls().value_counts(sort=True).iter_rows()
    )
    return Finding(
        "libraries_known",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {runs.height} rows have no known library, two samples, or a run that stands twice"
        f"{f'; of the others: {per_library}' if per_library else ''}.",
        rows=bad.select(_RUN).head(ROWS_SHOWN),
        counts={"rows": runs.height, "unknown": bad.height},
    )


def channels_complete(runs: pl.DataFrame) -> Finding:
    """Each channel has both libraries and a molecule file. Protects from counting cells of channels that are absent."""
    channels = (
        runs.drop_nulls("gem_channel")
        .group_by("gem_channel")
        .agg(pl.col("library").unique().sort().alias("libraries"), pl.col("is_counted").first())
        .sort("gem_channel")
    )
    single = channels.filter(pl.col("libraries").list.len() < 2)  # noqa: PLR2004 - transcripts and guides
    absent = channels.filter(~pl.col("is_counted"))
    named = f": {', '.join(absent['gem_channel'])}" if absent.height else ""
    unknown = channels["is_counted"].null_count() == channels.height
    counted = "no crate lists molecule files" if unknown else f"{absent.height} have no molecule file{named}"
    return Finding(
        "channels_complete",
        passed=single.is_empty() and absent.is_empty(),
        summary=f"Of {channels.height} channels {single.height} have one library only; {counted}.",
        rows=pl.concat([single, absent]).unique(maintain_order=True).head(ROWS_SHOWN),
        counts={"channels": channels.height, "one_library": single.height, "not_counted": absent.height},
    )


def lists_agree(runs: pl.DataFrame) -> Finding:
    """Crates and archives list the same runs of a sample. Protects from reads that a release does not know it has."""
    crated = pl.col("listed_by").list.contains("crate")
    held = pl.col("listed_by").list.set_intersection(["ena", "ncbi"]).list.len() > 0
    open_ones = runs.filter(held)["sample"].drop_nulls().unique()
    named = runs.filter(crated)["sample"].unique()
    extra = runs.filter(held & ~crated & pl.col("sample").is_in(named.implode()))
    absent = runs.filter(crated & ~held & pl.col("run").is_not_null() & pl.col("sample").is_in(open_ones.implode()))
    unnamed = runs.filter(pl.col("sample").is_null())
    bad = pl.concat([extra, absent, unnamed])
    return Finding(
        "lists_agree",
        passed=bad.is_empty(),
        summary=f"{extra.height} runs are listed by an archive and not by the crates, {absent.height} by the crates "
        f"and not by an archive that has others of the sample; {unnamed.height} are of no known sample.",
        rows=bad.select(_RUN).head(ROWS_SHOWN),
        counts={"runs": runs["run"].count(), "not_in_crates": extra.height, "not_in_archives": absent.height},
    )
