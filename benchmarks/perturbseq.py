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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CELLS = (20_000, 100_000, 400_000)
GENES, TARGETS = 5_000, 1_000
LIMIT_MB, GROWTH_MB = 1024, 300
LINEAR, READING, SCANPY, EQUAL = 1.35, 0.5, 3.0, 1e-6


def main() -> int:
    options = _options()
    if options.child:
        print(json.dumps(globals()[f"_{options.child}"](options.path, options.scratch)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        return _report(Path(folder), options)


def _report(folder: Path, options: argparse.Namespace) -> int:
    runs = []
    for cells in options.cells:
        path = folder / f"{cells}.h5ad"
        stored = _written(path, cells, options.genes, options.targets, options.compression)
        size = path.stat().st_size
        sides: dict[str, list[dict[str, float]]] = {"reading": [], "ours": []}
        for _ in range(options.rounds):
            for side, found in sides.items():
                found.append(_measured(side, path, folder))
        reading, ours = (min(one, key=lambda run: run["seconds"]) for one in sides.values())
        runs.append((cells, stored, ours, reading))
        print(
            f"{cells:9,d} cells x {options.genes:,} genes, {stored / 1e6:8.1f} million values, {size / 1e9:5.2f} GB: "
            f"pass {ours['pass']:7.2f} s, whole {ours['seconds']:7.2f} s, peak {ours['peak_mb']:4.0f} MB; h5py in "
            f"{reading['seconds']:7.2f} s: {reading['seconds'] / ours['pass']:.2f} of its rate",
            flush=True,
        )
        if cells == min(options.cells):
            scanpy = _measured("scanpy", path, folder)
            print(
                f"{'':9s} scanpy {scanpy['seconds']:.2f} s, peak {scanpy['peak_mb']:.0f} MB: "
                f"{scanpy['seconds'] / ours['seconds']:.1f} times ours; largest relative difference "
                f"{scanpy['difference']:.1e}",
                flush=True,
            )
        path.unlink()
    return _verdicts(runs, scanpy, ours_small=runs[0][2])


def _verdicts(
    runs: list[tuple[int, int, dict[str, float], dict[str, float]]],
    scanpy: dict[str, float],
    *,
    ours_small: dict[str, float],
) -> int:
    marginal = [
        (later[2]["pass"] - earlier[2]["pass"]) / (later[1] - earlier[1])
        for earlier, later in itertools.pairwise(sorted(runs, key=lambda run: run[1]))
    ]
    peaks = [ours["peak_mb"] for _, _, ours, _ in runs]
    verdicts = {
        f"linear: seconds of each further value differ by {LINEAR} at most": max(marginal) / min(marginal) <= LINEAR,
        f"peak below {LIMIT_MB} MB": max(peaks) <= LIMIT_MB,
        f"peak grows by {GROWTH_MB} MB at most": max(peaks) - min(peaks) <= GROWTH_MB,
        f"{READING} of the rate of h5py reading": all(r["seconds"] / o["pass"] >= READING for _, _, o, r in runs),
        f"{SCANPY:.0f} times scanpy": scanpy["seconds"] / ours_small["seconds"] >= SCANPY,
        f"equal to {EQUAL}": scanpy["difference"] <= EQUAL,
    }
    for what, met in verdicts.items():
        print(f"{what}: {'met' if met else 'MISSED'}")
    return 0 if all(verdicts.values()) else 1


def _written(path: Path, cells: int, genes: int, targets: int, compression: str | None) -> int:
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
        make = {"maxshape": (None,), "chunks": (131_072,), "compression": compression}
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


def _measured(side: str, path: Path, scratch: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.perturbseq", "--child", side, "--path", str(path)]
    done = subprocess.run([*command, "--scratch", str(scratch)], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _reading(path: Path, _: Path) -> dict[str, float]:
    """h5py alone: the values and indices of the matrix, in the blocks of the pass."""
    import h5py

    from cm4ai_assets.perturbseq.matrix import BLOCK_ENTRIES

    begin = time.perf_counter()
    with h5py.File(path, "r") as file:
        data, indices = file["X/data"], file["X/indices"]
        for at in range(0, len(data), BLOCK_ENTRIES):
            data[at : at + BLOCK_ENTRIES]
            indices[at : at + BLOCK_ENTRIES]
    return {"seconds": time.perf_counter() - begin, "peak_mb": _peak()}


def _ours(path: Path, scratch: Path) -> dict[str, float]:
    """The whole asset's work: evidence, groups, the pass, statistics, the store on disk."""
    import shutil

    import zarr  # noqa: F401

    from cm4ai_assets.perturbseq import passes, profiles
    from cm4ai_assets.perturbseq.h5ad import H5ad

    _compile()
    folder = scratch / "ours"
    shutil.rmtree(folder, ignore_errors=True)
    begin, inside = time.perf_counter(), 0.0
    run = passes.Pass.run

    def timed(self: passes.Pass) -> passes.Sums:
        nonlocal inside
        start = time.perf_counter()
        sums = run(self)
        inside += time.perf_counter() - start
        return sums

    passes.Pass.run = timed  # type: ignore[method-assign]
    source = profiles.Source(path.name, "ab" * 32, lambda: H5ad(path))
    profiles.make_store(source, folder / "store", folder / "checkpoints", {})
    return {"seconds": time.perf_counter() - begin, "pass": inside, "peak_mb": _peak()}


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
    return {"seconds": seconds, "peak_mb": _peak(), "difference": worst}


def _peak() -> float:
    """Megabytes at most, as the kernel counts them."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perturbseq", description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=list(CELLS))
    parser.add_argument("--genes", type=int, default=GENES)
    parser.add_argument("--targets", type=int, default=TARGETS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--compression", choices=("gzip", "lzf"), help="none if not given, as the published files have")
    parser.add_argument("--scratch", type=Path, help="where to write: 3 GB at 400,000 cells")
    parser.add_argument("--child", choices=("reading", "ours", "scanpy"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
