"""The inner loop of the pass: one stored value at a time, compiled.

Belongs here: what is done with a value, and which values stop the pass. Does not belong here: blocks (`matrix`), what
the sums are for (`statistics`), and resuming (`passes`).

Every sum is exact: counts are integers, and logarithms are rounded to multiples of a power of two that leaves room for
all cells of the largest group. Exact sums do not depend on their order, so a matrix by genes, by cells and in blocks of
any size gives the same bytes. numba compiles the loop; why: docs/decisions/0021.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

from cm4ai_assets.compiling import machine_code
from cm4ai_assets.heavy import np, npt

FINE: Final = 0
OUT_OF_RANGE: Final = 1
REPEATED: Final = 2
NO_COUNT: Final = 3

DETECTED, COUNTS, SQUARES, LOGS, LOG_SQUARES = range(5)
"""What is summed for each target and gene: cells with a count, counts, their squares, logarithms, their squares."""
SUMS: Final = 5

TARGET, ARM, OWN, BATCH = range(4)
"""Columns of what is known of a cell: number of its target, of its guide, of its target's gene, of its batch."""

LARGEST_COUNT: Final = float(1 << 24)

Array: TypeAlias = "npt.NDArray[Any]"


def _accumulate(  # pragma: no cover - compiled # noqa: C901, PLR0912, PLR0917 - a loop that numba compiles whole
    by_genes: bool,  # noqa: FBT001
    first: int,
    starts: Array,
    places: Array,
    values: Array,
    width: int,
    seen: Array,
    cells: Array,
    scales: Array,
    logs: Array,
    unit: float,
    gene_first: int,
    genes: int,
    count_totals: bool,  # noqa: FBT001
    control: int,
    totals: Array,
    depths: Array,
    sums: Array,
    arms: Array,
    own: Array,
    own_arms: Array,
    controls: Array,
) -> tuple[int, int]:
    known = logs.shape[1]
    per_unit = 1.0 / unit  # exact: it is a power of two
    n_targets, n_arms = own.shape[0], own_arms.shape[0]
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)  # unsigned: no test for negative
    for line in range(len(starts) - 1):
        for at in range(starts[line], starts[line + 1]):
            place = np.int64(places[at])
            if place < 0 or place >= width:
                return OUT_OF_RANGE, at
            if at == starts[line] and not (line == 0 and seen[0] >= 0):
                seen[0] = -1
            if place <= seen[0]:
                if place == seen[0]:
                    return REPEATED, at
                seen[1] = 1
            seen[0] = place
            value = np.float64(values[at])
            whole = np.int64(value)
            if whole < 0 or whole > LARGEST_COUNT or np.float64(whole) != value:
                return NO_COUNT, at
            if whole == 0:
                continue
            cell = np.uint64(place if by_genes else first + line)
            gene = first + line if by_genes else place
            if count_totals:
                totals[cell] += value
            column = gene - gene_first
            if column < 0 or column >= genes:
                continue
            if whole <= known:
                log = logs[cell, np.uint64(whole - 1)]
            else:
                log = np.rint(np.log1p(value * scales[cell]) * per_unit) * unit
            target = cells[cell, TARGET]
            row = np.uint64((column * n_targets + target if by_genes else target * genes + column) * 5)
            sums[row] += 1.0
            sums[row + one] += value
            sums[row + two] += value * value
            sums[row + three] += log
            sums[row + four] += np.rint(log * log * per_unit) * unit
            arm = cells[cell, ARM]
            arms[np.uint64(column * n_arms + arm if by_genes else arm * genes + column)] += log
            if gene == cells[cell, OWN]:
                batch = cells[cell, BATCH]
                own[target, batch, 0] += value
                own[target, batch, 1] += value * value
                own[target, batch, 2] += value * depths[cell]
                own_arms[arm, batch] += value
            if target == control:
                batch = cells[cell, BATCH]
                controls[batch, gene, 0] += value
                controls[batch, gene, 1] += value * value
                controls[batch, gene, 2] += value * depths[cell]
    return FINE, 0


@cache
def accumulate() -> Callable[..., tuple[int, int]]:
    """The compiled loop. Compiling takes some two seconds, once on a machine."""
    return machine_code(_accumulate)


def logarithms(depths: npt.NDArray[np.float64], per_cell: float, unit: float, most: int = 4) -> Array:
    """log1p(count / depth x per_cell) of the counts 1 to `most` of each cell, as the loop rounds them.

    Shape (cells, most). Most stored counts are that small, and a table is faster than a logarithm.
    """
    scales = scales_of(depths, per_cell)
    table = np.empty((len(depths), most))
    for count in range(1, most + 1):
        table[:, count - 1] = np.rint(np.log1p(count * scales) / unit) * unit
    return table


def scales_of(depths: npt.NDArray[np.float64], per_cell: float) -> npt.NDArray[np.float64]:
    """What a count of each cell is multiplied with; 0 for a cell without a depth."""
    return np.divide(per_cell, depths, out=np.zeros(len(depths)), where=depths > 0)


def arithmetic(logs: Array) -> str:
    """What stands for the logarithms of a process: equal digests, equal logarithms.

    Libraries differ in the last digit of a logarithm by the processor. Rounding hides that but for some one of a
    million. Of two processes that share a pass, none may differ.

    Args:
        logs: What `logarithms` gave: numpy computes it. Larger counts are left to the C library (`math`).
    """
    found = hashlib.sha256(np.ascontiguousarray(logs).data)
    found.update(array("d", (math.log1p(number / 97) for number in range(1, 1 << 14))).tobytes())
    return found.hexdigest()
