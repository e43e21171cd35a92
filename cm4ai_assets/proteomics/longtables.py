"""Long tables of KOLF2.1J cells: `sec.csv`, a row per protein and fraction, and the MSstats table, a row per feature.

Both are read in blocks: the MSstats table has a row per fragment ion and run. Does not belong here: wide reports
(`spectronaut`), and making replicates of the rows (`longrows`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import polars as pl

from cm4ai_assets.proteomics.columns import note_lines, read_columns, whole_number
from cm4ai_assets.proteomics.longrows import EXTRAS, by_labels, replicate_of, series_of
from cm4ai_assets.proteomics.names import fraction_of
from cm4ai_assets.proteomics.problems import (
    BAD_MARK,
    BAD_VALUE,
    FRACTIONS_DISAGREE,
    NO_FRACTION,
    NO_GROUP,
    NON_NUMERIC,
    Defects,
    TableDamagedError,
)
from cm4ai_assets.proteomics.rows import Replicate
from cm4ai_assets.proteomics.text import Text, read_blocks
from cm4ai_assets.vocabulary import QuantityKind

SEC_COLUMNS = ("sample", "treatment", "replicate", "fraction", "protein", "intensity")
MSSTATS_COLUMNS = ("Condition", "Run", "BioReplicate", "ProteinName", "Intensity")
# Columns of sec.csv whose meaning the crate does not state, kept as published (`secms_profiles`).
_SEC_EXTRAS = dict(zip(("fractionMass", "norm.intensity", "standardFraction"), EXTRAS, strict=True))
_OPTIONAL_SEC = ("interpolated", "gene", *_SEC_EXTRAS)
_DIGITS = r"^\D*(\d+)\D*$"
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
# Partial sums of the MSstats table are merged when this many rows have come together.
_MERGE_ROWS = 4_000_000
_HAS_GROUP = pl.col("protein_group").str.contains(r"[^;|\s]").fill_null(value=False)


def is_sec(header: tuple[str, ...]) -> bool:
    """The columns are those of sec.csv."""
    return set(SEC_COLUMNS) <= set(header)


def is_msstats(header: tuple[str, ...]) -> bool:
    """The columns are those of an MSstats feature table."""
    return set(MSSTATS_COLUMNS) <= set(header)


def read_sec(stream: BinaryIO, file: str, *, context: str = "") -> list[Replicate]:
    """The replicates of a sec.csv.

    Its quantity is the column `intensity`; values that the column `interpolated` marks are kept and marked. Of the
    other columns the crate does not say what they hold: `fractionMass`, `norm.intensity` and `standardFraction` are
    kept as published, the rest (scaled and interpolated variants of the intensity) is not read.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    parts, defects = [], Defects()
    for text in _blocks(stream, file, SEC_COLUMNS, defects):
        optional = [name for name in _OPTIONAL_SEC if name in text.header]
        strings = ["sample", "treatment", "replicate", "fraction", "protein", *optional]
        frame, found = read_columns(text, strings, ["intensity"])
        frame = frame.rename({"protein": "protein_group", "intensity": "quantity"}).with_columns(
            pl.Series("line", text.line_numbers, pl.Int64),
            whole_number("fraction", pl.Int16()),
            pl.col("replicate").str.extract(_DIGITS).cast(pl.Int16, strict=False),
            *(pl.lit(None, pl.String).alias(name) for name in _OPTIONAL_SEC if name not in optional),
        )
        frame = _marked(frame.with_columns(_non_numeric(found)), file, found)
        frame = _with_extras(frame, file, found)
        parts.append(_placed(frame, file, found, pl.lit(value=False)).drop("protein", strict=False))
        defects.update(found)
    rows = _some(pl.concat(parts), file).with_columns(
        (pl.col("quantity") < 0).fill_null(value=False).alias("negative"), pl.lit(None, pl.String).alias("run")
    )
    return [
        replicate_of(part, labels, file, context, defects, kind=QuantityKind.SEC_INTENSITY)
        for labels, part in by_labels(rows, ["sample", "treatment"])
    ]


def read_msstats(stream: BinaryIO, file: str, *, context: str = "") -> list[Replicate]:
    """The replicates of an MSstats feature table: the sum of the features' intensities per protein, run and fraction.

    The fraction of a row is the one that its run's name states, or its sample's; where they state two, it is not known
    and the row is left out. A protein without intensity in a fraction is missing.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    parts: list[pl.DataFrame] = []
    defects = Defects()
    samples: set[tuple[str | None, int | None, str]] = set()
    for text in _blocks(stream, file, MSSTATS_COLUMNS, defects):
        extra = ["Sample"] if "Sample" in text.header else []
        frame, found = read_columns(text, ["Condition", "Run", "BioReplicate", "ProteinName", *extra], ["Intensity"])
        frame = frame.rename({"ProteinName": "protein_group", "Intensity": "quantity", "Run": "run"})
        frame = frame.with_columns(pl.Series("line", text.line_numbers, pl.Int64)).with_columns(
            pl.col("BioReplicate").str.extract(_DIGITS).cast(pl.Int16, strict=False).alias("replicate"),
            _non_numeric(found),
            *([] if extra else [pl.lit(None, pl.String).alias("Sample")]),
        )
        frame = _fractions(frame)
        usable = _placed(frame, file, found, pl.col("contradicts"))
        named = usable.select("Condition", "replicate", "Sample").unique().drop_nulls("Sample")
        samples.update((condition, number, series_of(sample)) for condition, number, sample in named.iter_rows())
        parts.append(_summed(usable.with_columns((pl.col("quantity") < 0).alias("negative"))))
        if sum(part.height for part in parts) > _MERGE_ROWS:
            parts = [_summed(pl.concat(parts))]
        defects.update(found)
    rows = _some(_summed(pl.concat(parts)), file).sort("run", maintain_order=True).with_columns(
        *(pl.lit(None, pl.Boolean).alias(name) for name in ("interpolated", "bad_mark")),
        pl.lit(None, pl.String).alias("gene"),
        *(pl.lit(None, pl.Float64).alias(name) for name in EXTRAS),
    )  # fmt: skip
    replicates = []
    for labels, part in by_labels(rows, ["Condition"]):
        number = part["replicate"][0]
        own = sorted({sample for condition, of, sample in samples if (condition or "", of) == (labels[0], number)})
        replicates.append(
            replicate_of(part, (*labels, *own), file, context, defects, kind=QuantityKind.FEATURE_INTENSITY_SUM)
        )
    return replicates


def _blocks(stream: BinaryIO, file: str, wanted: tuple[str, ...], defects: Defects) -> Iterator[Text]:
    for text in read_blocks(stream, file):
        absent = [name for name in wanted if name not in text.header]
        if absent:
            raise TableDamagedError(file, "there is no such column", line=text.header_line, column=absent[0])
        defects.update(text.defects)
        yield text


def _non_numeric(found: Defects) -> pl.Expr:
    return pl.col("line").is_in(found.lines(NON_NUMERIC).tolist()).alias("non_numeric")


def _marked(frame: pl.DataFrame, file: str, found: Defects) -> pl.DataFrame:
    """The column `interpolated` as true, false, or null where it is neither."""
    value = pl.col("interpolated").str.strip_chars().str.to_lowercase()
    read = pl.when(value.is_in(_TRUE)).then(pl.lit(value=True)).when(value.is_in(_FALSE)).then(pl.lit(value=False))
    bad = value.is_not_null() & read.is_null()
    note_lines(found, frame, bad, kind=BAD_MARK, file=file, column="interpolated",
               detail="neither TRUE nor FALSE; not known whether the value was measured")  # fmt: skip
    return frame.with_columns(read.alias("interpolated"), bad.fill_null(value=False).alias("bad_mark"))


def _with_extras(frame: pl.DataFrame, file: str, found: Defects) -> pl.DataFrame:
    """The columns that are kept as published, as numbers; what is none is missing and noted."""
    for name, target in _SEC_EXTRAS.items():
        number = pl.col(name).str.strip_chars().cast(pl.Float64, strict=False)
        bad = pl.col(name).is_not_null() & number.is_null()
        note_lines(found, frame, bad, kind=BAD_VALUE, file=file, column=name, detail="is not a number; missing")
        frame = frame.with_columns(pl.when(number.is_finite()).then(number).alias(target))
    return frame


def _fractions(frame: pl.DataFrame) -> pl.DataFrame:
    """The fraction of each row, and whether its run and its sample contradict each other on it."""
    pairs = frame.select("run", "Sample").unique(maintain_order=True)
    stated = [(fraction_of(run or ""), fraction_of(sample or "")) for run, sample in pairs.iter_rows()]
    pairs = pairs.with_columns(
        pl.Series("contradicts", [bool(one and other and one != other) for one, other in stated], pl.Boolean),
        pl.Series("fraction", [None if one and other and one != other else one or other for one, other in stated],
                  pl.Int16),
    )  # fmt: skip
    return frame.join(pairs, on=["run", "Sample"], how="left", nulls_equal=True, maintain_order="left")


def _placed(frame: pl.DataFrame, file: str, found: Defects, contradicts: pl.Expr) -> pl.DataFrame:
    """The rows that name a protein and a fraction; the others are left out and noted, each once."""
    has_fraction = (pl.col("fraction") >= 1).fill_null(value=False)
    for kind, column, bad, what in (
        (NO_GROUP, "protein", ~_HAS_GROUP, "no protein group"),
        (NO_FRACTION, "fraction", _HAS_GROUP & ~has_fraction & ~contradicts, "no number of a fraction"),
        (FRACTIONS_DISAGREE, "fraction", _HAS_GROUP & contradicts, "run and sample state two fractions"),
    ):
        note_lines(found, frame, bad, kind=kind, file=file, column=column, detail=f"{what}; the line is left out")
    kept = frame.filter(_HAS_GROUP & has_fraction)
    found.lost += frame.height - kept.height
    return kept


def _summed(frame: pl.DataFrame) -> pl.DataFrame:
    """Sums over features, null where no feature has an intensity."""
    keys = ["Condition", "replicate", "run", "fraction", "protein_group"]
    total = pl.when(pl.col("quantity").count() > 0).then(pl.col("quantity").sum())
    return frame.group_by(keys, maintain_order=True).agg(
        total.alias("quantity"), pl.col("negative", "non_numeric").fill_null(value=False).any()
    )


def _some(rows: pl.DataFrame, file: str) -> pl.DataFrame:
    if rows.is_empty():
        raise TableDamagedError(file, "no row has both a protein and a fraction")
    return rows
