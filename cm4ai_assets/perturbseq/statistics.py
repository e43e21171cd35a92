"""What the sums of a pass say: profiles of targets, the genes that respond, and one row a target.

Belongs here: moments, the test, and the rows of `perturb_targets`. Does not belong here: what is left of a target's own
gene (`knockdown`), the pass (`passes`), and where profiles are kept (`profiles`).

A gene responds to a target if its log-normalised counts differ from those of the controls: Welch's t-test over cells,
Benjamini-Hochberg over all genes of the matrix at 5 %. It is scanpy's `rank_genes_groups(method="t-test")`, with the
same numbers (docs/decisions/0022). The target's own gene counts as no responder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, Final, TypeAlias

from cm4ai_assets.heavy import np, npt, special, stats
from cm4ai_assets.perturbseq import kernel
from cm4ai_assets.perturbseq.groups import Groups
from cm4ai_assets.perturbseq.knockdown import remaining, remaining_of_guides
from cm4ai_assets.perturbseq.passes import WORKERS, Sums

ROWS: Final = 64
"""Targets that are worked on at a time: 64 x 38,606 genes are 20 MB for each statistic."""
FALSE_DISCOVERIES: Final = 0.05
FEWEST_CELLS: Final = 10
"""Cells below which a target's responders are not counted."""
STRONGEST: Final = 10

Floats: TypeAlias = "npt.NDArray[np.float64]"


@dataclass(frozen=True)
class Profiles:
    """Profiles of some targets that follow one another; each statistic is float64 of axes target, gene.

    Attributes:
        first: Number of the first target.
        cells: Cells of each target.
        mean: Mean count.
        variance: Variance of counts (n - 1); NaN for a single cell.
        log_mean: Mean of log1p(counts per 10,000).
        log_variance: Its variance.
        detected: Share of cells with a count.
    """

    first: int
    cells: Floats
    mean: Floats
    variance: Floats
    log_mean: Floats
    log_variance: Floats
    detected: Floats

    def rows(self, part: slice) -> Profiles:
        """Those of some of the targets."""
        values = {one.name: getattr(self, one.name)[part] for one in fields(self) if one.name != "first"}
        return Profiles(first=self.first + part.start, **values)


def profiles(sums: Sums) -> Iterator[Profiles]:
    """The profiles of all targets, some at a time."""
    targets = len(sums.groups.targets)
    for first in range(0, targets, ROWS):
        yield _profiles(sums, first, min(first + ROWS, targets))


def _profiles(sums: Sums, first: int, last: int) -> Profiles:
    part = sums.of_targets(first, last)
    cells = sums.groups.cells[first:last].sum(axis=1).astype(np.float64)
    n = cells[:, None]
    mean, variance = _moments(part[..., kernel.COUNTS], part[..., kernel.SQUARES], n)
    log_mean, log_variance = _moments(part[..., kernel.LOGS], part[..., kernel.LOG_SQUARES], n)
    return Profiles(first, cells, mean, variance, log_mean, log_variance, part[..., kernel.DETECTED] / n)


def _moments(sums: Floats, squares: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Mean, and variance with n - 1; NaN for one cell."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / n, np.where(n > 1, np.maximum(squares - sums * sums / n, 0) / (n - 1), np.nan)


def welch(one: Profiles, other: Profiles) -> tuple[Floats, Floats]:
    """Welch's t of log-normalised counts, and its two-sided p; p is 1 where nothing varies.

    `other` has one target, or as many as `one`.
    """
    n, m = one.cells[:, None], other.cells[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = one.log_variance / n, other.log_variance / m
        t = (one.log_mean - other.log_mean) / np.sqrt(a + b)
        freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
        p = 2 * special.stdtr(freedom, -np.abs(t))
    return t, np.where(np.isnan(p), 1.0, p)


@dataclass(frozen=True)
class Responders:
    """Genes that respond to some targets.

    Attributes:
        up: How many rise, for each target. `down`: how many fall.
        strongest: Symbols of those with the largest |t|.
    """

    up: npt.NDArray[np.int64]
    down: npt.NDArray[np.int64]
    strongest: tuple[tuple[str, ...], ...]


def responders(of_targets: Profiles, controls: Profiles, groups: Groups) -> Responders:
    """Which genes respond to each of some targets. Threads take targets side by side: scipy lets others run."""
    share = -(-len(of_targets.cells) // WORKERS)
    parts = [of_targets.rows(slice(at, at + share)) for at in range(0, len(of_targets.cells), share)]
    with ThreadPoolExecutor(WORKERS) as threads:
        tested = list(threads.map(lambda part: _tested(part, controls), parts))
    t, significant = (np.concatenate(of_parts) for of_parts in zip(*tested, strict=True))
    own = groups.target_genes[of_targets.first : of_targets.first + len(t)]
    has = np.flatnonzero(own >= 0)
    significant[has, own[has]] = False
    strongest = [_strongest(t[row], significant[row], groups.genes) for row in range(len(t))]
    up, down = (significant & (t > 0)).sum(axis=1), (significant & (t < 0)).sum(axis=1)
    return Responders(up, down, tuple(strongest))


def _tested(of_targets: Profiles, controls: Profiles) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Welch's t of every gene, and whether it is significant among all genes of its target."""
    t, p = welch(of_targets, controls)
    return t, stats.false_discovery_control(p, axis=1, method="bh") <= FALSE_DISCOVERIES


def _strongest(t: Floats, significant: npt.NDArray[np.bool_], genes: Sequence[str]) -> tuple[str, ...]:
    found = np.flatnonzero(significant)
    best = found[np.argsort(-np.abs(t[found]), kind="stable")[:STRONGEST]]
    return tuple(genes[at] for at in best)


class TargetRows:
    """Gathers the rows of `perturb_targets`, some targets at a time.

    Args:
        sums: What the pass knows.
    """

    def __init__(self, sums: Sums) -> None:
        self._sums, self._groups = sums, sums.groups
        self._left = remaining(sums)
        self._guides = _of_guides(sums)
        self._agreement = sums.agreement.of_targets()
        control = self._groups.control
        self._controls = _profiles(sums, control, control + 1) if control >= 0 else None
        self._rows: list[dict[str, Any]] = []

    def add(self, some: Profiles) -> None:
        """Add the rows of some targets."""
        found = responders(some, self._controls, self._groups) if self._controls is not None else None
        for row in range(len(some.cells)):
            self._rows.append(self._row(some, row, found))

    def rows(self) -> list[dict[str, Any]]:
        """The rows so far, and those of targets that no cell has."""
        return self._rows + [_without_cells(name) for name in self._groups.empty]

    def _row(self, some: Profiles, row: int, found: Responders | None) -> dict[str, Any]:
        number, groups = some.first + row, self._groups
        gene, cells = int(groups.target_genes[number]), int(some.cells[row])
        is_control = number == groups.control
        tested = found if cells >= FEWEST_CELLS and not is_control else None
        up = int(tested.up[row]) if tested else None
        down = int(tested.down[row]) if tested else None
        return {
            "target": groups.targets[number],
            "gene": groups.genes[gene] if gene >= 0 else None,
            "gene_id": groups.gene_ids[gene] if gene >= 0 else None,
            "is_control": is_control,
            "n_cells": cells,
            "n_counts": round(some.mean[row].sum() * cells),
            "n_genes_detected": int((some.detected[row] > 0).sum()),
            **self._guides[number],
            "guide_agreement": _known(self._agreement[number]),
            **self._own(some, row, gene),
            **self._remaining(number),
            "n_responding": None if up is None or down is None else up + down,
            "n_up": up,
            "n_down": down,
            "strongest": list(tested.strongest[row]) if tested else None,
            "tensor_index": number,
            "gene_index": gene if gene >= 0 else None,
            "flags": self._flags(number, cells, gene),
        }

    def _own(self, some: Profiles, row: int, gene: int) -> dict[str, float | None]:
        if gene < 0:
            return {"detected": None, "detected_in_controls": None}
        in_controls = self._controls.detected[0, gene] if self._controls else np.nan
        return {"detected": float(some.detected[row, gene]), "detected_in_controls": _known(in_controls)}

    def _remaining(self, number: int) -> dict[str, Any]:
        left, cells = self._left, self._groups.cells[number]
        there = [at for at in range(len(cells)) if cells[at]]
        return {
            "knockdown": _known(1 - left.value[number]),
            "knockdown_low": _known(1 - left.high[number]),
            "knockdown_high": _known(1 - left.low[number]),
            "batches": [self._groups.batches[at] for at in there],
            "batch_cells": [int(cells[at]) for at in there],
            "batch_knockdown": [_known(1 - left.by_batch[number, at]) for at in there],
            "batch_low": [_known(1 - left.batch_high[number, at]) for at in there],
            "batch_high": [_known(1 - left.batch_low[number, at]) for at in there],
        }

    def _flags(self, number: int, cells: int, gene: int) -> list[str]:
        groups = self._groups
        if number == groups.control:
            return []
        there = groups.cells[number] > 0
        controls = groups.cells[groups.control] > 0 if groups.control >= 0 else np.zeros_like(there)
        guides = len(self._guides[number]["guides"])
        found = {
            "few_cells": cells < FEWEST_CELLS,
            "no_controls": groups.control < 0,
            "batch_without_controls": groups.control >= 0 and bool((there & ~controls).any()),
            "not_measured": gene < 0,
            "not_expressed": gene >= 0 and groups.control >= 0 and np.isnan(self._left.value[number]),
            "one_guide": guides == 1,
            "several_guides_only": guides == 0,
        }
        return [name for name, holds in found.items() if holds]


def _of_guides(sums: Sums) -> list[dict[str, Any]]:
    """For each target its guides, their cells, and the knock-down of each."""
    groups, left = sums.groups, remaining_of_guides(sums)
    found: list[dict[str, Any]] = [
        {"n_guides": 0, "guides": [], "guide_cells": [], "guide_knockdown": []} for _ in groups.targets
    ]
    for target, members in groupby(range(len(groups.arms)), key=lambda number: groups.arms[number].target):
        arms = list(members)
        found[target] = {
            "n_guides": len(arms),
            "guides": [groups.arms[number].guide for number in arms],
            "guide_cells": [groups.arms[number].cells for number in arms],
            "guide_knockdown": [_known(1 - left[number]) for number in arms],
        }
    return found


def _without_cells(name: str) -> dict[str, Any]:
    """The row of a target that no cell has."""
    return {"target": name, "is_control": False, "n_cells": 0, "n_guides": 0, "flags": ["no_cells"]}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
