"""The counts of an h5ad by cells: for training on single cells, from a file that stands by genes.

Belongs here: turning the order of a sparse matrix in bounded memory. Does not belong here: the loaders that read the
result (docs/loading.md), and sums of cells (`passes`).

A loader wants some cells with all their genes. In a file by genes these are spread over all of it: each batch would
read everything. So the matrix is turned once: its values are dealt out to stretches of cells in temporary files, in one
reading, and each stretch is then put in order in memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeAlias

from cm4ai_assets.heavy import h5py, np, npt
from cm4ai_assets.perturbseq.counts import find_counts
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError
from cm4ai_assets.perturbseq.matrix import Block, Layout, StoredMatrix

STRETCH_ENTRIES: Final = 1 << 24
"""Values of a stretch of cells: some 600 MB while they are put in order."""
MOST_STRETCHES: Final = 1000
_ENTRY: Final = np.dtype([("cell", "<i4"), ("gene", "<i4"), ("value", "<f4")])
_CHUNK: Final = 1 << 17

Rows: TypeAlias = "npt.NDArray[np.int64]"


def by_cells(source: Path, target: Path, *, scratch: Path | None = None, stretch: int = STRETCH_ENTRIES) -> None:
    """Write an h5ad with the same cells and genes whose X holds the counts by cells (CSR), uncompressed.

    Args:
        source: An h5ad whose counts stand by genes.
        target: The file to write; it appears whole or not at all.
        scratch: Where temporary files go: 12 bytes for each stored value. Beside the target if not given.
        stretch: Values that are put in order in memory at a time.

    Raises:
        H5adError: The file cannot be used, or an index is out of range.
    """
    partial = target.with_name(f"{target.name}.part")
    with ExitStack() as stack:
        h5ad = stack.enter_context(H5ad(source))
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch or target.parent))
        matrix = StoredMatrix(h5ad, find_counts(h5ad).place)
        starts = _starts(matrix)
        cuts = _cuts(starts, stretch)
        parts = [Path(folder) / f"{number}" for number in range(len(cuts) - 1)]
        _deal(matrix, cuts, parts)
        try:
            with h5py.File(partial, "w", libver="earliest") as made:
                _write(h5ad.file, made, matrix.shape, starts, dict(zip(parts, cuts, strict=False)))
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _blocks(matrix: StoredMatrix) -> Iterator[tuple[Block, npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Blocks of the matrix, with the cell and the gene of each value."""
    for block in matrix.blocks(0, matrix.lines):
        places = np.asarray(block.places, dtype=np.int64)
        if places.size and (places.min() < 0 or places.max() >= matrix.width):
            raise H5adDamagedError(f"{matrix.label} has an index out of {matrix.width:,}.")
        lines = np.repeat(np.arange(len(block.starts) - 1) + block.first, np.diff(block.starts)).astype(np.int32)
        by_genes = matrix.layout.by_genes
        yield block, places.astype(np.int32) if by_genes else lines, lines if by_genes else places.astype(np.int32)


def _starts(matrix: StoredMatrix) -> npt.NDArray[np.int64]:
    """Where the values of each cell will begin."""
    counts = np.zeros(matrix.shape[0], np.int64)
    for _, cells, _ in _blocks(matrix):
        counts += np.bincount(cells, minlength=len(counts))
    return np.concatenate([[0], np.cumsum(counts)])


def _cuts(starts: npt.NDArray[np.int64], stretch: int) -> list[int]:
    """The first cell of each stretch, and the number of cells at the end."""
    number = int(min(max(-(-starts[-1] // stretch), 1), MOST_STRETCHES))
    inner = np.searchsorted(starts, np.linspace(0, starts[-1], number + 1)[1:-1]).tolist()
    return sorted({0, *inner, len(starts) - 1})


def _deal(matrix: StoredMatrix, cuts: list[int], parts: list[Path]) -> None:
    """Append each value to the file of its stretch."""
    with ExitStack() as stack:
        files = [stack.enter_context(part.open("wb")) for part in parts]
        for block, cells, genes in _blocks(matrix):
            entries = np.empty(len(cells), _ENTRY)
            entries["cell"], entries["gene"], entries["value"] = cells, genes, block.values
            of = np.searchsorted(cuts, cells, side="right") - 1
            order = np.argsort(of, kind="stable")
            ends = np.searchsorted(of[order], np.arange(len(parts) + 1))
            for number in np.flatnonzero(np.diff(ends)):
                entries[order[ends[number] : ends[number + 1]]].tofile(files[number])


def _write(
    source: h5py.File, made: h5py.File, shape: tuple[int, int], starts: npt.NDArray[np.int64], parts: dict[Path, int]
) -> None:
    made.attrs.update(source.attrs)
    for name in ("obs", "var"):
        source.copy(name, made)
    x = made.create_group("X")
    x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
    x.create_dataset("indptr", data=starts)
    size = (int(starts[-1]),)
    chunks = (min(_CHUNK, max(size[0], 1)),)
    data = x.create_dataset("data", size, np.float32, chunks=chunks)
    indices = x.create_dataset("indices", size, np.int32, chunks=chunks)
    for part, cell in parts.items():
        entries = np.fromfile(part, _ENTRY)
        part.unlink()
        entries = entries[np.lexsort((entries["gene"], entries["cell"]))]
        first = int(starts[cell])
        data[first : first + len(entries)], indices[first : first + len(entries)] = entries["value"], entries["gene"]


class SingleCells:
    """The cells of an h5ad by cells, to be indexed: what a loader such as scDataset takes.

    The file is opened in the process that reads it, so that worker processes may be forked or spawned. anndata's own
    backed matrices are not used: those of 0.12.6 fail with scipy 1.17.

    Args:
        path: A file whose counts stand by cells (`by_cells`).

    Raises:
        H5adError: They do not, or the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with H5ad(path) as h5ad:
            matrix = StoredMatrix(h5ad, find_counts(h5ad).place)
        if matrix.layout is not Layout.CSR:
            raise H5adEncodingError(
                f"{matrix.label} stands {'by genes' if matrix.layout.by_genes else 'dense'}, not by cells.",
                remedy="Turn it once with cm4ai_assets.perturbseq.transposed.by_cells.",
            )
        self.shape, self._place = matrix.shape, matrix.place
        self._starts = matrix.starts if matrix.starts is not None else np.zeros(1, np.int64)
        self._opened: tuple[int, h5py.File] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows | slice) -> npt.NDArray[np.float32]:
        """The counts of some cells in the order that is asked for: float32, axes cell, gene."""
        wanted = np.atleast_1d(np.arange(len(self))[rows])
        order = np.argsort(wanted, kind="stable")
        found = np.zeros((len(wanted), self.shape[1]), np.float32)
        group = self._file()[self._place]
        for run in np.split(order, np.flatnonzero(np.diff(wanted[order]) > 1) + 1):
            if run.size:
                self._fill(found, run, wanted[run], group)
        return found

    def _fill(self, found: npt.NDArray[np.float32], run: Rows, cells: Rows, group: h5py.Group) -> None:
        """Read the cells of a run, which follow one another, at once."""
        begin, end = int(self._starts[cells[0]]), int(self._starts[cells[-1] + 1])
        data, genes = group["data"][begin:end], group["indices"][begin:end]
        for row, cell in zip(run, cells, strict=True):
            mine = slice(self._starts[cell] - begin, self._starts[cell + 1] - begin)
            found[row, genes[mine]] = data[mine]

    def _file(self) -> h5py.File:
        """The file as this process has opened it."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), h5py.File(self._path, "r", locking=False))
        return self._opened[1]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}
