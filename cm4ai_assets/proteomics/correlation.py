"""Comparing replicates: do the profiles of the same protein groups look alike, at the same fractions?

Belongs here: the correlation of two replicates, at equal fractions and at shifted ones. Does not belong here: what
follows from it (`findings`), how it is drawn (`pictures`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import polars as pl

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.proteomics.elution import Elution, Matrix

LARGEST_SHIFT = 6
# Fewer protein groups or fractions in common than this say nothing about two replicates.
LEAST_GROUPS, LEAST_FRACTIONS = 10, 10


@dataclass(frozen=True, slots=True)
class PairCorrelation:
    """How alike two replicates are.

    `median`, `low` and `high` are the median, 10th and 90th percentile of the correlation of profiles over the protein
    groups that both have, on the fractions that both measured; None where too few are common. `shift` is the number of
    fractions by which the second has to be moved for the highest median, `shifted_median` that median.
    """

    first: str
    second: str
    groups: int
    fractions: int
    median: float | None
    low: float | None
    high: float | None
    shift: int
    shifted_median: float | None

    def as_row(self) -> dict[str, object]:
        """The pair as a row for a person."""
        return {name: getattr(self, name) for name in self.__slots__}


def pairs_of(replicates: Sequence[Elution]) -> list[PairCorrelation]:
    """Every pair of replicates of one family (same cells, condition and kind of quantity), in order."""
    ids = Counter(one.replicate_id for one in replicates)
    return [
        replace(compare(one, other), first=_name(one, ids), second=_name(other, ids))
        for one, other in combinations(replicates, 2)
        if one.family == other.family
    ]


def _name(one: Elution, ids: Counter[str]) -> str:
    """The replicate's id, with the kind of its quantities where two tables hold it."""
    return one.replicate_id if ids[one.replicate_id] == 1 else f"{one.replicate_id} ({one.quantity_kind})"


def compare(first: Elution, second: Elution) -> PairCorrelation:
    """Two replicates, on what both have.

    Where a group was not quantified it did not elute in a detectable amount: for the shape of a profile, and only here,
    missing counts as zero.
    """
    rows = first.groups.with_row_index("first").join(
        second.groups.with_row_index("second"), on=["protein_group", "occurrence"], maintain_order="left"
    )
    one = np.nan_to_num(first.quantities[rows["first"].to_numpy()])
    other = np.nan_to_num(second.quantities[rows["second"].to_numpy()])
    medians: dict[int, float] = {}
    values: npt.NDArray[np.float64] = np.empty(0)
    common = 0
    for shift in sorted(range(-LARGEST_SHIFT, LARGEST_SHIFT + 1), key=abs):
        _, at_first, at_second = np.intersect1d(first.fractions, second.fractions + shift, return_indices=True)
        if shift == 0:
            common = len(at_first)
        if len(at_first) < LEAST_FRACTIONS or rows.height < LEAST_GROUPS:
            continue
        found = correlations(one[:, at_first], other[:, at_second])
        if len(found) >= LEAST_GROUPS:
            medians[shift] = float(np.median(found))
            values = found if shift == 0 else values
    best = max(medians, key=lambda shift: (medians[shift], -abs(shift)), default=0)
    low, high = np.percentile(values, (10, 90)).tolist() if len(values) else (None, None)
    return PairCorrelation(
        first.replicate_id, second.replicate_id, rows.height, common,
        medians.get(0), low, high, best, medians.get(best),
    )  # fmt: skip


def correlations(one: Matrix, other: Matrix) -> npt.NDArray[np.float64]:
    """Pearson's r of each row with the same row of the other matrix; rows without variation are left out."""
    one = one - one.mean(axis=1, keepdims=True)
    other = other - other.mean(axis=1, keepdims=True)
    norms = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
    varying = norms > 0
    return np.asarray((one * other).sum(axis=1)[varying] / norms[varying])


def as_frame(pairs: Sequence[PairCorrelation]) -> pl.DataFrame:
    """The pairs as a frame."""
    text, number = pl.String(), pl.Float64()
    schema = {"first": text, "second": text, "groups": pl.Int32(), "fractions": pl.Int16(), "median": number,
              "low": number, "high": number, "shift": pl.Int16(), "shifted_median": number}  # fmt: skip
    return pl.DataFrame([pair.as_row() for pair in pairs], schema=schema, orient="row")
