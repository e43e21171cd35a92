"""Elution profiles in memory: one replicate as a matrix of protein groups by fractions, and its peaks.

Belongs here: the matrix and what is computed on it at once for all groups. Does not belong here: reading tables, the
published columns (`rows`), comparing replicates (`correlation`). A missing quantity is NaN here and null in tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, TypeVar

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.proteomics.names import Sample
from cm4ai_assets.proteomics.packages import NOWHERE, SourceFile
from cm4ai_assets.vocabulary import CellLine, CellType, QuantityKind

Matrix: TypeAlias = "npt.NDArray[np.float64]"
Marks: TypeAlias = "npt.NDArray[np.int8]"
NOT_STATED = -1
EXTRAS = ("fraction_mass", "norm_intensity", "standard_fraction")
"""Columns of `secms_profiles` that only sec.csv has."""

# A peak is at least a tenth of the highest, and the profile falls to half of the lower one between two of them.
PEAK_HEIGHT = 0.1
PEAK_VALLEY = 0.5

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True)
class Elution:
    """The profiles of one replicate: a row per protein group, a column per measured fraction, in ascending order.

    `groups` has the columns `protein_group` and `occurrence`; `runs` names the MS run of each fraction where known;
    `interpolated` marks values that the producer filled in: 1 filled in, 0 measured, NOT_STATED where a mark cannot be
    read; None where the table has none. `extras` are further numbers per group and fraction, of EXTRAS, as published.
    """

    replicate_id: str
    sample: Sample
    groups: pl.DataFrame
    fractions: npt.NDArray[np.int16]
    runs: tuple[str | None, ...]
    quantities: Matrix
    interpolated: Marks | None
    quantity_kind: QuantityKind
    extras: Mapping[str, Matrix] = field(default_factory=dict)
    source_file: SourceFile = NOWHERE

    @property
    def family(self) -> tuple[str | None, str | None, str | None, QuantityKind]:
        """Cell line, cell type, condition and kind of quantity: replicates of one family measure the same thing."""
        return (self.sample.cell_line, self.sample.cell_type, self.sample.condition, self.quantity_kind)


def smoothed(quantities: Matrix) -> Matrix:
    """The mean over three neighbouring fractions (two at the ends), missing as zero: no single spikes."""
    filled = np.nan_to_num(quantities, nan=0.0)
    total = filled.copy()
    total[:, 1:] += filled[:, :-1]
    total[:, :-1] += filled[:, 1:]
    neighbours = np.full(filled.shape[1], 3.0)
    neighbours[[0, -1]] = 2.0 if filled.shape[1] > 1 else 1.0
    total /= neighbours
    return total


def peaks(quantities: Matrix) -> npt.NDArray[np.bool_]:
    """Where each profile has its peaks.

    One pass over the fractions for all profiles at once. While rising, the largest value so far is remembered; when the
    profile has fallen to half of it, it was a peak. While falling, the smallest is remembered; when the profile has
    risen to twice that, and to a tenth of the highest, it is rising again. What is rising at the end is a peak as well.
    """
    shape = smoothed(quantities)
    groups = np.arange(len(shape))
    marks = np.zeros(shape.shape, dtype=bool)
    least = PEAK_HEIGHT * shape.max(axis=1, initial=0.0)
    rising = np.ones(len(shape), dtype=bool)
    top, low = np.zeros(len(shape)), np.zeros(len(shape))
    top_at = np.zeros(len(shape), dtype=np.int64)
    for at in range(shape.shape[1]):
        value = shape[:, at]
        again = ~rising & (value >= low / PEAK_VALLEY) & (value >= least) & (value > 0)
        low = np.minimum(low, value)
        higher = again | (rising & (value > top))
        top, top_at = np.where(higher, value, top), np.where(higher, at, top_at)
        rising |= again
        fallen = rising & (top > 0) & (top >= least) & (value <= top * PEAK_VALLEY)
        marks[groups[fallen], top_at[fallen]] = True
        rising &= ~fallen
        low = np.where(fallen, value, low)
    last = rising & (top > 0) & (top >= least)
    marks[groups[last], top_at[last]] = True
    return marks


def from_profiles(profiles: pl.DataFrame) -> list[Elution]:
    """The replicates of a `secms_profiles` table, in its order.

    Each group of a replicate has the same fractions, in ascending order, as `rows.profile_rows` makes them.
    """
    replicates = []
    for part in profiles.partition_by("replicate_id", "quantity_kind", maintain_order=True):
        fractions = np.unique(part["fraction"].to_numpy()).astype(np.int16)
        width = len(fractions)
        first = part.row(0, named=True)
        sample = Sample(
            _member(CellLine, first["cell_line"]),
            _member(CellType, first["cell_type"]),
            _member(Condition, first.get("condition")),
            first["replicate"],
        )
        marks = part["interpolated"]
        replicates.append(
            Elution(
                replicate_id=first["replicate_id"],
                sample=sample,
                groups=part.select("protein_group", "occurrence").gather_every(width),
                fractions=fractions,
                runs=tuple(part["run"][:width]),
                quantities=part["quantity"].fill_null(np.nan).to_numpy().reshape(-1, width),
                interpolated=marks.cast(pl.Int8).fill_null(NOT_STATED).to_numpy().reshape(-1, width)
                if marks.count()
                else None,
                quantity_kind=QuantityKind(first["quantity_kind"]),
            )
        )
    return replicates


def _member(vocabulary: type[_Word], value: str | None) -> _Word | None:
    return None if value is None else vocabulary(value)
