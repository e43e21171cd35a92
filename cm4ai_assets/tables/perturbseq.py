"""Tables of Perturb-seq: what the archives hold of it, and what is made of it."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.identifiers import SRA_RUN
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.release import ACCESS_STATES
from cm4ai_assets.tables.schema import Column, Rule, Table

FIGSHARE_ACCESS = (*ACCESS_STATES, "linked")
FIGSHARE_ROLES = ("cells", "guides", "controls", "other")
NAMED_BY = ("crate", "programme")

RUN_ACCESS = ("public", "no_files", "embargoed", "not_listed", "unknown")
RUN_LISTS = ("crate", "preview", "ena", "ncbi")
LIBRARIES = ("GEX", "CRISPR")
RUN_DEFECTS = (
    "run_not_named",
    "sample_not_named",
    "samples_differ",
    "unequal_lists",
    "illegible_list",
    "no_digest",
    "digests_differ",
)

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
        Column("role", pl.String(), "What the file is for this platform: cells: a matrix; guides: the "
               "feature reference; controls: names of control guides; other: not read, see the notes.",
               allowed=FIGSHARE_ROLES),
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

SRA_RUNS = Table(
    name="sra_runs",
    description="The sequencing runs behind the release's Perturb-seq data: as its crates list them, and what ENA and "
    "NCBI hold of them. Where a crate names a sample and no run of it, the sample is one row. Nothing of it is pulled "
    "unless asked for.",
    partitioning=Partitioning.RELEASE,
    key=("sample", "run"),
    own_columns=(
        Column("sample", pl.String(), "Name of the sample, such as KOLF2-ALPHA-GEX-Chip-1-Channel-1; null where "
               "nothing names it.", nullable=True),
        Column("run", pl.String(), "Accession of the run; null where the sample's runs are not named.", nullable=True),
        Column("batch", pl.String(), "Batch, from the sample's name: ALPHA, BETA, GAMMA.", nullable=True),
        Column("library", pl.String(), "Library type, from the sample's name: GEX: transcripts; CRISPR: guides.",
               nullable=True, allowed=LIBRARIES),
        Column("chip", pl.Int64(), "Chip, from the sample's name.", nullable=True),
        Column("channel", pl.Int64(), "Channel of the chip, from the sample's name.", nullable=True),
        Column("gem_channel", pl.String(), "Batch, chip and channel as the molecule files are named: "
               "ALPHA-Chip-1-Channel-1.", nullable=True),
        Column("is_counted", pl.Boolean(), "The crates list a molecule file of this channel: it is part of the counted "
               "matrix; null where no crate lists any.", nullable=True),
        Column("bioproject", pl.String(), "BioProject under which an archive lists the run; null where none does.",
               nullable=True),
        Column("experiment", pl.String(), "Accession of the experiment, as an archive states it.", nullable=True),
        Column("biosample", pl.String(), "Accession of the sample, as an archive states it.", nullable=True),
        Column("strategy", pl.String(), "Library strategy, as an archive states it.", nullable=True),
        Column("layout", pl.String(), "Library layout, as an archive states it.", nullable=True),
        Column("spots", pl.Int64(), "Spots, as an archive states them.", nullable=True),
        Column("bases", pl.Int64(), "Bases, as an archive states them.", unit="bases", nullable=True),
        Column("access", pl.String(), "public: an archive lists files of it; no_files: it lists the run without files; "
               "embargoed: no archive lists it, and a crate says so or names a later day; not_listed: no archive "
               "lists it, and nothing says why; unknown: no archive could be asked.", allowed=RUN_ACCESS),
        Column("embargo_until", pl.Date(), "Day of release that the crates state for an embargoed run, be it past; "
               "null where none is stated, and of other runs.", nullable=True),
        Column("public_since", pl.Date(), "Day the run became public, as an archive states it.", nullable=True),
        Column("files_kind", pl.String(), "Which files these are: as submitted, converted to fastq, or in SRA's "
               "format; null where there are none.", nullable=True, allowed=("submitted", "fastq", "sra")),
        Column("file_names", pl.List(pl.String()), "Names of the run's files."),
        Column("file_urls", pl.List(pl.String()), "Address of each file, by HTTPS."),
        Column("file_sizes", pl.List(pl.Int64()), "Size of each file; null where not stated.", unit="bytes"),
        Column("file_md5s", pl.List(pl.String()), "Published MD5 of each file; null where none is."),
        Column("file_sha256s", pl.List(pl.String()), "SHA-256 of the stored bytes of each file; null where they are "
               "not stored."),
        Column("size", pl.Int64(), "Size of all files together; null where there are none, or one is not stated.",
               unit="bytes", nullable=True),
        Column("listed_by", pl.List(pl.String()), "Who lists the run or its sample.", allowed=RUN_LISTS),
        Column("defects", pl.List(pl.String()), "What is wrong with this row; empty if nothing.", allowed=RUN_DEFECTS),
    ),
    rules=(
        Rule("named", "a row names a sample or a run",
             lambda: pl.col("sample").is_not_null() | pl.col("run").is_not_null()),
        Rule("run_form", "run is an accession of a run", lambda: SRA_RUN.fits_column("run")),
        Rule("files_whole", "names, addresses, sizes and digests of files are lists of one length",
             lambda: pl.all_horizontal(pl.col("file_names").list.len() == pl.col(name).list.len()
                                       for name in ("file_urls", "file_sizes", "file_md5s", "file_sha256s"))),
        Rule("public_with_files", "a public run has files", lambda: (pl.col("access") == "public")
             == (pl.col("file_names").list.len() > 0)),
    ),
    source="crates of the release; file reports of ENA, run tables and the Data Locator of NCBI",
)  # fmt: skip

TABLES = (FIGSHARE_FILES, SRA_RUNS)
