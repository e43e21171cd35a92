"""How much of a target's expression is left, against the controls of the same batches, with an interval.

Belongs here: the ratio, its interval, and how batches are taken together. Does not belong here: what is summed
(`passes`), and other genes than a target's own (`statistics`). docs/decisions/0022 weighs the method.

Of a gene in a group of cells with counts c and depths N (all counts of a cell) the share is p = sum(c) / sum(N). What
is left is the share in a target's cells over that in the controls. Over several batches it is the counts that were seen
over those expected, had every cell of each batch the share of that batch's controls. The interval is that of the
logarithm, from the variance of a ratio of sums over cells; where nothing was seen, from Poisson's law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq.passes import Sums

NORMAL_95: Final = 1.959963984540054
NONE_SEEN_95: Final = 3.688879454113936
"""Upper end of the 95 % interval of a Poisson mean of which nothing was seen: -log(0.025)."""

Floats: TypeAlias = "npt.NDArray[np.float64]"


@dataclass(frozen=True)
class Remaining:
    """What is left of each target's expression; NaN where it cannot be said.

    Attributes:
        value: Of all batches with controls: shape (targets,). `low`, `high`: its 95 % interval.
        by_batch: Of each batch: shape (targets, batches). `batch_low`, `batch_high`: their intervals.
        seen: Counts of the own gene: shape (targets, batches).
        in_controls: Counts of the own gene in the controls: shape (targets, batches).
    """

    value: Floats
    low: Floats
    high: Floats
    by_batch: Floats
    batch_low: Floats
    batch_high: Floats
    seen: Floats
    in_controls: Floats


@dataclass(frozen=True)
class _Depths:
    """Cells, depths and squared depths of each target and batch."""

    cells: Floats
    sums: Floats
    squares: Floats


def remaining(sums: Sums) -> Remaining:
    """What is left of each target's own gene, from the sums of a pass."""
    groups = sums.groups
    shape = (len(groups.targets), len(groups.batches))
    if groups.control < 0:
        none, pairs = np.full(shape[0], np.nan), np.full(shape, np.nan)
        return Remaining(none, none, none, pairs, pairs, pairs, sums.own[..., 0], pairs)
    depths = _depths(sums, shape)
    measured = groups.target_genes >= 0
    controls = sums.controls[:, np.maximum(groups.target_genes, 0)].transpose(1, 0, 2)
    of_controls = _Depths(*(part[groups.control][None].repeat(shape[0], axis=0) for part in _parts(depths)))
    share, spread = _share(controls, of_controls)
    usable = measured[:, None] & (share > 0)
    seen, seen_spread = sums.own[..., 0], _spread(sums.own, depths)
    expected = np.where(usable, depths.sums * share, 0.0)
    expected_spread = np.where(usable, depths.sums**2 * spread, 0.0)
    counted, counted_spread = np.where(usable, seen, 0.0), np.where(usable, seen_spread, 0.0)
    whole = _ratio(counted.sum(1), counted_spread.sum(1), expected.sum(1), expected_spread.sum(1))
    batches = _ratio(counted, counted_spread, expected, expected_spread)
    return Remaining(*whole, *batches, seen, np.where(measured[:, None], controls[..., 0], np.nan))


def remaining_of_guides(sums: Sums) -> Floats:
    """What is left of its target's gene in the cells of each guide: against the controls of the same batches."""
    groups = sums.groups
    arms = len(groups.arms)
    if groups.control < 0 or not arms:
        return np.full(arms, np.nan)
    batches = len(groups.batches)
    flat = groups.arm_of_cell.astype(np.int64) * batches + groups.batch_of_cell
    by_batch = np.bincount(flat, sums.depths, minlength=(arms + 1) * batches).reshape(-1, batches)[:-1]
    genes = groups.target_genes[[arm.target for arm in groups.arms]]
    depth = _depths(sums, (len(groups.targets), batches)).sums[groups.control]
    in_controls = sums.controls[:, np.maximum(genes, 0), 0].T
    share = np.divide(in_controls, depth, out=np.zeros_like(in_controls), where=(depth > 0) & (genes >= 0)[:, None])
    expected = (by_batch * share).sum(axis=1)
    seen = np.where(share > 0, sums.own_arms, 0.0).sum(axis=1)
    return np.asarray(np.divide(seen, expected, out=np.full(arms, np.nan), where=expected > 0))


def _parts(depths: _Depths) -> tuple[Floats, Floats, Floats]:
    return depths.cells, depths.sums, depths.squares


def _depths(sums: Sums, shape: tuple[int, int]) -> _Depths:
    groups = sums.groups
    flat = groups.target_of_cell.astype(np.int64) * shape[1] + groups.batch_of_cell
    size = (shape[0] + 1) * shape[1]

    def summed(weights: Floats) -> Floats:
        return np.bincount(flat, weights, minlength=size).astype(np.float64).reshape(-1, shape[1])[:-1]

    return _Depths(groups.cells.astype(np.float64), summed(sums.depths), summed(sums.depths**2))


def _share(counts: Floats, depths: _Depths) -> tuple[Floats, Floats]:
    """The share of the counts of a group of cells that are the gene's, and its variance."""
    share = np.divide(counts[..., 0], depths.sums, out=np.zeros(depths.sums.shape), where=depths.sums > 0)
    squares = np.where(depths.sums > 0, depths.sums, 1.0) ** 2
    return share, _spread(counts, depths) / squares


def _spread(counts: Floats, depths: _Depths) -> Floats:
    """Variance of the sum of counts less its expectation from depth: of cell to cell, at least Poisson's."""
    share = np.divide(counts[..., 0], depths.sums, out=np.zeros(depths.sums.shape), where=depths.sums > 0)
    residuals = counts[..., 1] - 2 * share * counts[..., 2] + share**2 * depths.squares
    correction = np.divide(depths.cells, depths.cells - 1, out=np.ones(depths.cells.shape), where=depths.cells > 1)
    return np.asarray(np.maximum(residuals * correction, counts[..., 0]))


def _ratio(
    seen: Floats, seen_spread: Floats, expected: Floats, expected_spread: Floats
) -> tuple[Floats, Floats, Floats]:
    """Seen over expected, and the interval of it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(expected > 0, seen / expected, np.nan)
        error = np.sqrt(seen_spread / seen**2 + expected_spread / expected**2)
        low, high = ratio * np.exp(-NORMAL_95 * error), ratio * np.exp(NORMAL_95 * error)
        none_seen = (seen == 0) & (expected > 0)
        low, high = np.where(none_seen, 0.0, low), np.where(none_seen, NONE_SEEN_95 / expected, high)
    return ratio, low, high
