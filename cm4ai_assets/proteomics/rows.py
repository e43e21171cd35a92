"""From a replicate in memory to the rows of `secms_profiles` and `secms_proteins`.

Belongs here: the published columns of both tables. Does not belong here: reading reports (`spectronaut`, `longtables`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cm4ai_assets.heavy import np, npt, pa
from cm4ai_assets.proteomics.elution import EXTRAS, NOT_STATED, Elution, Marks, peaks
from cm4ai_assets.proteomics.problems import Defects
from cm4ai_assets.tables.proteomics import SECMS_PROFILES, SECMS_PROTEINS

IDENTIFIERS = ("accessions", "uniprot_ids", "gene_symbols", "protein_names")


@dataclass(frozen=True)
class Replicate:
    """One replicate as it was read.

    `identifiers` has a row per protein group of `elution`: `members`, `alternatives`, the lists of IDENTIFIERS,
    `group_label`, `source_line` and `defects`. `defects` are those of the file it comes from.
    """

    elution: Elution
    identifiers: pl.DataFrame
    source_file: str
    defects: Defects


def profile_rows(elution: Elution) -> pl.DataFrame:
    """The replicate's rows of `secms_profiles`, without the partition columns: groups in order, fractions ascending."""
    height, width = elution.quantities.shape
    row = np.repeat(np.arange(height, dtype=np.uint32), width)
    fraction = np.tile(np.arange(width, dtype=np.uint32), height)
    marks = elution.interpolated
    frame = pl.DataFrame(
        [
            elution.groups["protein_group"].gather(row),
            elution.groups["occurrence"].gather(row),
            pl.Series("fraction", elution.fractions[fraction], dtype=pl.Int16),
            pl.Series("run", list(elution.runs), dtype=pl.String).gather(fraction),
            pl.Series("quantity", np.ascontiguousarray(elution.quantities).ravel(), nan_to_null=True),
        ]
    )
    frame = frame.with_columns(
        *_constants(elution),
        pl.lit(None, pl.Boolean).alias("interpolated") if marks is None else _booleans(marks),
        *(
            pl.Series(name, np.ascontiguousarray(elution.extras[name]).ravel(), nan_to_null=True)
            if name in elution.extras
            else pl.lit(None, pl.Float64).alias(name)
            for name in EXTRAS
        ),
    )
    return frame.select([column.name for column in SECMS_PROFILES.own_columns])


def protein_rows(replicate: Replicate) -> pl.DataFrame:
    """The replicate's rows of `secms_proteins`, without the partition columns."""
    elution = replicate.elution
    quantities, fractions = elution.quantities, elution.fractions
    measured = ~np.isnan(quantities)
    own = measured if elution.interpolated is None else measured & (elution.interpolated != 1)
    filled = np.nan_to_num(quantities, nan=-np.inf)
    apex = filled.argmax(axis=1)
    apex_quantity = filled[np.arange(len(filled)), apex]
    has_apex = apex_quantity > 0
    marks = peaks(quantities)
    quantified = own.sum(axis=1)
    frame = pl.DataFrame(
        {
            "first_fraction": np.full(len(quantities), fractions[0]),
            "last_fraction": np.full(len(quantities), fractions[-1]),
            "measured_fractions": np.full(len(quantities), len(fractions)),
            "quantified_fractions": quantified,
            "zero_fractions": (own & (quantities == 0)).sum(axis=1),
            "coverage": quantified / len(fractions),
            "total": np.where(measured.any(axis=1), np.nansum(quantities, axis=1), np.nan),
            "apex_fraction": np.where(has_apex, fractions[apex], np.nan),
            "apex_quantity": np.where(has_apex, apex_quantity, np.nan),
            "peak_count": marks.sum(axis=1),
            "peak_fractions": pl.Series(_fractions_of(marks, fractions)),
        },
        nan_to_null=True,
    )
    frame = pl.concat([elution.groups, replicate.identifiers, frame], how="horizontal").with_columns(
        *_constants(elution),
        pl.lit(replicate.source_file).alias("source_file"),
        pl.lit(quantified == 0).alias("_empty"),
        (pl.col("members").list.len() > 1).alias("is_ambiguous"),
    )
    frame = frame.with_columns(
        pl.when("_empty")
        .then(pl.col("defects").list.concat(pl.lit(["never_quantified"])))
        .otherwise("defects")
        .alias("defects")
    )
    return frame.select(pl.col(column.name).cast(column.dtype) for column in SECMS_PROTEINS.own_columns)


def _constants(elution: Elution) -> list[pl.Expr]:
    sample = elution.sample
    return [
        pl.lit(elution.replicate_id).alias("replicate_id"),
        pl.lit(sample.cell_line, pl.String()).alias("cell_line"),
        pl.lit(sample.cell_type, pl.String()).alias("cell_type"),
        pl.lit(sample.replicate, pl.Int16()).alias("replicate"),
        pl.lit(elution.quantity_kind).alias("quantity_kind"),
        pl.lit(elution.source_file.file_id, pl.Int64()).alias("source_file_id"),
        pl.lit(elution.source_file.sha256, pl.String()).alias("source_sha256"),
    ]


def _booleans(marks: Marks) -> pl.Series:
    values = pl.Series("interpolated", np.ascontiguousarray(marks).ravel())
    return (values == 1).set(values == NOT_STATED, None)


def _fractions_of(marks: npt.NDArray[np.bool_], fractions: npt.NDArray[np.int16]) -> pa.ListArray:
    offsets = np.concatenate(([0], np.cumsum(marks.sum(axis=1)))).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, fractions[np.nonzero(marks)[1]])
