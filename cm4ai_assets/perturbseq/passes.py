"""The pass over the counts: every stored value once, in the order in which it stands, in bounded memory, resumable.

Belongs here: stripes of genes, state and checkpoints, and the values that stop a pass. Does not belong here: the inner
loop (`kernel`), blocks (`matrix`), and what the sums say (`statistics`).

Memory, in bytes, beside some 250 MB of Python and libraries: cells x (80 + 8 x threads) + genes x batches x 24 + 2
blocks x 12 x `BLOCK_ENTRIES` + `KEPT_BYTES` + 2 x `STRIPE_BYTES`. A stripe holds 8 x (5 x targets + guides) bytes a
gene. A matrix by genes has its stripes one after the other, and is read once whatever their number. Of a matrix by
cells each stripe takes a reading of its own; all genes are one stripe while genes x 8 x (5 x targets + guides) fits
into one (docs/decisions/0021).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cm4ai_assets.perturbseq import kernel
from cm4ai_assets.perturbseq.agreement import Agreement
from cm4ai_assets.perturbseq.checkpoints import Arrays, Checkpoint
from cm4ai_assets.perturbseq.groups import Groups
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError
from cm4ai_assets.perturbseq.matrix import Block, StoredMatrix

CODE_VERSION: Final = 1
"""Another version of the pass and of what follows from it gives another store, and takes up no checkpoint of before."""

COUNTS_PER_CELL: Final = 10_000.0
TILE: Final = 64
"""Genes that are taken together where sums are not exact. Stripes consist of whole tiles."""
STRIPE_BYTES: Final = {True: 64 << 20, False: 400 << 20}
KEPT_BYTES: Final = 256 << 20
"""Finished stripes that are kept in memory. More of them, and those of a pass that takes longer than the time between
checkpoints, go to the scratch disk."""
SAVE_SECONDS: Final = 30.0
WORKERS: Final = min(len(os.sched_getaffinity(0)), 8)
"""Threads that add up genes side by side, where the matrix stands by genes."""


@dataclass(frozen=True)
class PassProgress:
    """How far a pass is: values read of all, and since when."""

    read: int
    stored: int
    seconds: float


@dataclass
class Sums:
    """What a finished pass knows.

    Attributes:
        groups: Targets, guides, batches.
        stripes: First gene of each stripe, and the number of genes at the end.
        open_stripe: The sums of a stripe: float64, axes target, gene, sum (see `kernel`).
        totals: Counts of each cell in the matrix.
        depths: Counts of each cell by which it was normalised.
        own: Counts of its own gene in each target and batch: sum, squares, sum times depth.
        own_arms: Counts of its target's gene in each guide and batch.
        controls: Counts of each gene in the controls of each batch: as `own`; axes batch, gene, sum.
        agreement: How alike the guides of each target are.
        unsorted: Lines whose places do not ascend.
        readings: How often the matrix was read.
    """

    groups: Groups
    stripes: tuple[int, ...]
    open_stripe: Callable[[int], npt.NDArray[np.float64]]
    totals: npt.NDArray[np.float64]
    depths: npt.NDArray[np.float64]
    own: npt.NDArray[np.float64]
    own_arms: npt.NDArray[np.float64]
    controls: npt.NDArray[np.float64]
    agreement: Agreement
    unsorted: int
    readings: int

    def of_targets(self, first: int, last: int) -> npt.NDArray[np.float64]:
        """The sums of some targets over all genes: float64, axes target, gene, sum."""
        return np.concatenate([self.open_stripe(n)[first:last] for n in range(len(self.stripes) - 1)], axis=1)


def _nothing(_: PassProgress) -> None:
    """Nobody watches."""


def _still() -> None:
    """The file cannot change."""


@dataclass
class Pass:
    """One pass over one matrix.

    Attributes:
        matrix: The matrix of counts.
        groups: How its cells are grouped.
        depths: Counts of each cell, by which it is normalised.
        folder: Where checkpoints and finished stripes are written.
        identity: What stands for the file's bytes; a checkpoint of another one is not taken up.
        unchanged: Called between blocks; raises if the file is no longer what it was.
        progress: Called between blocks.
        save_seconds: Time between checkpoints.
        stripe_bytes: Memory of a stripe; of the layout if None.
    """

    matrix: StoredMatrix
    groups: Groups
    depths: npt.NDArray[np.float64]
    folder: Path
    identity: Mapping[str, object]
    unchanged: Callable[[], None] = _still
    progress: Callable[[PassProgress], None] = _nothing
    save_seconds: float = SAVE_SECONDS
    stripe_bytes: int | None = None

    def run(self) -> Sums:
        """Read all of it, or what a killed pass has left.

        Raises:
            H5adDamagedError: A value is no count, an index is out of range or repeated, or the bytes are damaged.
        """
        return _Running(self).run()


class _Running:
    """A pass that is under way: its stripe, its place in it, and its sums."""

    def __init__(self, job: Pass) -> None:
        self._job, self._matrix, self._groups = job, job.matrix, job.groups
        self._targets, self._arms = len(job.groups.targets), len(job.groups.arms)
        self._by_genes = job.matrix.layout.by_genes
        self._stripes = self._cut()
        self._unit = unit_of(job.groups)
        self._scales = kernel.scales_of(job.depths, COUNTS_PER_CELL)
        self._logs = kernel.logarithms(job.depths, COUNTS_PER_CELL, self._unit)
        self._checkpoint = Checkpoint(job.folder, self._binding())
        self._agreement = Agreement(job.groups)
        self._kept: dict[int, npt.NDArray[np.float64]] = {}
        self._threads = ThreadPoolExecutor(WORKERS)
        self._totals = [np.zeros(job.matrix.shape[0]) for _ in range(WORKERS if self._by_genes else 1)]
        self._begin = self._saved = time.monotonic()
        self._read = 0
        self._state = self._resumed() or self._fresh()

    def _cut(self) -> tuple[int, ...]:
        genes = self._matrix.shape[1]
        budget = self._job.stripe_bytes or STRIPE_BYTES[self._by_genes]
        of_gene = 8 * (kernel.SUMS * (self._targets + 1) + self._arms + 1)
        width = max(budget // of_gene // TILE, 1) * TILE
        return (*range(0, genes, width), genes)

    def _binding(self) -> dict[str, object]:
        job = self._job
        return {
            "identity": dict(job.identity),
            "code_version": CODE_VERSION,
            "place": self._matrix.place,
            "layout": str(self._matrix.layout),
            "shape": list(self._matrix.shape),
            "stored": self._matrix.stored,
            "groups": job.groups.digest,
            "depths": float(np.dot(job.depths, np.arange(1, len(job.depths) + 1) % 8191)),
            "stripes": list(self._stripes),
        }

    def _fresh(self) -> Arrays:
        cells, genes = self._matrix.shape
        batches = len(self._groups.batches)
        return {
            "stripe": np.zeros(1, np.int64),
            "begin": np.full(1, -1, np.int64),
            "seen": np.array([-1, 0], np.int64),
            "unsorted": np.array([0, -1], np.int64),  # how many, and the last one
            "totals": np.zeros(cells),
            "own": np.zeros((self._targets + 1, batches, 3)),
            "own_arms": np.zeros((self._arms + 1, batches)),
            "controls": np.zeros((batches, genes, 3)),
            **self._agreement.state(),
        }

    def _resumed(self) -> Arrays | None:
        state = self._checkpoint.load()
        if state is None:
            return None
        done = range(int(state["stripe"][0]))
        if not all(self._checkpoint.stripe(number).exists() for number in done):
            self._checkpoint.discard()
            return None
        self._agreement.restore(state)
        return state

    def run(self) -> Sums:
        self._checkpoint.folder.mkdir(parents=True, exist_ok=True)
        with self._threads:
            for number in range(int(self._state["stripe"][0]), len(self._stripes) - 1):
                self._stripe(number)
        self._job.unchanged()
        self._gather_totals()
        state = self._state
        return Sums(
            groups=self._groups,
            stripes=self._stripes,
            open_stripe=self._open,
            totals=state["totals"],
            depths=self._job.depths,
            own=state["own"][:-1],
            own_arms=state["own_arms"][:-1],
            controls=state["controls"],
            agreement=self._agreement,
            unsorted=int(state["unsorted"][0]),
            readings=1 if self._by_genes else len(self._stripes) - 1,
        )

    def _open(self, number: int) -> npt.NDArray[np.float64]:
        """The sums of a finished stripe: axes target, gene, sum; those of cells without a target left out."""
        found: npt.NDArray[np.float64] | None = self._kept.get(number)
        if found is None:
            found = np.load(self._checkpoint.stripe(number), mmap_mode="r", allow_pickle=False)
        return (found.transpose(1, 0, 2) if self._by_genes else found)[:-1]

    def _stripe(self, number: int) -> None:
        """The sums of a stripe of genes, from all cells."""
        first, last = self._stripes[number], self._stripes[number + 1]
        state, width = self._state, last - first
        sums = state.pop("sums", np.zeros(width * (self._targets + 1) * kernel.SUMS))
        arms = state.pop("arms", np.zeros(width * (self._arms + 1)))
        begin = int(state["begin"][0])
        lines = (first, last) if self._by_genes else (0, self._matrix.shape[0])
        for block in self._matrix.blocks(*lines, begin=None if begin < 0 else begin):
            self._add(block, first, width, sums, arms, count_totals=self._by_genes or number == 0)
            if not self._by_genes and self._is_time():
                state["begin"][0] = block.end
                self._save({"sums": sums, "arms": arms})
        self._finish(number, sums, arms)

    def _finish(self, number: int, sums: npt.NDArray[np.float64], arms: npt.NDArray[np.float64]) -> None:
        first, last = self._stripes[number], self._stripes[number + 1]
        outer, inner = last - first, self._targets + 1
        self._kept[number] = sums.reshape(
            (outer, inner, kernel.SUMS) if self._by_genes else (inner, outer, kernel.SUMS)
        )
        of_targets = self._open(number)
        of_arms = (arms.reshape(outer, -1).T if self._by_genes else arms.reshape(-1, outer))[:-1]
        for tile in range(0, last - first, TILE):
            part = slice(tile, tile + TILE)
            self._agreement.add(first + tile, np.ascontiguousarray(of_arms[:, part]), of_targets[:, part])
        self._state["stripe"][0], self._state["begin"][0] = number + 1, -1
        self._state["seen"][:] = (-1, 0)
        if self._is_time() or sum(one.nbytes for one in self._kept.values()) > KEPT_BYTES:
            self._save({})

    def _add(
        self,
        block: Block,
        first: int,
        width: int,
        sums: npt.NDArray[np.float64],
        arms: npt.NDArray[np.float64],
        *,
        count_totals: bool,
    ) -> None:
        state, job, add = self._state, self._job, kernel.accumulate()
        if not block.continues:
            state["seen"][:] = (-1, 0)
        parts = list(self._parts(block))
        seen = [state["seen"], *(np.array([-1, 0], np.int64) for _ in parts[1:])]

        def work(number: int) -> tuple[int, int]:
            begin, end = parts[number]
            return add(
                self._by_genes,
                block.first + begin,
                block.starts[begin : end + 1],
                block.places,
                block.values,
                self._matrix.width,
                seen[number],
                self._groups.of_cells,
                self._scales,
                self._logs,
                self._unit,
                first,
                width,
                count_totals,
                self._groups.control,
                self._totals[number],
                job.depths,
                sums,
                arms,
                state["own"],
                state["own_arms"],
                state["controls"],
            )

        for code, at in self._threads.map(work, range(len(parts))):
            if code != kernel.FINE:
                raise self._damaged(block, code, at)
        unsorted = any(one[1] for one in seen)
        state["seen"][:] = (seen[-1][0], 0)
        if unsorted:
            self._see_that_places_differ(block)
        job.unchanged()
        self._read += len(block.values)
        job.progress(PassProgress(self._read, self._matrix.stored, time.monotonic() - self._begin))

    def _parts(self, block: Block) -> Iterator[tuple[int, int]]:
        """Lines of a block for one thread each: genes have sums of their own, cells have not."""
        lines, workers = len(block.starts) - 1, len(self._totals)
        shares = np.arange(1, workers) * (len(block.values) / workers)
        cuts = [0, *np.searchsorted(block.starts, shares).tolist(), lines]
        yield from ((begin, end) for begin, end in pairwise(cuts) if begin < end)

    def _gather_totals(self) -> None:
        """Add up what the threads have counted of each cell. Counts are whole numbers: their order does not matter."""
        for totals in self._totals:
            self._state["totals"] += totals
            totals[:] = 0

    def _see_that_places_differ(self, block: Block) -> None:
        """Look at lines whose places do not ascend: sums do not mind, but a place that stands twice counts twice."""
        for line in range(block.first, block.first + len(block.starts) - 1):
            places = self._matrix.line(line)
            if line != self._state["unsorted"][1] and places.size and (np.diff(places) <= 0).any():
                self._state["unsorted"][:] = (self._state["unsorted"][0] + 1, line)
                if len(np.unique(places)) != places.size:
                    raise H5adDamagedError(f"{self._matrix.label}: {self._line(line)} has a place twice.")

    def _line(self, number: int) -> str:
        return f"gene {self._groups.genes[number]}" if self._by_genes else f"cell {number:,}"

    def _damaged(self, block: Block, code: int, at: int) -> H5adDamagedError:
        line = block.first + int(np.searchsorted(block.starts, at, side="right")) - 1
        where = f"{self._matrix.label}: {self._line(line)}"
        place, value = int(block.places[at]), block.values[at]
        if code == kernel.OUT_OF_RANGE:
            return H5adDamagedError(f"{where} has an index {place:,}, out of {self._matrix.width:,}.")
        if code == kernel.REPEATED:
            return H5adDamagedError(f"{where} has the index {place:,} twice.")
        other = f"cell {place:,}" if self._by_genes else f"gene {self._groups.genes[place]}"
        what = "negative" if value < 0 else "not a number" if np.isnan(value) else "no integer, or far too large"
        return H5adDamagedError(
            f"{where}, {other}: {value} is no count: it is {what}.",
            remedy="A sample of the matrix held counts. Nothing is published of a matrix that is damaged in part.",
        )

    def _is_time(self) -> bool:
        return time.monotonic() - self._saved >= self._job.save_seconds

    def _save(self, more: Arrays) -> None:
        self._gather_totals()
        for number, sums in self._kept.items():
            self._checkpoint.save_stripe(number, sums)
        self._kept.clear()
        self._checkpoint.save({**self._state, **self._agreement.state(), **more})
        self._saved = time.monotonic()


def unit_of(groups: Groups) -> float:
    """The power of two of which logarithms and their squares are multiples, so that their sums are exact.

    A float64 has 53 bits: 7 before the point for a square (log1p(10,000) squared is 85), and one for each doubling of
    the cells that are added up.
    """
    largest = int(groups.cells.sum(axis=1).max(initial=1))
    return 2.0 ** -min(30, 53 - 7 - largest.bit_length())


def totals_of(matrix: StoredMatrix, unchanged: Callable[[], None] = _still) -> npt.NDArray[np.float64]:
    """Counts of each cell, by one reading of their own: for files whose obs does not state them."""
    totals = np.zeros(matrix.shape[0])
    for block in matrix.blocks(0, matrix.lines):
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


def folder_of(scratch: Path, identity: str) -> Path:
    """Where the checkpoints of a file's pass stand."""
    return scratch / "counts" / identity


def forget(folder: Path) -> None:
    """Take away the checkpoints of a file's passes: what they led to is published."""
    shutil.rmtree(folder, ignore_errors=True)
