"""Tables of Perturb-seq: what the archives hold of it, and what is made of it."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.release import ACCESS_STATES
from cm4ai_assets.tables.schema import Column, Rule, Table

FIGSHARE_ACCESS = (*ACCESS_STATES, "linked")
FIGSHARE_ROLES = ("cells", "guides", "other")
NAMED_BY = ("crate", "programme")

_MD5 = r"^[0-9a-f]{32}$"
_SHA256 = r"^[0-9a-f]{64}$"

FIGSHARE_FILES = Table(
    name="figshare_files",
    description="The lock of the Figshare article that holds the release's Perturb-seq data: one row per file. Large "
    "files are fetched on request only (`cm4ai pull`).",
    partitioning=Partitioning.RELEASE,
    key=("file_id",),
    own_columns=(
        Column("doi", pl.String(), "DOI of the article, without its version."),
        Column("article_id", pl.Int64(), "Number of the article at Figshare."),
        Column("article_version", pl.Int64(), "Version of the article that was locked."),
        Column("file_id", pl.Int64(), "File id of Figshare; changes when a file is replaced."),
        Column("label", pl.String(), "File name."),
        Column("size", pl.Int64(), "Size; null where not stated.", unit="bytes", nullable=True),
        Column("md5", pl.String(), "MD5 that Figshare computed, else the one that the depositor supplied; null where "
               "neither is there. What is fetched is held against it.", nullable=True),
        Column("supplied_md5", pl.String(), "MD5 that the depositor supplied, as stated; null without one.",
               nullable=True),
        Column("url", pl.String(), "Address that the article states for the file; null where it states none.",
               nullable=True),
        Column("license", pl.String(), "Licence of the article, as stated.", nullable=True),
        Column("access", pl.String(), "Access state for this platform; linked: the bytes are somewhere else, and "
               "Figshare vouches for nothing.", allowed=FIGSHARE_ACCESS),
        Column("embargo_until", pl.Date(), "Day an embargo ends; null without one, or without a stated end.",
               nullable=True),
        Column("role", pl.String(), "What the file is for this platform: cells: a matrix; guides: the feature "
               "reference; other: not read, for the reason in the notes.", allowed=FIGSHARE_ROLES),
        Column("sha256", pl.String(), "SHA-256 of the stored bytes; null where they are not stored.", nullable=True),
        Column("named_by", pl.String(), "Who names the article: crate: the release's own crate, by DOI; programme: "
               "known of the programme, because the crate names a private link only, or nothing.", allowed=NAMED_BY),
        Column("notes", pl.String(), "What else is to be known of this file; empty if nothing."),
    ),
    rules=(
        Rule("size_not_negative", "a size is not negative", lambda: pl.col("size") >= 0),
        Rule("md5_form", "md5 is 32 hexadecimal digits", lambda: pl.col("md5").str.contains(_MD5)),
        Rule("sha256_form", "sha256 is 64 hexadecimal digits", lambda: pl.col("sha256").str.contains(_SHA256)),
        Rule("one_version", "all files are of one version of one article",
             lambda: pl.struct("article_id", "article_version").n_unique() <= 1),
    ),
    source="Figshare's public API; the release's crates name the article",
)  # fmt: skip

TABLES = (FIGSHARE_FILES,)
