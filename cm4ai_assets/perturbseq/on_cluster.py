"""The pass over counts on a cluster: workers read the genes of a stripe where the h5ad is, and hand over its sums.

Belongs here: what the pass of `passes` sends to workers, and what these keep open. Does not belong here: how a cluster
is worked with (`cluster.connection`), what is added up (`adding`, `parts`), and the order of stripes (`passes`).

A worker reads the table of cells itself, once; it is known by digests that it groups cells, and computes logarithms, as
the asking process does. Only the depths are sent, since a second reading takes those that the first has counted.
"""

from __future__ import annotations

import hashlib
import platform
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from cm4ai_assets.cluster.connection import Cluster, key
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq.adding import Adding, Floats, totals_of
from cm4ai_assets.perturbseq.groups import read_groups
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.perturbseq.parts import Part, part_of, small
from cm4ai_assets.perturbseq.sources import File, require_like, unlike
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from distributed import Future

_THREADS: Final = "or set CM4AI_EXECUTOR=threads"


@dataclass(frozen=True)
class Matrix:
    """A matrix of an h5ad, as workers open it."""

    file: File
    place: str

    def open(self, store: Store, stack: ExitStack) -> tuple[H5ad, StoredMatrix]:
        """The matrix, closed with the stack.

        Raises:
            ConfigurationError: This process does not have the same file.
        """
        require_like(self.file.unlike(), "A worker of the cluster")
        source = stack.enter_context(self.file.open(store))
        h5ad = stack.enter_context(H5ad(cast("BinaryIO", source), label=self.file.label))
        return h5ad, StoredMatrix(h5ad, self.place)


@dataclass(frozen=True)
class Parts:
    """Adding up stripes, as `cluster.workers.Recipe`.

    Attributes:
        matrix: The matrix of counts.
        groups: `Groups.digest` of the asking process.
        arithmetic: `Adding.arithmetic` of the asking process, which holds for its depths, too.
    """

    matrix: Matrix
    groups: str
    arithmetic: str

    def open(self, store: Store) -> _PartWork:
        """The work of one stripe."""
        return _PartWork(self, store)


class _PartWork:
    """What a stripe adds to a pass, from its genes and the depths of the cells. Cells are looked at once."""

    def __init__(self, recipe: Parts, store: Store) -> None:
        self._recipe, self._lock, stack = recipe, Lock(), ExitStack()
        weakref.finalize(self, stack.close)
        h5ad, self._matrix = recipe.matrix.open(store, stack)
        self._groups = read_groups(h5ad)
        if self._groups.digest != recipe.groups:
            raise _other(f"reads other groups of cells from {h5ad.label}", "Give all the same libraries")
        self._adding: Adding | None = None

    def __call__(self, first: int, last: int, depths: npt.NDArray[Any]) -> Part:
        return part_of(self._prepared(depths), first, last, self._recipe.matrix.file.unchanged)

    def _prepared(self, depths: npt.NDArray[Any]) -> Adding:
        with self._lock:
            if self._adding is None:
                adding = Adding(self._matrix, self._groups, depths.astype(np.float64))
                if adding.arithmetic() != self._recipe.arithmetic:
                    raise _other("computes other logarithms", "Let workers be machines of one kind")
                self._adding = adding
            return self._adding


@dataclass(frozen=True)
class Totals:
    """Counting each cell in some genes, as `cluster.workers.Recipe`."""

    matrix: Matrix

    def open(self, store: Store) -> Callable[[int, int], npt.NDArray[Any]]:
        """The work of some genes."""
        return _TotalsWork(self.matrix, store)


class _TotalsWork:
    def __init__(self, matrix: Matrix, store: Store) -> None:
        stack = ExitStack()
        weakref.finalize(self, stack.close)
        _, self._matrix = matrix.open(store, stack)
        self._unchanged = matrix.file.unchanged

    def __call__(self, first: int, last: int) -> npt.NDArray[Any]:
        return small(totals_of(self._matrix, self._unchanged, (first, last)))


def _other(what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        f"A worker of the cluster (on {platform.node()}) {what} than this process.", remedy=f"{remedy}, {_THREADS}."
    )


def depths_of(depths: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What is sent, as the result of a task: it is sent once, and is there again when a worker is lost."""
    return depths


class ClusterWorkers:
    """Workers of a cluster as `passes.Workers`.

    Args:
        cluster: Who works.
        file: Where the h5ad is.
        place: Where the matrix stands in it.

    Raises:
        ConfigurationError: A worker does not have the same file; one that comes later is held to that, too.
    """

    def __init__(self, cluster: Cluster, file: File, place: str) -> None:
        self._cluster, self._matrix = cluster, Matrix(file, place)
        self.require_file()

    def require_file(self) -> None:
        """See that all workers that are there have the same file, before any begins."""
        for name, found in self._cluster.ask(unlike, self._matrix.file).items():
            if isinstance(found, str):  # one that cannot be reached is the scheduler's to notice
                require_like(found, f"The worker {name} of the cluster {self._cluster.address}")

    def parts(self, adding: Adding, stripes: Iterable[tuple[int, int]]) -> Iterator[Part]:
        """See `passes.Workers.parts`."""
        recipe = Parts(self._matrix, adding.groups.digest, adding.arithmetic())
        depths = self._sent(adding.depths)
        futures = (self._cluster.made(recipe, (stripe,), depths) for stripe in stripes)
        with self._one_file():
            for (part,) in self._cluster.in_order(futures):
                yield part

    def totals(self, stripes: Iterable[tuple[int, int]], cells: int) -> Floats:
        """Counts of each cell, by a reading of their own; see `adding.totals_of`."""
        totals = np.zeros(cells)
        futures = (self._cluster.made(Totals(self._matrix), (stripe,)) for stripe in stripes)
        with self._one_file():
            for (some,) in self._cluster.in_order(futures):
                totals += some
        return totals

    @contextmanager
    def _one_file(self) -> Iterator[None]:
        """Where a worker has another file because it was changed meanwhile, that is what is said."""
        try:
            yield
        except ConfigurationError:
            self._matrix.file.unchanged()
            raise

    def _sent(self, depths: Floats) -> Future[npt.NDArray[Any]]:
        import dask  # noqa: PLC0415 - slow to import, and optional

        sent = small(depths)
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):  # 4 bytes a cell, once
            name = key("depths", str(sent.dtype), hashlib.sha256(sent.data).hexdigest())
            return self._cluster.submit(depths_of, sent, key=name)
