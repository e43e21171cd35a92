"""`python -m benchmarks.screen`: what it costs to read the table of cells of a published h5ad where it is.

The file has the layout of KOLF_Pan_Genome_QC_Filtered.h5ad: 2,659,209 cells, a matrix by genes of 189 GB before the
table, whose place is reserved and never written, so that it takes no room on disk.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import polars as pl

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
# What scanpy and the authors' pipeline add to obs beside the columns that the reference names.
OTHERS = (
    "n_genes_by_counts", "log1p_n_genes_by_counts", "log1p_total_counts", "pct_counts_in_top_20_genes",
    "total_counts_mt", "log1p_total_counts_mt", "total_counts_ribo", "pct_counts_ribo", "total_counts_hb",
    "pct_counts_hb",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--entries", type=int, default=ENTRIES, help="counts of the matrix that are not zero")
    parser.add_argument("--folder", type=Path, help="where the file is written, and kept")
    parser.add_argument("--block", type=int, default=1, help="MiB of a block")
    parser.add_argument("--blocks", type=int, default=64, help="blocks that are kept")
    parser.add_argument("--compression", choices=["gzip"], help="of the table's columns")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        path = folder / f"cells-{options.cells}-{options.compression}.h5ad"
        if not path.exists():
            write(path, options.cells, options.entries, options.compression)
        state = path.stat()
        print(f"{path.name}: {state.st_size / 1e9:.1f} GB, of which {state.st_blocks * 512 / 1e9:.2f} GB are written")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        measure(path, folder, options.block * MIB, options.blocks)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory {after:.0f} MiB, {before:.0f} MiB before the file was opened")
    return 0


class Counted(LocalBytes):
    """A file that counts what is read of it, as an archive would."""

    requests = 0
    read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.requests += 1
        self.read += length
        return super().read_at(offset, length)


def measure(path: Path, folder: Path, block: int, blocks: int) -> None:
    source, found = Counted(path), CellsRead()
    store = Store(str(folder / "storage"), scratch=Settings.from_env().scratch)
    began = time.perf_counter()
    with ByteFile(CachedBytes(source, block=block, blocks=blocks), close=source.close) as file, H5ad(file) as h5ad:
        opened = (source.requests, source.read)
        rows = (PERTURB_CELLS.place(one, release="2026-06-v2.0") for one in read_cells(h5ad, found))
        with store.stage_stretches(PERTURB_CELLS.name, Partition("2026-06-v2.0"), rows) as staged:
            wrote = time.perf_counter()
            print(f"opening: {opened[0]} requests, {opened[1] / MIB:.1f} MiB")
            print(
                f"reading: {source.requests} requests, {source.read / 1e6:,.0f} MB, {wrote - began:.1f} s with writing"
            )
            print(f"{found.rows:,} rows, {len(found.unknown)} columns kept as text")
            print(f"published table: {staged.path.stat().st_size / 1e6:,.0f} MB")
            problems = staged.violations()
            print(f"held against its schema: {problems or 'as declared'}, {time.perf_counter() - wrote:.1f} s")


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
