"""How alike the guides of one target are: correlation of their responses, gathered gene by gene.

Belongs here: the sums from which correlations come, so that no profile of a guide is ever kept. Does not belong here:
the pass that brings the genes (`passes`).
"""

from __future__ import annotations

from itertools import combinations, groupby
from typing import Final

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq import kernel
from cm4ai_assets.perturbseq.checkpoints import Arrays
from cm4ai_assets.perturbseq.groups import Groups

FEWEST_CELLS: Final = 10
"""Cells below which a guide's profile is noise, and is compared with no other."""
MOST_GUIDES: Final = 12
DETECTED_IN_CONTROLS: Final = 0.1
"""Share of control cells in which a gene must be detected to be compared."""


class Agreement:
    """Pearson correlation of each two guides of a target, over genes that the controls express.

    The response of a guide in a gene is its mean logarithm less that of the controls. In the target's own gene it is
    taken as none: every guide lowers that.
    """

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._pairs = _pairs(groups)
        self._cells = np.array([arm.cells for arm in groups.arms], dtype=np.float64)
        self._own = np.array([groups.target_genes[arm.target] for arm in groups.arms], dtype=np.int64)
        arms, pairs = len(groups.arms), len(self._pairs)
        self._sums, self._squares, self._products = np.zeros(arms), np.zeros(arms), np.zeros(pairs)
        self._genes = np.zeros(1)

    def state(self) -> Arrays:
        """What was gathered, for a checkpoint."""
        return {
            "agreement_sums": self._sums,
            "agreement_squares": self._squares,
            "agreement_products": self._products,
            "agreement_genes": self._genes,
        }

    def restore(self, state: Arrays) -> None:
        """Go on from what was gathered."""
        self._sums, self._squares = state["agreement_sums"], state["agreement_squares"]
        self._products, self._genes = state["agreement_products"], state["agreement_genes"]

    def add(self, first: int, logs: npt.NDArray[np.float64], sums: npt.NDArray[np.float64]) -> None:
        """Add a tile of genes.

        Args:
            first: Number of its first gene.
            logs: Sum of logarithms; axes guide, gene.
            sums: Sums of the targets; axes target, gene, sum.
        """
        control = self._groups.control
        if control < 0 or not self._pairs.size:
            return
        n_controls = float(self._groups.cells[control].sum())
        expressed = sums[control, :, kernel.DETECTED] >= DETECTED_IN_CONTROLS * n_controls
        response = np.where(expressed, logs / self._cells[:, None] - sums[control, :, kernel.LOGS] / n_controls, 0.0)
        mine = np.flatnonzero((self._own >= first) & (self._own < first + logs.shape[1]))
        response[mine, self._own[mine] - first] = 0.0
        self._genes += expressed.sum()
        self._sums += response.sum(axis=1)
        self._squares += (response * response).sum(axis=1)
        self._products += (response[self._pairs[:, 0]] * response[self._pairs[:, 1]]).sum(axis=1)

    def of_targets(self) -> npt.NDArray[np.float64]:
        """Mean correlation of the guides of each target; NaN where there are no two with enough cells."""
        one, other = self._pairs.T
        genes = float(self._genes[0])
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / genes
            spread = np.sqrt(np.maximum(self._squares / genes - means**2, 0))
            each = (self._products / genes - means[one] * means[other]) / (spread[one] * spread[other])
        targets = np.array([arm.target for arm in self._groups.arms], dtype=np.int64)[one]
        fit = np.isfinite(each)
        shape = len(self._groups.targets)
        total = np.bincount(targets[fit], each[fit], minlength=shape)
        count = np.bincount(targets[fit], minlength=shape)
        return np.asarray(np.divide(total, count, out=np.full(shape, np.nan), where=count > 0))


def _pairs(groups: Groups) -> npt.NDArray[np.int64]:
    """Each two guides of a target that have enough cells; of a target with many guides those with the most cells."""
    found: list[tuple[int, int]] = []
    for target, members in groupby(range(len(groups.arms)), key=lambda number: groups.arms[number].target):
        if target == groups.control:
            continue
        fit = [number for number in members if groups.arms[number].cells >= FEWEST_CELLS]
        fit = sorted(sorted(fit, key=lambda number: -groups.arms[number].cells)[:MOST_GUIDES])
        found += combinations(fit, 2)
    return np.array(found, dtype=np.int64).reshape(-1, 2)
