"""The guide library: every guide of a published feature reference, typed, and what is wrong with it.

Belongs here: rows of the feature reference to rows of `guide_library`. Does not belong here: forms of names
(`guide_names`), and what the checks say (`guide_findings`).

Nothing is left out but lines of another length than the header's: a guide with a defect is a row with its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from cm4ai_assets.identifiers import ENSEMBL_GENE
from cm4ai_assets.perturbseq import guide_names
from cm4ai_assets.perturbseq.delimited import Delimited, PublishedTableError, read_delimited
from cm4ai_assets.tables.screen import GUIDE_LIBRARY

# Cell Ranger's feature reference: https://www.10xgenomics.com/support, "Feature Reference CSV".
REQUIRED: Final = ("id", "sequence", "target_gene_name")
HEADER: Final = ("name", "read", "pattern", "sequence", "feature_type", "target_gene_id", "target_gene_name", "id")
CRISPR: Final = "CRISPR Guide Capture"
BASES: Final = 20
PER_GENE: Final = 3

_EMPTY = pl.lit(None, pl.String)


@dataclass(frozen=True)
class Library:
    """What was read.

    Attributes:
        rows: `guide_library` without the release.
        lines: Lines of the file below its header, without blank ones.
        left_out: Those of another number of fields than the header, by their number.
        unknown_columns: Columns that no rule knows; they are kept as text.
        has_whitelist: Whether a whitelist of controls was there.
        not_in_library: Names of the whitelist that are no control of the library.
    """

    rows: pl.DataFrame
    lines: int
    left_out: tuple[int, ...]
    unknown_columns: tuple[str, ...]
    has_whitelist: bool
    not_in_library: tuple[str, ...] = ()


def read_whitelist(data: bytes) -> frozenset[str]:
    """Names of controls, one a line, in their normal form.

    Raises:
        PublishedTableError: It is no text.
    """
    try:
        names = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise PublishedTableError("The whitelist of controls is no UTF-8 text.") from None
    return frozenset(guide_names.normal_form(name) for name in names if name)


def read_library(data: bytes, name: str, *, sha256: str | None = None, whitelist: bytes | None = None) -> Library:
    """The guides of a feature reference.

    Args:
        data: The file: comma-separated, with Cell Ranger's header.
        name: Its name, for the table.
        sha256: Digest of its bytes, for the table.
        whitelist: Names of the controls that are used, one a line; None if none is published.

    Raises:
        PublishedTableError: It is no such table.
    """
    table = read_delimited(data, name)
    missing = [column for column in REQUIRED if column not in table.header]
    if missing:
        raise PublishedTableError(
            f"{name} has no column {', '.join(missing)}: it is no feature reference. It has {', '.join(table.header)}."
        )
    unknown = tuple(column for column in table.header if column not in HEADER)
    frame = _typed(table, unknown)
    allowed = None if whitelist is None else read_whitelist(whitelist)
    rows = _with_defects(_whitelisted(frame, allowed))
    own = [column.name for column in GUIDE_LIBRARY.own_columns]
    placed = rows.with_columns(pl.lit(name).alias("source_file"), pl.lit(sha256, pl.String).alias("source_sha256"))
    lines = len(table.rows) + len(table.left_out)
    controls = set(frame.filter("is_control")["guide"])
    absent = tuple(sorted((allowed or frozenset()) - controls))
    return Library(placed.select(own), lines, tuple(table.left_out), unknown, whitelist is not None, absent)


def _typed(table: Delimited, unknown: tuple[str, ...]) -> pl.DataFrame:
    known = tuple(column for column in HEADER if column in table.header)
    texts = pl.DataFrame(table.columns((*known, *unknown)), schema=dict.fromkeys((*known, *unknown), pl.String))
    texts = texts.with_columns(pl.lit("").alias(column) for column in HEADER if column not in known)
    published, gene = pl.col("id"), pl.col("target_gene_name").str.strip_chars()
    is_control = gene.str.contains(guide_names.CONTROL_PATTERN)
    others = [pl.struct(pl.lit(column).alias("name"), pl.col(column).alias("value")) for column in unknown]
    return texts.select(
        guide_names.normal(published).alias("guide"),
        published.alias("published_id"),
        _filled("name").alias("published_name"),
        guide_names.number(published).cast(pl.Int32).alias("number"),
        is_control.alias("is_control"),
        pl.when(~is_control & (gene != "")).then(gene).alias("symbol"),
        pl.when(~is_control).then(_filled("target_gene_id")).alias("ensembl_gene"),
        pl.col("sequence").str.strip_chars().str.to_uppercase().alias("sequence"),
        _filled("read").alias("read"),
        _filled("pattern").alias("pattern"),
        _filled("feature_type").alias("feature_type"),
        (pl.concat_list(others) if others else pl.lit([], _OTHERS)).alias("others"),
        pl.Series("source_line", table.lines, pl.Int32),
    )


_OTHERS = next(column.dtype for column in GUIDE_LIBRARY.own_columns if column.name == "others")


def _filled(column: str) -> pl.Expr:
    text = pl.col(column).str.strip_chars()
    return pl.when(text != "").then(text)


def _whitelisted(frame: pl.DataFrame, allowed: frozenset[str] | None) -> pl.DataFrame:
    within = _EMPTY.cast(pl.Boolean) if allowed is None else pl.col("guide").is_in(list(allowed))
    return frame.with_columns(
        pl.when(pl.col("is_control")).then(within).alias("is_whitelisted"),
        pl.len().over("symbol", "is_control").cast(pl.Int32).alias("guides_of_target"),
        (pl.int_range(pl.len()).over("guide")).cast(pl.Int32).alias("occurrence"),
    )


def _with_defects(frame: pl.DataFrame) -> pl.DataFrame:
    is_gene = ~pl.col("is_control")
    names, ids = pl.col("symbol"), pl.col("ensembl_gene")
    # Of the genes that state both: one symbol, one id, and the other way round.
    several = (ids.drop_nulls().n_unique().over("symbol") > 1) | (
        names.drop_nulls().n_unique().over("ensembl_gene") > 1
    )
    found = {
        "duplicate_guide": pl.col("guide").is_duplicated(),
        "duplicate_sequence": pl.col("sequence").is_duplicated() & (pl.col("sequence") != ""),
        "bad_sequence": ~pl.col("sequence").str.contains(r"^[ACGT]+$"),
        "other_length": pl.col("sequence").str.len_chars() != BASES,
        "bad_guide_name": ~guide_names.is_well_formed(pl.col("published_id")),
        "name_disagrees": pl.col("published_name").is_not_null()
        & (guide_names.normal(pl.col("published_name")) != pl.col("guide")),
        "target_disagrees": guide_names.symbol(pl.col("published_id"))
        != pl.when(is_gene).then(names).otherwise(pl.lit(guide_names.CONTROL)),
        "no_target": is_gene & names.is_null(),
        "bad_gene_id": is_gene & ~ENSEMBL_GENE.fits_column(ids.fill_null("")),
        "gene_id_disagrees": is_gene & names.is_not_null() & ids.is_not_null() & several,
        "other_feature_type": pl.col("feature_type").fill_null("") != CRISPR,
    }
    flags = [pl.when(fault.fill_null(value=False)).then(pl.lit(defect)) for defect, fault in found.items()]
    return frame.with_columns(pl.concat_list(flags).list.drop_nulls().alias("defects"))
