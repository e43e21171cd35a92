"""Tables about a release as the archive published it: the lock, what changed, and where its image archives stand."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.schema import Column, Rule, Table
from cm4ai_assets.vocabulary import CellLine, Modality, Role

ACCESS_STATES = (
    "public",
    "restricted",
    "embargoed",
    "retention_expired",
    "guestbook_required",
    "blocked",
    "gone",
)

RELEASE_FILES = Table(
    name="release_files",
    description="The lock of a release: one row per published file, with what is needed to fetch and to verify it.",
    partitioning=Partitioning.RELEASE,
    key=("file_id",),
    own_columns=(
        Column("doi", pl.String(), "Persistent id of the dataset, with its scheme."),
        Column("version", pl.String(), "Dataverse version, major.minor."),
        Column("directory", pl.String(), "Directory label; empty at the root. A name alone does not identify a file."),
        Column("label", pl.String(), "File name in this version. Renames keep the file id."),
        Column(
            "name_problem",
            pl.String(),
            "Why directory and label must not become a path, such as another file that differs in case only; the file "
            "is locked all the same, and exports rename it. Null where they may.",
            nullable=True,
        ),
        Column("file_id", pl.Int64(), "Data file id of the archive; stays on rename, changes on replacement."),
        Column(
            "size",
            pl.Int64(),
            "Size of the bytes that are fetched (the original upload, where it was ingested); null where not stated.",
            unit="bytes",
            nullable=True,
        ),
        Column(
            "digest_type",
            pl.String(),
            "Algorithm of the published digest; null where none is published.",
            nullable=True,
            allowed=("MD5", "SHA-1", "SHA-256", "SHA-512"),
        ),
        Column(
            "digest",
            pl.String(),
            "Published digest, lower-case hexadecimal; null where none is published.",
            nullable=True,
        ),
        Column(
            "digest_problem",
            pl.String(),
            "Why a digest that is published cannot be one; the bytes are then held against their size. Else null.",
            nullable=True,
        ),
        Column("content_type", pl.String(), "Content type as stated by the archive, verbatim.", nullable=True),
        Column(
            "is_ingested", pl.Boolean(), "The archive stores a tabular derivative; the original is what is fetched."
        ),
        Column("access", pl.String(), "Access state for this platform.", allowed=ACCESS_STATES),
        Column("available_on", pl.Date(), "Day an embargo ends; null without one.", nullable=True),
        Column("unavailable_from", pl.Date(), "Day a retention period ends; null without one.", nullable=True),
        Column(
            "modality",
            pl.String(),
            "Recognised modality; null where not recognised.",
            nullable=True,
            allowed=tuple(Modality),
        ),
        Column(
            "cell_line",
            pl.String(),
            "Recognised cell line; null where the file is not of one.",
            nullable=True,
            allowed=tuple(CellLine),
        ),
        Column(
            "file_condition",
            pl.String(),
            "Recognised treatment condition; null where the file is not of one.",
            nullable=True,
            allowed=CONDITIONS,
        ),
        Column("role", pl.String(), "What the file is; null where not recognised.", nullable=True, allowed=tuple(Role)),
        Column("recognised_by", pl.String(), "Name of the rule that recognised the file.", nullable=True),
        Column(
            "unrecognised_reason",
            pl.String(),
            "Why no rule recognised the file, or its treatment; null where nothing is unknown.",
            nullable=True,
        ),
        Column("description", pl.String(), "The depositor's description.", nullable=True),
        Column("license", pl.String(), "Licence of the dataset version, as stated.", nullable=True),
    ),
    rules=(
        Rule(
            "path_unique",
            "directory and label together name one file, or name_problem says that they do not",
            lambda: ~pl.struct("directory", "label").is_duplicated() | pl.col("name_problem").is_not_null(),
        ),
        Rule(
            "digest_complete",
            "a digest and its type come together",
            lambda: pl.col("digest").is_null() == pl.col("digest_type").is_null(),
        ),
        Rule(
            "recognised_or_reason",
            "a file is recognised, or says why not; an image archive of no known treatment says so too",
            lambda: (
                (pl.col("role").is_not_null() | pl.col("unrecognised_reason").is_not_null())
                & (
                    (pl.col("role") != "images")
                    | pl.col("file_condition").is_not_null()
                    | pl.col("unrecognised_reason").is_not_null()
                )
            ),
        ),
        Rule("size_not_negative", "a size is not negative", lambda: pl.col("size") >= 0),
    ),
    source="Dataverse native API, GET /datasets/:persistentId/versions/{version}",
)

CHANGES = ("unchanged", "renamed", "replaced", "added", "removed")

RELEASE_CHANGES = Table(
    name="release_changes",
    description="A release against the one before it, one row per file of either: unchanged, renamed, replaced, added "
    "or removed, and whether its access changed. Identity is the bytes, then the place; never the base name.",
    partitioning=Partitioning.RELEASE,
    key=("file_id", "previous_file_id"),
    own_columns=(
        Column("against", pl.String(), "Release key it is compared with; null for the first release.", nullable=True),
        Column("change", pl.String(), "What happened to the file: same bytes in the same place, the same under another "
               "directory or name, other bytes in the same place, or in one of the two releases only.",
               allowed=CHANGES),
        Column("directory", pl.String(), "Directory label in this release; null if removed.", nullable=True),
        Column("label", pl.String(), "File name in this release; null if removed.", nullable=True),
        Column("file_id", pl.Int64(), "Data file id in this release; null if removed.", nullable=True),
        Column("size", pl.Int64(), "Size in this release; null if removed or not stated.", unit="bytes", nullable=True),
        Column("digest_type", pl.String(), "Algorithm of `digest`.", nullable=True),
        Column("digest", pl.String(), "Published digest in this release; null if removed or not published.",
               nullable=True),
        Column("access", pl.String(), "Access state in this release; null if removed.", nullable=True,
               allowed=ACCESS_STATES),
        Column("previous_directory", pl.String(), "Directory label before; null if added.", nullable=True),
        Column("previous_label", pl.String(), "File name before; null if added.", nullable=True),
        Column("previous_file_id", pl.Int64(), "Data file id before; null if added.", nullable=True),
        Column("previous_size", pl.Int64(), "Size before; null if added or not stated.", unit="bytes", nullable=True),
        Column("previous_digest_type", pl.String(), "Algorithm of `previous_digest`.", nullable=True),
        Column("previous_digest", pl.String(), "Published digest before; null if added or not published.",
               nullable=True),
        Column("previous_access", pl.String(), "Access state before; null if added.", nullable=True,
               allowed=ACCESS_STATES),
        Column("access_changed", pl.Boolean(), "The file is in both releases and its access state differs."),
        Column("counterpart", pl.String(), "Of an added or removed file: the one file of the same modality, cell line, "
               "condition and role on the other side, with its directory; null where there is not exactly one.",
               nullable=True),
        Column("modality", pl.String(), "Recognised modality.", nullable=True, allowed=tuple(Modality)),
        Column("cell_line", pl.String(), "Recognised cell line.", nullable=True),
        Column("file_condition", pl.String(), "Recognised treatment condition.", nullable=True),
        Column("role", pl.String(), "What the file is.", nullable=True, allowed=tuple(Role)),
    ),
    rules=(
        Rule("sides", "an added file has no side before, a removed one no side now, every other both",
             lambda: (pl.col("previous_file_id").is_null() == (pl.col("change") == "added"))
             & (pl.col("file_id").is_null() == (pl.col("change") == "removed"))),
        Rule("against_something", "without a release before, every file is added",
             lambda: pl.col("against").is_not_null() | (pl.col("change") == "added")),
    ),
    source="The locks of the two releases",
)  # fmt: skip

IF_ARCHIVE = Table(
    name="if_archive",
    description="The immunofluorescence ZIP of one condition: where its verified bytes are, and what verified them.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("sha256",),
    own_columns=(
        Column("doi", pl.String(), "Persistent id of the dataset."),
        Column("version", pl.String(), "Dataverse version, major.minor."),
        Column("file_id", pl.Int64(), "Data file id of the archive."),
        Column("directory", pl.String(), "Directory label in this version; empty at the root."),
        Column("label", pl.String(), "File name in this version."),
        Column("size", pl.Int64(), "Size of the ZIP.", unit="bytes"),
        Column("digest_type", pl.String(), "Algorithm of the published digest; null where none was published.",
               nullable=True),
        Column("digest", pl.String(), "Published digest that the bytes were held against.", nullable=True),
        Column("verified", pl.String(), "What the bytes were held against: the published digest, or only the size.",
               allowed=("digest", "size")),
        Column("sha256", pl.String(), "SHA-256 of the bytes, computed while they arrived."),
        Column("path", pl.String(), "Where the bytes are, relative to CM4AI_STORAGE."),
        Column("license", pl.String(), "Licence of the data, as the release states it.", nullable=True),
    ),
    rules=(Rule("sha256_form", "sha256 is 64 hexadecimal digits",
                lambda: pl.col("sha256").str.contains(r"^[0-9a-f]{64}$")),),
    source="Dataverse access API, GET /access/datafile/{id}",
)  # fmt: skip

TABLES = (RELEASE_FILES, RELEASE_CHANGES, IF_ARCHIVE)
