"""`python -m benchmarks.perturbseq`: the pass over counts, for three sizes of h5ad in the published layout.

Four questions, each with its target: is time linear in the stored values; is peak memory below 1 GB and flat; how fast
is the pass against h5py merely reading and decompressing the same chunks; and against scanpy, which reads all into
memory, on the small file, with equal results. Every measurement is a process of its own; the peak is the kernel's own
(VmHWM). Compiling the loop is not measured: it takes some seconds once, however long the pass.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.ratios import Findings, arguments, at_least, at_most, parsed
from benchmarks.turns import child, in_turn, memory_mb

CELLS = (20_000, 100_000, 400_000)
GENES, TARGETS = 5_000, 1_000
LIMIT, GROWTH = at_most(1024), at_most(300)
LINEAR, READING, SCANPY, EQUAL = at_most(1.35), at_least(0.5), at_least(3), at_most(1e-6)
NEEDS = {"scanpy": ("scanpy", "anndata")}
Run = dict[str, float]


def main() -> int:
    options = _options()
    if options.child:
        print(json.dumps(SIDES[options.child](options.path, options.scratch)))
        return 0
    cells = [f"{count:,}" for count in options.cells]
    findings = Findings(
        f"generated counts of {', '.join(cells)} cells by {options.genes:,} genes, {options.compression}"
    )
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        ours = [_measure(Path(folder), count, options, findings) for count in sorted(options.cells)]
    _together([run for run in ours if run], findings)
    return findings.finish(options)


def _measure(folder: Path, cells: int, options: argparse.Namespace, findings: Findings) -> Run | None:
    """One file: reading, ours, and scanpy on the smallest. The best run of ours, with the number of stored values."""
    path = folder / f"{cells}.h5ad"
    stored = _written(path, cells, options.genes, options.targets, options.compression)
    names = [name for name in options.sides if name != "scanpy" or cells == min(options.cells)]
    sides = {name: partial(child, "perturbseq", "--child", name, "--path", path, "--scratch", folder) for name in names}
    turns = in_turn(sides, options.rounds, lambda run: f"{run['seconds']:7.2f} s  {run['peak_mb']:5.0f} MB", NEEDS)
    path.unlink()
    turns.compare(findings, f"{cells:,}: pass / h5py reading", ("ours", "reading"), lambda r: 1 / r["pass_s"], READING)
    turns.compare(findings, f"{cells:,}: pass / h5py reading, CPU", ("ours", "reading"), lambda r: 1 / r["pass_cpu"])
    if "scanpy" in names:
        turns.compare(findings, f"{cells:,}: ours / scanpy", ("ours", "scanpy"), lambda r: 1 / r["seconds"], SCANPY)
        for run in turns.runs.get("scanpy", [])[:1]:
            findings.number("largest relative difference to scanpy", run["difference"], EQUAL)
    runs = turns.runs.get("ours")
    return {**min(runs, key=lambda run: run["pass_s"]), "stored": stored} if runs else None


def _together(runs: list[Run], findings: Findings) -> None:
    """What follows from several sizes: whether each further value costs the same, and whether memory is flat."""
    pairs = list(itertools.pairwise(runs))
    each = [(late["pass_s"] - early["pass_s"]) / (late["stored"] - early["stored"]) for early, late in pairs]
    if len(each) > 1 and min(each) > 0:
        findings.number("cost of a further value, dearest / cheapest", max(each) / min(each), LINEAR)
    if runs:
        peaks = [run["peak_mb"] for run in runs]
        findings.number("peak memory", max(peaks), LIMIT, "MB")
        findings.number("growth of peak memory", max(peaks) - min(peaks), GROWTH, "MB")


def _written(path: Path, cells: int, genes: int, targets: int, compression: str) -> int:
    """An h5ad of random counts by genes, some 12 % of them stored, with obs and var as published; its stored values."""
    import h5py
    import numpy as np

    rng = np.random.default_rng(cells)
    indptr, totals = np.zeros(genes + 1, np.int64), np.zeros(cells, np.int64)
    density = rng.beta(0.6, 4.0, genes)
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        matrix = file.create_group("X")
        matrix.attrs.update({"encoding-type": "csc_matrix", "encoding-version": "0.1.0", "shape": (cells, genes)})
        make = {
            "maxshape": (None,),
            "chunks": (131_072,),
            "compression": None if compression == "none" else compression,
        }
        data = matrix.create_dataset("data", (0,), np.float32, **make)
        indices = matrix.create_dataset("indices", (0,), np.int32, **make)
        for gene in range(genes):
            places = np.flatnonzero(rng.random(cells, dtype=np.float32) < density[gene]).astype(np.int32)
            values = rng.geometric(0.6, len(places))
            end = indptr[gene] + len(places)
            for dataset, content in ((data, values.astype(np.float32)), (indices, places)):
                dataset.resize((end,))
                dataset[indptr[gene] : end] = content
            totals[places] += values
            indptr[gene + 1] = end
        matrix.create_dataset("indptr", data=indptr)
        _tables(file, cells, genes, targets, np.maximum(totals, 1))
    return int(indptr[-1])


def _tables(file, cells, genes, targets, totals):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    import numpy as np

    rng = np.random.default_rng(1)
    names = [f"GENE{number:05d}" for number in range(genes)]
    guide = np.where(rng.random(cells) < 0.05, targets * 3, rng.integers(0, targets * 3, cells))
    obs = file.create_group("obs")
    columns = {
        "gRNA": (
            [f"{names[number // 3]}_{number % 3 + 1}" for number in range(targets * 3)] + ["Non-Targeting_1"],
            guide,
        ),
        "gene_target": ([*names[:targets], "NTC"], guide // 3),
        "batch": (["ALPHA", "BETA", "GAMMA"], rng.integers(0, 3, cells)),
    }
    for name, (categories, codes) in columns.items():
        group = obs.create_group(name)
        group.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        group.create_dataset("codes", data=codes.astype(np.int32))
        _texts(group, "categories", categories)
    obs.create_dataset("total_counts", data=totals.astype(np.float32)).attrs.update(
        {"encoding-type": "array", "encoding-version": "0.2.0"}
    )
    _frame(obs, [*columns, "total_counts"], [f"CELL{number:08d}-1" for number in range(cells)])
    _frame(file.create_group("var"), [], names)


def _frame(group, columns, index):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    import h5py
    import numpy as np

    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.attrs["column-order"] = np.array(columns, dtype=h5py.string_dtype())
    _texts(group, "_index", index)


def _texts(group, name, values):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    import h5py
    import numpy as np

    made = group.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())
    made.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def _reading(path: Path, _: Path) -> dict[str, float]:
    """h5py alone: the values and indices of the matrix, in the blocks of the pass."""
    import h5py

    from cm4ai_assets.perturbseq.matrix import BLOCK_ENTRIES

    begin, spent = time.perf_counter(), time.process_time()
    with h5py.File(path, "r") as file:
        data, indices = file["X/data"], file["X/indices"]
        for at in range(0, len(data), BLOCK_ENTRIES):
            data[at : at + BLOCK_ENTRIES]
            indices[at : at + BLOCK_ENTRIES]
    seconds, cpu = time.perf_counter() - begin, time.process_time() - spent
    return {"seconds": seconds, "pass_s": seconds, "pass_cpu": cpu, "peak_mb": memory_mb()}


def _ours(path: Path, scratch: Path) -> dict[str, float]:
    """The whole asset's work: evidence, groups, the pass, statistics, the store on disk."""
    import shutil

    import zarr  # noqa: F401

    from cm4ai_assets.perturbseq import passes, profiles
    from cm4ai_assets.perturbseq.h5ad import H5ad

    _compile()
    folder = scratch / "ours"
    shutil.rmtree(folder, ignore_errors=True)
    begin, inside, cpu = time.perf_counter(), 0.0, 0.0
    run = passes.Pass.run

    def timed(self: passes.Pass) -> passes.Sums:
        nonlocal inside, cpu
        start, spent = time.perf_counter(), time.process_time()
        sums = run(self)
        inside, cpu = inside + time.perf_counter() - start, cpu + time.process_time() - spent
        return sums

    passes.Pass.run = timed  # type: ignore[method-assign]
    source = profiles.Source(path.name, "ab" * 32, lambda: H5ad(path))
    profiles.make_store(source, folder / "store", folder / "checkpoints", {})
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "pass_s": inside, "pass_cpu": cpu, "peak_mb": memory_mb()}


def _compile() -> None:
    """Have the loop compiled for the types of the file."""
    import numpy as np

    from cm4ai_assets.perturbseq import kernel

    none = np.zeros(1, np.int64)
    kernel.accumulate()(
        True, 0, none, np.zeros(0, np.int32), np.zeros(0, np.float32), 1, np.array([-1, 0]), np.zeros((1, 4), np.int32),
        np.zeros(1), np.zeros((1, 4)), 1.0, 0, 1, True, -1, np.zeros(1), np.zeros(1), np.zeros(5), np.zeros(1),
        np.zeros((1, 1, 3)), np.zeros((1, 1)), np.zeros((1, 1, 3)),
    )  # fmt: skip


def _scanpy(path: Path, scratch: Path) -> dict[str, float]:
    """The same with scanpy in memory: profiles of counts and of logarithms, and the test against the controls."""
    import warnings

    warnings.simplefilter("ignore")
    import anndata
    import numpy as np
    import polars as pl
    import scanpy as sc
    import zarr

    begin = time.perf_counter()
    adata = anndata.read_h5ad(path)
    counts = sc.get.aggregate(adata, by="gene_target", func=["mean", "var", "count_nonzero"])
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    logs = sc.get.aggregate(adata, by="gene_target", func=["mean", "var"])
    sc.tl.rank_genes_groups(adata, "gene_target", reference="NTC", method="t-test", corr_method="benjamini-hochberg")
    seconds = time.perf_counter() - begin
    store = scratch / "ours" / "store"
    names = pl.read_parquet(store / "targets.parquet").sort("tensor_index")["target"].to_list()
    pairs = {"mean": (counts, "mean"), "variance": (counts, "var"), "log_mean": (logs, "mean")}
    worst = 0.0
    for name, (found, layer) in pairs.items():
        ours, theirs = zarr.open_array(store / name, mode="r")[:], np.asarray(found[names].layers[layer])
        with np.errstate(invalid="ignore", divide="ignore"):
            worst = max(worst, float(np.nanmax(np.where(theirs > 0, np.abs(ours - theirs) / theirs, 0.0))))
    return {"seconds": seconds, "peak_mb": memory_mb(), "difference": worst}


def _options() -> argparse.Namespace:
    parser = arguments("perturbseq", __doc__, rounds=1)  # scratch: 3 GB at 400,000 cells
    parser.add_argument("--cells", type=int, nargs="+", default=list(CELLS))
    parser.add_argument("--genes", type=int, default=GENES)
    parser.add_argument("--targets", type=int, default=TARGETS)
    parser.add_argument(
        "--compression", choices=("gzip", "lzf", "none"), default="gzip", help="published files have none"
    )
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    return parsed(parser, cells=[20_000], genes=500, targets=100, rounds=2, sides=["reading", "ours"])


SIDES = {"reading": _reading, "ours": _ours, "scanpy": _scanpy}


if __name__ == "__main__":
    sys.exit(main())
