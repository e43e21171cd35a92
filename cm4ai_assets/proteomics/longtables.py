"""Long tables of KOLF2.1J cells: `sec.csv`, a row per protein and fraction, and the MSstats table, a row per feature.

Both are read in blocks: the MSstats table has a row per fragment ion and run. What a row is of stands in its label
columns; labels that no rule knows leave the sample unknown and flagged. Does not belong here: wide reports
(`spectronaut`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import polars as pl

from cm4ai_assets.proteomics.elution import Elution
from cm4ai_assets.proteomics.names import fraction_of, labelled_sample
from cm4ai_assets.proteomics.problems import NO_FRACTION, NO_GROUP, Defect, TableDamagedError
from cm4ai_assets.proteomics.rows import IDENTIFIERS, Replicate
from cm4ai_assets.proteomics.text import Text, flag_list, members, read_blocks, read_columns, whole_number
from cm4ai_assets.vocabulary import QuantityKind

SEC_COLUMNS = ("sample", "treatment", "replicate", "fraction", "protein", "intensity")
MSSTATS_COLUMNS = ("Condition", "Run", "BioReplicate", "ProteinName", "Intensity")
_OPTIONAL_SEC = ("interpolated", "gene")
_SERIES = re.compile(r"_F\d{1,3}(?:[_.].*)?$")
_DIGITS = r"^\D*(\d+)\D*$"
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
# Partial sums of the MSstats table are merged when this many rows have come together.
_MERGE_ROWS = 4_000_000


def is_sec(header: tuple[str, ...]) -> bool:
    """The columns are those of sec.csv."""
    return set(SEC_COLUMNS) <= set(header)


def is_msstats(header: tuple[str, ...]) -> bool:
    """The columns are those of an MSstats feature table."""
    return set(MSSTATS_COLUMNS) <= set(header)


def read_sec(stream: BinaryIO, file: str, *, context: str = "") -> list[Replicate]:
    """The replicates of a sec.csv.

    Its quantity is the column `intensity`; values that the column `interpolated` marks are kept and marked. Of the
    other columns (scaled, normalized, interpolated variants) the crate does not say what they hold; they are not read.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    parts, defects = [], []
    for text in _blocks(stream, file, SEC_COLUMNS):
        optional = [name for name in _OPTIONAL_SEC if name in text.header]
        frame, found = read_columns(
            text, ["sample", "treatment", "replicate", "fraction", "protein", *optional], ["intensity"]
        )
        frame = frame.with_columns(
            pl.Series("line", text.line_numbers, pl.Int64),
            whole_number("fraction", pl.Int16()),
            pl.col("replicate").str.extract(_DIGITS).cast(pl.Int16, strict=False),
            *(pl.lit(None, pl.String).alias(name) for name in _OPTIONAL_SEC if name not in optional),
        )
        defects += [*text.defects, *found, *_unusable(frame, file, fraction="fraction", group="protein")]
        parts.append(
            frame.filter(_has_group("protein"), pl.col("fraction") >= 1).select(
                "sample",
                "treatment",
                "replicate",
                "fraction",
                pl.col("protein").alias("protein_group"),
                pl.col("intensity").alias("quantity"),
                _boolean("interpolated"),
                "gene",
                pl.lit(None, pl.String).alias("run"),
            )
        )
    rows = _some(pl.concat(parts), file)
    return [
        _replicate(part, labels, file, context, tuple(defects), kind=QuantityKind.SEC_INTENSITY)
        for labels, part in _by_labels(rows, ["sample", "treatment"])
    ]


def read_msstats(stream: BinaryIO, file: str, *, context: str = "") -> list[Replicate]:
    """The replicates of an MSstats feature table: the sum of the features' intensities per protein and run.

    The fraction is the one in the run's name, else in the sample's. A protein without intensity in a run is missing.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    parts: list[pl.DataFrame] = []
    defects: list[Defect] = []
    runs: dict[str, int | None] = {}
    for text in _blocks(stream, file, MSSTATS_COLUMNS):
        extra = ["Sample"] if "Sample" in text.header else []
        frame, found = read_columns(text, ["Condition", "Run", "BioReplicate", "ProteinName", *extra], ["Intensity"])
        if not extra:
            frame = frame.with_columns(pl.lit(None, pl.String).alias("Sample"))
        frame = frame.with_columns(pl.Series("line", text.line_numbers, pl.Int64))
        for run, sample in frame.select("Run", "Sample").unique().iter_rows():
            runs.setdefault(run, fraction_of(run or "") or fraction_of(sample or ""))
        frame = frame.with_columns(
            pl.col("Run").replace_strict(runs, return_dtype=pl.Int16).alias("fraction"),
            pl.col("BioReplicate").str.extract(_DIGITS).cast(pl.Int16, strict=False).alias("replicate"),
        )
        defects += [*text.defects, *found, *_unusable(frame, file, fraction="Run", group="ProteinName")]
        usable = frame.filter(_has_group("ProteinName"), pl.col("fraction") >= 1)
        parts.append(_summed(usable.rename({"ProteinName": "protein_group", "Intensity": "quantity"})))
        if sum(part.height for part in parts) > _MERGE_ROWS:
            parts = [_summed(pl.concat(parts))]
    rows = _some(_summed(pl.concat(parts)), file).with_columns(
        pl.col("Run").alias("run"),
        pl.lit(None, pl.Boolean).alias("interpolated"),
        pl.lit(None, pl.String).alias("gene"),
    )
    return [
        _replicate(part, labels, file, context, tuple(defects), kind=QuantityKind.FEATURE_INTENSITY_SUM)
        for labels, part in _by_labels(rows, ["Condition"])
    ]


def _blocks(stream: BinaryIO, file: str, wanted: tuple[str, ...]) -> Iterator[Text]:
    for text in read_blocks(stream, file):
        absent = [name for name in wanted if name not in text.header]
        if absent:
            raise TableDamagedError(file, "there is no such column", column=absent[0])
        yield text


def _summed(frame: pl.DataFrame) -> pl.DataFrame:
    """Sums over features, null where no feature has an intensity."""
    keys = ["Condition", "replicate", "Run", "fraction", "protein_group"]
    total = pl.when(pl.col("quantity").count() > 0).then(pl.col("quantity").sum())
    return frame.group_by(keys, maintain_order=True).agg(total.alias("quantity"))


def _has_group(column: str) -> pl.Expr:
    return pl.col(column).str.contains(r"[^;|\s]").fill_null(value=False)


def _boolean(column: str) -> pl.Expr:
    value = pl.col(column).str.to_lowercase()
    return (
        pl.when(value.is_in(_TRUE))
        .then(pl.lit(value=True))
        .when(value.is_in(_FALSE))
        .then(pl.lit(value=False))
        .alias(column)
    )


def _unusable(frame: pl.DataFrame, file: str, *, fraction: str, group: str) -> Iterable[Defect]:
    """Rows that name no protein or no fraction, which are left out."""
    for kind, column, bad, what in (
        (NO_GROUP, group, ~_has_group(group), "no protein group"),
        (NO_FRACTION, fraction, ~(pl.col("fraction") >= 1).fill_null(value=False), "no number of a fraction"),
    ):
        for line in frame.filter(bad)["line"].head(1000):
            yield Defect(kind, file, line, column, f"{what}; the line is left out")


def _some(rows: pl.DataFrame, file: str) -> pl.DataFrame:
    if rows.is_empty():
        raise TableDamagedError(file, "no row has both a protein and a fraction")
    return rows


def _by_labels(rows: pl.DataFrame, labels: list[str]) -> list[tuple[tuple[str, ...], pl.DataFrame]]:
    """The rows of each replicate, with its distinct labels.

    Labels that name single fractions (Parental_Rep1_F07) belong to one replicate: a fraction is taken off first.
    """
    keys = [pl.col(name).fill_null("").str.replace(_SERIES.pattern, "") for name in labels]
    parts = rows.with_columns(key.alias(f"_{name}") for key, name in zip(keys, labels, strict=True)).partition_by(
        [*(f"_{name}" for name in labels), "replicate"], maintain_order=True, as_dict=True, include_key=False
    )
    return [
        (tuple(str(label) for label in key[:-1]), part.with_columns(pl.lit(key[-1]).cast(pl.Int16).alias("replicate")))
        for key, part in parts.items()
    ]


def _replicate(
    rows: pl.DataFrame,
    labels: tuple[str, ...],
    file: str,
    context: str,
    defects: tuple[Defect, ...],
    *,
    kind: QuantityKind,
) -> Replicate:
    """One replicate from its rows: `protein_group`, `fraction`, `quantity`, `interpolated`, `run`, `gene`."""
    rows = rows.with_columns(
        pl.int_range(pl.len()).over("protein_group", "fraction").cast(pl.Int16).alias("occurrence")
    )
    groups = rows.group_by("protein_group", "occurrence", maintain_order=True).agg(
        pl.col("gene").drop_nulls().unique(maintain_order=True), (pl.col("quantity") < 0).any().alias("negative")
    ).with_row_index("row")  # fmt: skip
    placed = rows.join(groups.select("row", "protein_group", "occurrence"), on=["protein_group", "occurrence"])
    fractions = np.unique(rows["fraction"].to_numpy())
    at = (placed["row"].to_numpy(), np.searchsorted(fractions, placed["fraction"].to_numpy()))
    quantities = np.full((groups.height, len(fractions)), np.nan)
    quantities[at] = placed["quantity"].fill_null(np.nan).to_numpy()
    marks = None
    if not rows["interpolated"].null_count():
        marks = np.zeros(quantities.shape, dtype=bool)
        marks[at] = placed["interpolated"].to_numpy()
    number = rows["replicate"][0]
    run_of = dict(rows.select("fraction", "run").unique(subset="fraction").iter_rows())
    series = sorted({_SERIES.sub("", run) for run in run_of.values() if run})
    sample = labelled_sample((*labels, *series), number, f"{context} {file}")
    stem = re.sub(r"\.(?:csv|tsv)$", "", file.rsplit("/", 1)[-1])
    elution = Elution(
        replicate_id=sample.identity("_".join([stem, *filter(None, labels), *([str(number)] if number else [])])),
        sample=sample,
        groups=groups.select("protein_group", "occurrence"),
        fractions=fractions.astype(np.int16),
        runs=tuple(run_of[fraction] for fraction in fractions.tolist()),
        quantities=quantities,
        interpolated=marks,
        quantity_kind=kind,
    )
    return Replicate(elution, _identifiers(groups), file, defects)


def _identifiers(groups: pl.DataFrame) -> pl.DataFrame:
    flags = {"duplicate_group": pl.col("occurrence") > 0, "negative_quantity": pl.col("negative")}
    return groups.select(
        members("protein_group").alias("members"),
        (pl.col("protein_group").str.count_matches("|", literal=True) + 1).cast(pl.Int16).alias("alternatives"),
        pl.when(pl.col("gene").list.len() > 0).then("gene").alias("gene_symbols"),
        *(pl.lit(None, pl.List(pl.String)).alias(name) for name in IDENTIFIERS if name != "gene_symbols"),
        pl.lit(None, pl.String).alias("group_label"),
        pl.lit(None, pl.Int64).alias("source_line"),
        flag_list(flags),
    )
