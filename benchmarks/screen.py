"""`python -m benchmarks.screen`: what it costs to read the table of cells of a published h5ad where it is.

The file has the layout of KOLF_Pan_Genome_QC_Filtered.h5ad: 2,659,209 cells, a matrix by genes of 189 GB before the
table, whose place is reserved and never written, so that it takes no room on disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import polars as pl

from benchmarks.ratios import Findings, Lost, arguments, at_most, parsed
from benchmarks.turns import memory_mb
from cm4ai_assets.perturbseq.cells import CellsRead, read_cells
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.sandbox.perturbseq import CHANNELS
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.bytes import ByteFile, CachedBytes, LocalBytes
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.screen import PERTURB_CELLS

CELLS, GENES, ENTRIES = 2_659_209, 38_606, 15_782_000_000
TARGETS, CONTROLS = 11_691, 947
MIB = 1 << 20
READ = at_most(1.2)
# What scanpy and the authors' pipeline add to obs beside the columns that the reference names.
OTHERS = (
    "n_genes_by_counts", "log1p_n_genes_by_counts", "log1p_total_counts", "pct_counts_in_top_20_genes",
    "total_counts_mt", "log1p_total_counts_mt", "total_counts_ribo", "pct_counts_ribo", "total_counts_hb",
    "pct_counts_hb",
)  # fmt: skip


def main() -> int:
    options = _options()
    findings = Findings(f"a generated table of {options.cells:,} cells in the published layout")
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        path = Path(folder) / "cells.h5ad"
        write(path, options.cells, options.entries, options.compression)
        state, before = path.stat(), memory_mb()
        findings.fact(
            "file", f"{state.st_size / 1e9:.1f} GB, of which {state.st_blocks * 512 / 1e9:.2f} GB are written"
        )
        measure(path, Path(folder), options, findings)
        findings.fact("peak memory", f"{memory_mb():.0f} MB, {before:.0f} MB before the file was opened")
    return findings.finish(options)


def _options() -> argparse.Namespace:
    parser = arguments("screen", __doc__, rounds=1)
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--entries", type=int, default=ENTRIES, help="counts of the matrix that are not zero")
    parser.add_argument("--block", type=int, default=1, help="MiB of a block")
    parser.add_argument("--blocks", type=int, default=64, help="blocks that are kept")
    parser.add_argument("--compression", choices=["gzip"], help="of the table's columns")
    return parsed(parser, cells=50_000, entries=300_000_000)


class Counted(LocalBytes):
    """A file that counts what is read of it, as an archive would."""

    requests = 0
    read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.requests += 1
        self.read += length
        return super().read_at(offset, length)


def measure(path: Path, folder: Path, options: argparse.Namespace, findings: Findings) -> None:
    """What is asked for and read, against what the table takes: requests and bytes, which no busy machine changes."""
    source, found = Counted(path), CellsRead()
    store = Store(str(folder / "storage"), scratch=Settings.from_env().scratch)
    cached = CachedBytes(source, block=options.block * MIB, blocks=options.blocks)
    began = time.perf_counter()
    with ByteFile(cached, close=source.close) as file, H5ad(file) as h5ad:
        findings.fact("opening", f"{source.requests} requests, {source.read / MIB:.1f} MiB")
        rows = (PERTURB_CELLS.place(one, release="2026-06-v2.0") for one in read_cells(h5ad, found))
        with store.stage_stretches(PERTURB_CELLS.name, Partition("2026-06-v2.0"), rows) as staged:
            seconds = time.perf_counter() - began
            said = f"{source.requests} requests, {source.read / 1e6:,.0f} MB, {seconds:.1f} s"
            findings.fact("reading", f"{said}; {found.rows:,} rows, {len(found.unknown)} columns kept as text")
            table = path.stat().st_blocks * 512
            findings.number("bytes read / bytes of the table", source.read / table, READ)
            findings.number("bytes of a request / a block", source.read / source.requests / (options.block * MIB))
            findings.fact("published table", f"{staged.path.stat().st_size / 1e6:,.0f} MB")
            if problems := staged.violations():
                findings.without("as its schema declares", Lost(str(problems), failed=True))


def write(path: Path, cells: int, entries: int, compression: str | None) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        matrix = file.create_group("X")
        matrix.attrs.update({"encoding-type": "csc_matrix", "encoding-version": "0.1.0", "shape": [cells, GENES]})
        for name, kind in (("data", np.float32), ("indices", np.int64)):
            _reserved(matrix, name, entries, np.dtype(kind))
        matrix.create_dataset("indptr", data=np.linspace(0, entries, GENES + 1).astype(np.int64))
        _table(file, "obs", {"cell_barcode": _barcodes(cells), **_columns(cells)}, compression)
        ids = [f"ENSG{number:011d}" for number in range(GENES)]
        _table(file, "var", {"_index": [f"G{number}" for number in range(GENES)], "gene_ids": ids}, compression)


def _reserved(group: h5py.Group, name: str, length: int, kind: np.dtype) -> None:
    """A dataset whose place in the file is taken and not written."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple((length,))
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(kind), space, properties)


def _barcodes(cells: int) -> list[str]:
    letters = np.array(list("ACGT"))
    numbers = np.arange(cells, dtype=np.uint64) * np.uint64(2_654_435_761) % np.uint64(2**32)
    bases = letters[(numbers[:, None] >> np.arange(0, 32, 2, dtype=np.uint64)) & np.uint64(3)]
    joined = np.ascontiguousarray(bases).view("U16").ravel().tolist()
    return [f"{one}-{number % 90 + 1}" for number, one in enumerate(joined)]


def _columns(cells: int) -> dict[str, np.ndarray | pl.Series]:
    rng = np.random.default_rng(0)
    guide = rng.integers(0, TARGETS * 3 + CONTROLS, cells)
    target = np.minimum(guide // 3, TARGETS)
    number = np.where(target == TARGETS, guide - TARGETS * 3, guide % 3) + 1
    names = pl.Series([f"GENE{n}" for n in range(TARGETS)] + ["Non-Targeting"]).gather(target)
    genes = pl.Series([f"GENE{n}" for n in range(TARGETS)] + ["NTC"]).gather(target)
    channel = pl.Series(CHANNELS).gather(rng.integers(0, len(CHANNELS), cells))
    counts = rng.integers(2_000, 60_000, cells).astype(np.float32)
    texts = {
        "gRNA": names + "_" + pl.Series(number).cast(pl.String),
        "n_gRNA_UMIs": pl.Series(rng.integers(1, 400, cells)).cast(pl.String),
        "gene_target": genes,
        "gene_target_ensembl_id": pl.Series([f"ENSG{n:011d}" for n in range(TARGETS)] + ["NTC"]).gather(target),
        "celltype": pl.Series(["KOLF2.1J"]).gather([0] * cells),
        "perturbation_type": pl.Series(["CRISPRi"]).gather([0] * cells),
        "perturbed": pl.Series(["True", "False"]).gather(target == TARGETS),
        "channel": channel,
        "batch": channel.str.split("-").list.first(),
        "treatment": pl.Series(["None"]).gather([0] * cells),
    }
    numbers = {
        "n_gRNA": np.ones(cells, np.int64),
        "n_UMI_counts": counts,
        "n_genes": (counts / 5).astype(np.int64),
        "total_counts": counts,
        "pct_counts_mt": rng.random(cells, np.float32) * 8,
        "target_knockdown": rng.random(cells),
    }
    return {**texts, **numbers, **{name: rng.random(cells, np.float32) for name in OTHERS}}


def _table(file: h5py.File, name: str, columns: dict, compression: str | None) -> None:
    """The first column is the index."""
    group = file.create_group(name)
    index_name, *others = columns
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": index_name})
    group.attrs["column-order"] = others
    for column, values in columns.items():
        if isinstance(values, pl.Series):
            categories = values.unique().sort()
            codes = values.cast(pl.Enum(categories)).to_physical().to_numpy()
            part = group.create_group(column)
            part.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
            small = np.int8 if len(categories) < 128 else np.int16 if len(categories) < 32_768 else np.int32
            part.create_dataset("codes", data=codes.astype(small), compression=compression)
            part.create_dataset("categories", data=categories.to_list(), dtype=h5py.string_dtype())
        else:
            group.create_dataset(column, data=values, dtype=h5py.string_dtype() if isinstance(values, list) else None,
                                 compression=compression)  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
