"""The pass over the counts: every stored value once, in the order in which it stands, in bounded memory, resumable.

Belongs here: stripes of genes in their order, state and checkpoints. Does not belong here: what is added up of a block,
and the values that stop a pass (`adding`), blocks (`matrix`), stripes that workers of a cluster add up (`on_cluster`),
and what the sums say (`statistics`).

Memory, in bytes, beside some 250 MB of Python and libraries: cells x (80 + 8 x threads) + genes x batches x 24 + 2
blocks x 12 x `BLOCK_ENTRIES` + `KEPT_BYTES` + 2 x `STRIPE_BYTES`. A stripe holds 8 x (5 x targets + guides) bytes a
gene. A matrix by genes has its stripes one after the other, and is read once whatever their number. Of a matrix by
cells each stripe takes a reading of its own; all genes are one stripe while genes x 8 x (5 x targets + guides) fits
into one (docs/decisions/0021). Of what workers of a cluster add up, one stripe at a time is here.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq import kernel
from cm4ai_assets.perturbseq.adding import Adding, Stripe, still
from cm4ai_assets.perturbseq.agreement import Agreement
from cm4ai_assets.perturbseq.checkpoints import Arrays, Checkpoint
from cm4ai_assets.perturbseq.groups import Groups
from cm4ai_assets.perturbseq.matrix import Block, StoredMatrix
from cm4ai_assets.perturbseq.parts import Part
from cm4ai_assets.threads import cores

CODE_VERSION: Final = 1
"""Another version of the pass and of what follows from it gives another store, and takes up no checkpoint of before."""

TILE: Final = 64
"""Genes that are taken together where sums are not exact. Stripes consist of whole tiles."""
STRIPE_BYTES: Final = {True: 64 << 20, False: 400 << 20}
STRIPE_GENES: Final = 1024
"""Most genes of a stripe of a matrix by genes: so that of few targets, too, there are stripes for many workers."""
KEPT_BYTES: Final = 256 << 20
"""Finished stripes that are kept in memory. More of them, and those of a pass that takes longer than the time between
checkpoints, go to the scratch disk."""
SAVE_SECONDS: Final = 30.0
WORKERS: Final = min(cores(), 8)
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


class Workers(Protocol):
    """Who adds up stripes of a matrix by genes elsewhere."""

    def parts(self, adding: Adding, stripes: Iterable[tuple[int, int]]) -> Iterator[Part]:
        """What stripes add to the pass, in order; each is given by its first gene and the one after its last.

        Raises:
            ConfigurationError: A worker does not have the same file.
        """
        ...


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
        workers: Who adds up stripes of a matrix by genes; threads of this process if None.
    """

    matrix: StoredMatrix
    groups: Groups
    depths: npt.NDArray[np.float64]
    folder: Path
    identity: Mapping[str, object]
    unchanged: Callable[[], None] = still
    progress: Callable[[PassProgress], None] = _nothing
    save_seconds: float = SAVE_SECONDS
    stripe_bytes: int | None = None
    workers: Workers | None = None

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
        self._stripes = stripes_of(job.matrix, job.groups, job.stripe_bytes)
        self._adding = Adding(job.matrix, job.groups, job.depths)
        self._checkpoint = Checkpoint(job.folder, self._binding())
        self._agreement = Agreement(job.groups)
        self._kept: dict[int, npt.NDArray[np.float64]] = {}
        self._threads = ThreadPoolExecutor(WORKERS)
        self._totals = [np.zeros(job.matrix.shape[0]) for _ in range(WORKERS if self._by_genes else 1)]
        self._begin = self._saved = time.monotonic()
        self._read = 0
        self._state = self._resumed() or self._fresh()

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
        return {
            "stripe": np.zeros(1, np.int64),
            "begin": np.full(1, -1, np.int64),
            "totals": np.zeros(self._matrix.shape[0]),
            **self._adding.fresh(),
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
        left = range(int(self._state["stripe"][0]), len(self._stripes) - 1)
        with self._threads:
            if self._job.workers is None:
                for number in left:
                    self._finish(number, self._stripe(number))
            else:
                self._take(left, self._job.workers)
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

    def _stripe(self, number: int) -> Stripe:
        """The sums of a stripe of genes, from all cells."""
        first, last = self._stripes[number], self._stripes[number + 1]
        state, stripe = self._state, Stripe.empty(self._groups, first, last)
        if "sums" in state:
            stripe = Stripe(first, last, state.pop("sums"), state.pop("arms"))
        begin = int(state["begin"][0])
        lines = (first, last) if self._by_genes else (0, self._matrix.shape[0])
        for block in self._matrix.blocks(*lines, begin=None if begin < 0 else begin):
            self._add(block, stripe, count_totals=self._by_genes or number == 0)
            if not self._by_genes and self._is_time():
                state["begin"][0] = block.end
                self._save({"sums": stripe.sums, "arms": stripe.arms})
        return stripe

    def _take(self, numbers: range, workers: Workers) -> None:
        """Stripes that workers add up, in their order."""
        stripes = [(self._stripes[number], self._stripes[number + 1]) for number in numbers]
        for number, part in zip(numbers, workers.parts(self._adding, stripes), strict=True):
            part.add_to(self._state)
            self._tell(self._matrix.stored_in(part.stripe.first, part.stripe.last))
            self._finish(number, part.stripe)

    def _finish(self, number: int, stripe: Stripe) -> None:
        outer, inner = stripe.width, self._targets + 1
        self._kept[number] = stripe.sums.reshape(
            (outer, inner, kernel.SUMS) if self._by_genes else (inner, outer, kernel.SUMS)
        )
        of_targets = self._open(number)
        of_arms = (stripe.arms.reshape(outer, -1).T if self._by_genes else stripe.arms.reshape(-1, outer))[:-1]
        for tile in range(0, stripe.width, TILE):
            part = slice(tile, tile + TILE)
            self._agreement.add(stripe.first + tile, np.ascontiguousarray(of_arms[:, part]), of_targets[:, part])
        self._state["stripe"][0], self._state["begin"][0] = number + 1, -1
        self._state["seen"][:] = (-1, 0)
        if self._is_time() or sum(one.nbytes for one in self._kept.values()) > KEPT_BYTES:
            self._save({})

    def _add(self, block: Block, stripe: Stripe, *, count_totals: bool) -> None:
        self._adding.add(block, stripe, self._state, self._totals, count_totals=count_totals, run=self._threads.map)
        self._tell(len(block.values))

    def _tell(self, read: int) -> None:
        """So many more values are read, of a file that is still the same."""
        self._job.unchanged()
        self._read += read
        self._job.progress(PassProgress(self._read, self._matrix.stored, time.monotonic() - self._begin))

    def _gather_totals(self) -> None:
        """Add up what the threads have counted of each cell. Counts are whole numbers: their order does not matter."""
        for totals in self._totals:
            self._state["totals"] += totals
            totals[:] = 0

    def _is_time(self) -> bool:
        return time.monotonic() - self._saved >= self._job.save_seconds

    def _save(self, more: Arrays) -> None:
        self._gather_totals()
        for number, sums in self._kept.items():
            self._checkpoint.save_stripe(number, sums)
        self._kept.clear()
        self._checkpoint.save({**self._state, **self._agreement.state(), **more})
        self._saved = time.monotonic()


def stripes_of(matrix: StoredMatrix, groups: Groups, stripe_bytes: int | None = None) -> tuple[int, ...]:
    """The first gene of each stripe, and the number of genes at the end; see `Pass.stripe_bytes`."""
    genes, by_genes = matrix.shape[1], matrix.layout.by_genes
    of_gene = 8 * (kernel.SUMS * (len(groups.targets) + 1) + len(groups.arms) + 1)
    width = max((stripe_bytes or STRIPE_BYTES[by_genes]) // of_gene // TILE, 1) * TILE
    return (*range(0, genes, min(width, STRIPE_GENES) if by_genes else width), genes)


def folder_of(scratch: Path, identity: str) -> Path:
    """Where the checkpoints of a file's pass stand."""
    return scratch / "counts" / identity


def forget(folder: Path) -> None:
    """Take away the checkpoints of a file's passes: what they led to is published."""
    shutil.rmtree(folder, ignore_errors=True)
