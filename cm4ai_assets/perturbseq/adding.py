"""What is added up of a matrix's stored values, a stripe of genes at a time, and which values end that.

Belongs here: sums from blocks, by whoever reads them: threads of one process, or a worker of a cluster. Does not belong
here: the inner loop (`kernel`), blocks (`matrix`), and the order of stripes, checkpoints and progress (`passes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq import kernel
from cm4ai_assets.perturbseq.checkpoints import Arrays
from cm4ai_assets.perturbseq.groups import Groups
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError
from cm4ai_assets.perturbseq.matrix import Block, StoredMatrix

COUNTS_PER_CELL: Final = 10_000.0

Floats: TypeAlias = "npt.NDArray[np.float64]"


def still() -> None:
    """The file cannot change."""


@dataclass(frozen=True)
class Stripe:
    """The sums of some genes that follow one another, flat; how they stand: `kernel`.

    Attributes:
        first: The first gene.
        last: The gene after the last one.
        sums: For each target and gene the sums of its cells.
        arms: For each guide and gene the sum of logarithms.
    """

    first: int
    last: int
    sums: Floats
    arms: Floats

    @classmethod
    def empty(cls, groups: Groups, first: int, last: int) -> Stripe:
        """Nothing is added up yet."""
        sums = np.zeros((last - first) * (len(groups.targets) + 1) * kernel.SUMS)
        return cls(first, last, sums, np.zeros((last - first) * (len(groups.arms) + 1)))

    @property
    def width(self) -> int:
        """Genes."""
        return self.last - self.first


class Adding:
    """Adds up blocks of a matrix; safe from many threads. It holds what the loop must know of each cell.

    Args:
        matrix: The matrix of counts.
        groups: How its cells are grouped.
        depths: Counts of each cell, by which it is normalised.
    """

    def __init__(self, matrix: StoredMatrix, groups: Groups, depths: Floats) -> None:
        self.matrix, self.groups, self.depths = matrix, groups, depths
        self._by_genes = matrix.layout.by_genes
        self._unit = unit_of(groups)
        self._scales = kernel.scales_of(depths, COUNTS_PER_CELL)
        self._logs = kernel.logarithms(depths, COUNTS_PER_CELL, self._unit)

    def arithmetic(self) -> str:
        """What stands for the logarithms that this process computes; see `kernel.arithmetic`."""
        return kernel.arithmetic(self._logs)

    def fresh(self) -> Arrays:
        """What is added up beside stripes, and what is known of the lines so far."""
        batches = len(self.groups.batches)
        return {
            "seen": np.array([-1, 0], np.int64),
            "unsorted": np.array([0, -1], np.int64),  # how many, and the last one
            "own": np.zeros((len(self.groups.targets) + 1, batches, 3)),
            "own_arms": np.zeros((len(self.groups.arms) + 1, batches)),
            "controls": np.zeros((batches, self.matrix.shape[1], 3)),
        }

    def add(
        self,
        block: Block,
        stripe: Stripe,
        state: Arrays,
        totals: Sequence[Floats],
        *,
        count_totals: bool,
        run: Callable[[Callable[[int], tuple[int, int]], Iterable[int]], Iterable[tuple[int, int]]] = map,
    ) -> None:
        """Add a block to the sums of a stripe, and to those beside it.

        Args:
            block: The block.
            stripe: Its sums.
            state: As `fresh` made it.
            totals: Counts of each cell; as many arrays as parts of the block may be worked on at a time.
            count_totals: Add to them.
            run: Works on the parts: as `map`.

        Raises:
            H5adDamagedError: A value is no count, or an index is out of range or repeated.
        """
        add = kernel.accumulate()
        if not block.continues:
            state["seen"][:] = (-1, 0)
        parts = list(self._parts(block, len(totals)))
        seen = [state["seen"], *(np.array([-1, 0], np.int64) for _ in parts[1:])]

        def work(number: int) -> tuple[int, int]:
            begin, end = parts[number]
            return add(
                self._by_genes,
                block.first + begin,
                block.starts[begin : end + 1],
                block.places,
                block.values,
                self.matrix.width,
                seen[number],
                self.groups.of_cells,
                self._scales,
                self._logs,
                self._unit,
                stripe.first,
                stripe.width,
                count_totals,
                self.groups.control,
                totals[number],
                self.depths,
                stripe.sums,
                stripe.arms,
                state["own"],
                state["own_arms"],
                state["controls"],
            )

        for code, at in run(work, range(len(parts))):
            if code != kernel.FINE:
                raise self._damaged(block, code, at)
        unsorted = any(one[1] for one in seen)
        state["seen"][:] = (seen[-1][0], 0)
        if unsorted:
            self._see_that_places_differ(block, state["unsorted"])

    @staticmethod
    def _parts(block: Block, workers: int) -> Iterator[tuple[int, int]]:
        """Lines of a block for one thread each: genes have sums of their own, cells have not."""
        shares = np.arange(1, workers) * (len(block.values) / workers)
        cuts = [0, *np.searchsorted(block.starts, shares).tolist(), len(block.starts) - 1]
        yield from ((begin, end) for begin, end in pairwise(cuts) if begin < end)

    def _see_that_places_differ(self, block: Block, unsorted: npt.NDArray[Any]) -> None:
        """Look at lines whose places do not ascend: sums do not mind, but a place that stands twice counts twice."""
        for line in range(block.first, block.first + len(block.starts) - 1):
            places = self.matrix.line(line)
            if line != unsorted[1] and places.size and (np.diff(places) <= 0).any():
                unsorted[:] = (unsorted[0] + 1, line)
                if len(np.unique(places)) != places.size:
                    raise H5adDamagedError(f"{self.matrix.label}: {self._line(line)} has a place twice.")

    def _line(self, number: int) -> str:
        return f"gene {self.groups.genes[number]}" if self._by_genes else f"cell {number:,}"

    def _damaged(self, block: Block, code: int, at: int) -> H5adDamagedError:
        line = block.first + int(np.searchsorted(block.starts, at, side="right")) - 1
        where = f"{self.matrix.label}: {self._line(line)}"
        place, value = int(block.places[at]), block.values[at]
        if code == kernel.OUT_OF_RANGE:
            return H5adDamagedError(f"{where} has an index {place:,}, out of {self.matrix.width:,}.")
        if code == kernel.REPEATED:
            return H5adDamagedError(f"{where} has the index {place:,} twice.")
        other = f"cell {place:,}" if self._by_genes else f"gene {self.groups.genes[place]}"
        what = "negative" if value < 0 else "not a number" if np.isnan(value) else "no integer, or far too large"
        return H5adDamagedError(
            f"{where}, {other}: {value} is no count: it is {what}.",
            remedy="A sample of the matrix held counts. Nothing is published of a matrix that is damaged in part.",
        )


def unit_of(groups: Groups) -> float:
    """The power of two of which logarithms and their squares are multiples, so that their sums are exact.

    A float64 has 53 bits: 7 before the point for a square (log1p(10,000) squared is 85), and one for each doubling of
    the cells that are added up.
    """
    largest = int(groups.cells.sum(axis=1).max(initial=1))
    return 2.0 ** -min(30, 53 - 7 - largest.bit_length())


def totals_of(
    matrix: StoredMatrix, unchanged: Callable[[], None] = still, lines: tuple[int, int] | None = None
) -> Floats:
    """Counts of each cell in some lines (in all), by a reading of their own: for files whose obs does not state them.

    Raises:
        H5adDamagedError: An index is out of range.
    """
    totals = np.zeros(matrix.shape[0])
    for block in matrix.blocks(*(lines or (0, matrix.lines))):
        unchanged()
        places = np.asarray(block.places, dtype=np.int64)
        if places.size and (places.min() < 0 or places.max() >= matrix.width):
            raise H5adDamagedError(f"{matrix.label} has an index out of {matrix.width:,}.")
        if matrix.layout.by_genes:
            totals += np.bincount(places, block.values, minlength=matrix.shape[0])
        else:
            sums = np.add.reduceat(np.append(block.values, 0), block.starts[:-1]) * (np.diff(block.starts) > 0)
            totals[block.first : block.first + len(sums)] += sums
    return totals
