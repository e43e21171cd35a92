"""How anndata lays an h5ad out on disk: matrix, cells, genes, in this order.

Belongs here: datasets, groups and their attributes. Does not belong here: what stands in them (`perturbseq`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cm4ai_assets.heavy import h5py, np, npt
from cm4ai_assets.sandbox.perturbseq import CHANNELS, CONTROL, Experiment

Layout = Literal["csc", "csr", "dense"]
Place = Literal["X", "layers/counts"]


def h5ad(experiment: Experiment | None = None, *, layout: Layout = "csc", counts: Place = "X") -> bytes:
    """A small file as bytes; see `write_h5ad`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        write_h5ad(path, experiment or Experiment(), layout=layout, counts=counts)
        return path.read_bytes()


def write_h5ad(
    path: Path,
    experiment: Experiment,
    *,
    layout: Layout = "csc",
    counts: Place = "X",
    compression: str | None = None,
) -> None:
    """Write the experiment as anndata does.

    Args:
        path: The file to write.
        experiment: What is in it.
        layout: How counts are stored: sparse by genes, sparse by cells, or dense.
        counts: Where they stand; if not in `X`, then `X` is dense and holds log-normalized values.
        compression: "gzip" or none, as for the published files.
    """
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            file.create_group(name).attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        if layout == "dense":
            totals = _write_dense(file, counts, experiment, experiment.by_cells(), compression)
        else:
            totals = _write_sparse(file, counts, experiment, layout, compression)
        if counts != "X":
            _write_dense(file, "X", experiment, (_normalized(block) for block in experiment.by_cells()), compression)
        # After the matrix, as anndata does: the cells' table stands at the end of a large file.
        _write_frame(file, "obs", _obs(experiment, totals), compression)
        _write_frame(file, "var", _var(experiment), compression)


def _normalized(counts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.log1p(counts / totals * 10_000), np.float32)


class _Totals:
    """Counts of each cell, and how many of its genes have any, as the matrix is written."""

    def __init__(self, cells: int) -> None:
        self.counts, self.genes = np.zeros(cells, np.float32), np.zeros(cells, np.int64)

    def add(self, cells: slice, block: npt.NDArray[np.float32]) -> None:
        """Count a block of cells and genes."""
        self.counts[cells] += block.sum(axis=1)
        self.genes[cells] += np.count_nonzero(block, axis=1)


def _write_dense(
    file: h5py.File,
    name: str,
    experiment: Experiment,
    blocks: Iterator[npt.NDArray[np.float32]],
    compression: str | None,
) -> _Totals:
    shape = (experiment.cells, experiment.genes)
    values = file.create_dataset(name, shape, np.float32, compression=compression)
    values.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    totals = _Totals(experiment.cells)
    at = 0
    for block in blocks:
        values[at : at + len(block)] = block
        totals.add(slice(at, at + len(block)), block)
        at += len(block)
    return totals


def _write_sparse(
    file: h5py.File, name: str, experiment: Experiment, layout: Layout, compression: str | None
) -> _Totals:
    """Parts are collected in files beside, because a dataset without chunks must know its length when it is made."""
    by_genes = layout == "csc"
    blocks = (block.T for block in experiment.by_genes()) if by_genes else experiment.by_cells()
    lengths: list[npt.NDArray[np.int64]] = []
    totals, at = _Totals(experiment.cells), 0
    with tempfile.TemporaryFile() as data, tempfile.TemporaryFile() as indices:
        for block in blocks:
            if by_genes:
                totals.add(slice(None), block.T)
            else:
                totals.add(slice(at, at + len(block)), block)
                at += len(block)
            major, minor = np.nonzero(block)
            lengths.append(np.bincount(major, minlength=len(block)))
            data.write(np.ascontiguousarray(block[major, minor]).tobytes())
            indices.write(minor.astype(np.int32).tobytes())
        group = file.create_group(name)
        group.attrs.update({"encoding-type": f"{layout}_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = np.array([experiment.cells, experiment.genes])
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        group.create_dataset("indptr", data=indptr.astype(np.int32 if indptr[-1] < 2**31 else np.int64))
        _copy(data, group.create_dataset("data", (indptr[-1],), np.float32, compression=compression))
        _copy(indices, group.create_dataset("indices", (indptr[-1],), np.int32, compression=compression))
    return totals


def _copy(source: Any, target: h5py.Dataset) -> None:  # noqa: ANN401 - a temporary file is of no nameable type
    source.seek(0)
    step = 1 << 22
    for start in range(0, len(target), step):
        stop = min(start + step, len(target))
        target[start:stop] = np.frombuffer(source.read((stop - start) * target.dtype.itemsize), target.dtype)


Columns = dict[str, "npt.NDArray[Any] | list[str]"]


@dataclass(frozen=True)
class _Frame:
    """A table: its index with its name, columns of categories, and columns of values."""

    index_name: str
    index: list[str]
    categories: Columns
    values: Columns


def _obs(experiment: Experiment, totals: _Totals) -> _Frame:
    first, second = experiment.guide_of_cell, experiment.second_guide_of_cell
    several = second >= 0
    guides = [experiment.guides[number] for number in first]
    # As in the published pipeline: names of single guides are rewritten, joined ones are not.
    calls = [
        f"{guide.name}|{experiment.guides[other].name}" if more else guide.reindexed
        for guide, other, more in zip(guides, second, several, strict=True)
    ]
    targets = [
        call if more else "NTC" if guide.gene == CONTROL else guide.gene
        for call, guide, more in zip(calls, guides, several, strict=True)
    ]
    channels = [CHANNELS[number] for number in experiment.channel_of_cell]
    rng = experiment.generator("obs", experiment.cells)
    umis = rng.integers(3, 60, (experiment.cells, 2))
    categories: Columns = {
        "gRNA": calls,
        "n_gRNA_UMIs": [f"{a}|{b}" if more else str(a) for (a, b), more in zip(umis, several, strict=True)],
        "gene_target": targets,
        "gene_target_ensembl_id": [
            "" if more else "NTC" if guide.gene == CONTROL else guide.gene_id
            for guide, more in zip(guides, several, strict=True)
        ],
        "celltype": ["KOLF2.1J"] * experiment.cells,
        "perturbation_type": ["CRISPRi"] * experiment.cells,
        "perturbed": ["False" if target == "NTC" else "True" for target in targets],
        "channel": channels,
        "batch": [channel.partition("-")[0] for channel in channels],
        "treatment": ["None"] * experiment.cells,
    }
    values: Columns = {
        "n_gRNA": 1 + several.astype(np.int64),
        "n_UMI_counts": totals.counts,
        "n_genes": totals.genes,
        "total_counts": totals.counts,
        "pct_counts_mt": rng.uniform(0, 8, experiment.cells).astype(np.float32),
        "target_knockdown": np.round(1 - experiment.remaining[first], 4),
    }
    return _Frame("cell_barcode", _barcodes(experiment), categories, values)


def _barcodes(experiment: Experiment) -> list[str]:
    """Barcodes of 16 bases with the number of the channel behind, as `cellranger aggr` writes them; none twice."""
    letters = np.array(list("ACGT"))
    numbers = np.arange(experiment.cells, dtype=np.uint64) * np.uint64(2_654_435_761) % np.uint64(2**32)
    bases = letters[(numbers[:, None] >> np.arange(0, 32, 2, dtype=np.uint64)) & np.uint64(3)]
    return [f"{''.join(row)}-{number + 1}" for row, number in zip(bases, experiment.channel_of_cell, strict=True)]


def _var(experiment: Experiment) -> _Frame:
    categories: Columns = {"feature_types": ["Gene Expression"] * experiment.genes}
    return _Frame("_index", experiment.symbols, categories, {"gene_ids": experiment.gene_ids})


def _write_frame(file: h5py.File, name: str, frame: _Frame, compression: str | None) -> None:
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": frame.index_name})
    group.attrs["column-order"] = [*frame.categories, *frame.values]
    _write_values(group, frame.index_name, frame.index, compression)
    for column, entries in frame.categories.items():
        distinct, codes = np.unique(np.array(entries, dtype=object), return_inverse=True)
        inner = group.create_group(column)
        inner.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        small = np.int8 if len(distinct) < 128 else np.int16 if len(distinct) < 32_768 else np.int32  # noqa: PLR2004
        _write_values(inner, "codes", codes.astype(small), compression)
        _write_values(inner, "categories", list(distinct), compression)
    for column, entries in frame.values.items():
        _write_values(group, column, entries, compression)


def _write_values(group: h5py.Group, name: str, entries: npt.NDArray[Any] | list[str], compression: str | None) -> None:
    if isinstance(entries, list):
        made = group.create_dataset(name, data=entries, dtype=h5py.string_dtype(), compression=compression)
        made.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
    else:
        made = group.create_dataset(name, data=entries, compression=compression)
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
