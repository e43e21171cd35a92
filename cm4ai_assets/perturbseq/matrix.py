"""A stored matrix of cells and genes, read in the order in which it stands: block after block, never whole.

Belongs here: the layouts of a matrix in an h5ad (by genes: CSC; by cells: CSR, dense), what its parts must agree on,
and blocks of bounded size. Does not belong here: which matrix holds counts (`counts`), and what is summed (`passes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cm4ai_assets.heavy import h5py, np, npt
from cm4ai_assets.perturbseq.columns import member
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError

BLOCK_ENTRIES: Final = 1 << 21
"""Stored values of a block: two blocks of 12 bytes a value are some 50 MB."""


class Layout(StrEnum):
    """How a matrix stands in its file."""

    CSC = "csc"
    CSR = "csr"
    DENSE = "dense"

    @property
    def by_genes(self) -> bool:
        """All cells of a gene stand together; else all genes of a cell."""
        return self is Layout.CSC


@dataclass(frozen=True)
class Block:
    """Stored values that follow one another.

    A line is a gene where the matrix stands by genes, else a cell.

    Attributes:
        first: The first line of which the block holds values.
        starts: int64; where the values of each line start in the block, and where the last one's end.
        places: For each value its place within the line: a cell, or a gene.
        values: The values.
        end: Where the block after it begins: a value of a sparse matrix, a cell of a dense one.
        continues: The block starts within its first line.
    """

    first: int
    starts: npt.NDArray[np.int64]
    places: npt.NDArray[np.integer[Any]]
    values: npt.NDArray[Any]
    end: int
    continues: bool = False


_SPARSE: Final = {"csc_matrix": Layout.CSC, "csr_matrix": Layout.CSR}


class StoredMatrix:
    """One matrix of an h5ad.

    Attributes:
        place: Where it stands: `X`, `layers/counts`, `raw/X`.
        layout: Its layout.
        shape: Cells and genes.
        dtype: Type of its values.

    Args:
        h5ad: The open file.
        place: Where the matrix stands in it.

    Raises:
        H5adEncodingError: It is neither sparse nor dense in a form of anndata, or its values are no numbers.
        H5adDamagedError: Its parts contradict one another.
    """

    def __init__(self, h5ad: H5ad, place: str) -> None:
        self._h5ad, self.place, self.label = h5ad, place, f"{h5ad.label}: {place}"
        with h5ad.reading():
            node: h5py.Group | h5py.Dataset = h5ad.file
            for name in place.split("/"):  # step by step: no link to another file is followed
                node = member(node, name, h5ad.label)
            self.layout, self.shape = _form(node, self.label)
            sparse = isinstance(node, h5py.Group)
            self._values: h5py.Dataset = _part(node, "data", self.label) if sparse else node
            self._places: h5py.Dataset | None = _part(node, "indices", self.label) if sparse else None
            self.dtype = self._values.dtype
            if self.dtype.kind not in "fiub":
                raise H5adEncodingError(f"{self.label} holds values of type {self.dtype}, not numbers.")
            self.starts = self._sparse_starts(node) if self._places is not None else None
        if self.shape[0] != h5ad.obs.height:
            raise H5adDamagedError(f"{self.label} has {self.shape[0]:,} cells, obs has {h5ad.obs.height:,} rows.")

    def _sparse_starts(self, node: h5py.Group) -> npt.NDArray[np.int64]:
        """The first value of each line, and the number of values: held against what they must be."""
        assert self._places is not None
        lines, stored, indptr = self.lines, len(self._values), _part(node, "indptr", self.label)
        if indptr.shape != (lines + 1,):
            raise H5adDamagedError(f"{self.label}: indptr has {indptr.shape[0]:,} places for {lines:,} lines.")
        starts = np.asarray(indptr[:], dtype=np.int64)
        if len(self._places) != stored:
            raise H5adDamagedError(f"{self.label} has {stored:,} values and {len(self._places):,} indices.")
        if starts[0] != 0 or starts[-1] != stored:
            raise H5adDamagedError(
                f"{self.label}: indptr goes from {starts[0]:,} to {starts[-1]:,}, the values from 0 to {stored:,}."
            )
        if (falls := np.flatnonzero(np.diff(starts) < 0)).size:
            raise H5adDamagedError(f"{self.label}: indptr decreases after line {falls[0]:,}.")
        return starts

    @property
    def lines(self) -> int:
        """Genes where the matrix stands by genes, else cells."""
        return self.shape[1] if self.layout.by_genes else self.shape[0]

    @property
    def width(self) -> int:
        """Places of a line."""
        return self.shape[0] if self.layout.by_genes else self.shape[1]

    @property
    def stored(self) -> int:
        """Stored values."""
        return int(self.starts[-1]) if self.starts is not None else self.shape[0] * self.shape[1]

    def stored_in(self, first: int, last: int) -> int:
        """Stored values of the lines from `first` to before `last`."""
        return (last - first) * self.width if self.starts is None else int(self.starts[last] - self.starts[first])

    def sample(self, pieces: int = 8, entries: int = 1 << 16) -> npt.NDArray[Any]:
        """Some of the stored values: pieces that are spread evenly over the matrix."""
        with self._h5ad.reading():
            if self.starts is None:
                rows = max(1, min(self.shape[0], entries // max(self.width, 1)))
                firsts = sorted({int(at) for at in np.linspace(0, max(self.shape[0] - rows, 0), pieces)})
                return np.concatenate([self._values[at : at + rows].ravel() for at in firsts])
            firsts = sorted({int(at) for at in np.linspace(0, max(self.stored - entries, 0), pieces)})
            return np.concatenate([self._values[at : at + entries] for at in firsts])

    def line(self, number: int) -> npt.NDArray[np.int64]:
        """The places of one line of a sparse matrix, as they stand."""
        assert self.starts is not None
        assert self._places is not None
        with self._h5ad.reading():
            return np.asarray(self._places[self.starts[number] : self.starts[number + 1]], dtype=np.int64)

    def blocks(self, first: int, last: int, *, begin: int | None = None) -> Iterator[Block]:
        """The lines from `first` to before `last`, in order. The next block is read while one is worked on.

        `begin` goes on where a block ended (`Block.end`).

        Raises:
            H5adDamagedError: The bytes are damaged.
        """
        dense = self.starts is None
        ranges = list((self._dense_ranges if dense else self._sparse_ranges)(first, last, begin))
        with ThreadPoolExecutor(1) as reader:
            coming = None
            for one in ranges:
                ready, coming = coming, reader.submit(self._read, *one)
                if ready is not None:
                    yield ready.result()
            if coming is not None:
                yield coming.result()

    def _sparse_ranges(self, first: int, last: int, begin: int | None) -> Iterator[tuple[int, int]]:
        """Ranges of values that end where chunks of the file end, so that no chunk is decompressed twice."""
        assert self.starts is not None
        start, end = int(self.starts[first]), int(self.starts[last])
        chunk = (self._values.chunks or (1,))[0]
        step = max(BLOCK_ENTRIES // chunk, 1) * chunk
        at = start if begin is None else begin
        while at < end:
            following = min((at // step + 1) * step, end)
            yield at, following
            at = following

    def _dense_ranges(self, first: int, last: int, begin: int | None) -> Iterator[tuple[int, int]]:
        chunk = (self._values.chunks or (1,))[0]
        step = max(BLOCK_ENTRIES // max(self.width, 1) // chunk, 1) * chunk
        for at in range(first if begin is None else begin, last, step):
            yield at, min(at + step, last)

    def _read(self, begin: int, end: int) -> Block:
        with self._h5ad.reading():
            return self._dense_block(begin, end) if self.starts is None else self._sparse_block(begin, end)

    def _sparse_block(self, begin: int, end: int) -> Block:
        assert self.starts is not None
        assert self._places is not None
        first = int(np.searchsorted(self.starts, begin, side="right")) - 1
        last = int(np.searchsorted(self.starts, end, side="left"))
        starts = np.clip(self.starts[first : last + 1], begin, end) - begin
        continues = bool(self.starts[first] < begin)
        return Block(first, starts, self._places[begin:end], self._values[begin:end], end, continues)

    def _dense_block(self, begin: int, end: int) -> Block:
        rows = np.asarray(self._values[begin:end])
        lines, places = np.nonzero(rows)
        starts = np.searchsorted(lines, np.arange(end - begin + 1))
        return Block(begin, starts.astype(np.int64), places.astype(np.int32), rows[lines, places], end)


def _part(node: h5py.Group, name: str, label: str) -> h5py.Dataset:
    found = member(node, name, label)
    if not isinstance(found, h5py.Dataset) or found.ndim != 1:
        raise H5adEncodingError(f"{label}: {name} is no list of numbers.")
    return found


def _form(node: h5py.Group | h5py.Dataset, label: str) -> tuple[Layout, tuple[int, int]]:
    """Layout and shape, as anndata states them; older files say `h5sparse_format` and `h5sparse_shape`."""
    if isinstance(node, h5py.Dataset):
        if node.ndim != 2:  # noqa: PLR2004 - cells and genes
            raise H5adEncodingError(f"{label} has {node.ndim} dimensions, not cells and genes.")
        return Layout.DENSE, (int(node.shape[0]), int(node.shape[1]))
    stated = node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", ""))
    text = stated.decode() if isinstance(stated, bytes) else str(stated)
    layout = _SPARSE.get(text if text.endswith("_matrix") else f"{text}_matrix")
    if layout is None or any(node.get(part, getlink=True) is None for part in ("data", "indices", "indptr")):
        raise H5adEncodingError(
            f"{label} is neither csc_matrix, csr_matrix nor a dense array, but {text or 'unnamed'}."
        )
    shape = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    if shape is None or len(shape) != 2 or _part(node, "indices", label).dtype.kind not in "iu":  # noqa: PLR2004
        raise H5adEncodingError(f"{label} does not state its shape, or its indices are no integers.")
    return layout, (int(shape[0]), int(shape[1]))
