"""`python -m benchmarks.secms`: SEC-MS reports to Parquet: nine reports of 8,000 protein groups by 72 fractions.

Ours and pandas' `melt` read the same files and write one Parquet file per condition with the same rows; that they are
the same is checked.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.ratios import Findings, Lost, arguments, at_least, parsed
from benchmarks.turns import child, in_turn, memory_mb

TARGET = at_least(2.5)
NEEDS = {"pandas melt": ("pandas",)}
CONDITIONS = {"untreated": "CTRL", "paclitaxel": "PTXL", "vorinostat": "VRST"}


def ours(reports: Path, target: Path) -> None:
    """`secms_profiles` as the asset writes it."""
    import polars as pl

    from cm4ai_assets.proteomics.rows import profile_rows
    from cm4ai_assets.proteomics.spectronaut import read_report

    for condition, token in CONDITIONS.items():
        files = sorted(reports.glob(f"*_{token}_*.tsv"))
        rows = pl.concat([profile_rows(read_report(file.read_bytes(), file.name).elution) for file in files])
        rows.write_parquet(
            target / f"{condition}.parquet", compression="zstd", compression_level=3, row_group_size=65_536
        )


def both_tables(reports: Path, target: Path) -> None:
    """`secms_profiles` and `secms_proteins`: windows, apexes, peaks and defects too."""
    import polars as pl

    from cm4ai_assets.proteomics.rows import profile_rows, protein_rows
    from cm4ai_assets.proteomics.spectronaut import read_report

    for condition, token in CONDITIONS.items():
        read = [read_report(file.read_bytes(), file.name) for file in sorted(reports.glob(f"*_{token}_*.tsv"))]
        rows, proteins = pl.concat([profile_rows(one.elution) for one in read]), pl.concat(map(protein_rows, read))
        rows.write_parquet(
            target / f"{condition}.parquet", compression="zstd", compression_level=3, row_group_size=65_536
        )
        proteins.write_parquet(target / f"{condition}.proteins", compression="zstd", compression_level=3)


def pandas(reports: Path, target: Path) -> None:
    """The same with pandas: read_csv, melt, fraction from the header."""
    import pandas as pd  # type: ignore[import-untyped]

    for condition, token in CONDITIONS.items():
        parts = []
        for file in sorted(reports.glob(f"*_{token}_*.tsv")):
            wide = pd.read_csv(file, sep="\t", na_values=["Filtered"])
            quantities = [name for name in wide.columns if name.endswith("PG.Quantity")]
            fractions = {name: int(re.findall(r"_F(\d+)_", name)[0]) for name in quantities}
            runs = {name: name.split("] ")[1].removesuffix(".PG.Quantity") for name in quantities}
            long = wide[["PG.ProteinGroups", *quantities]].melt(
                id_vars="PG.ProteinGroups", value_vars=quantities, var_name="column", value_name="quantity"
            )
            long["fraction"] = long["column"].map(fractions).astype("int16")
            long["run"] = long["column"].map(runs)
            long["replicate_id"] = file.stem
            parts.append(long.drop(columns="column").rename(columns={"PG.ProteinGroups": "protein_group"}))
        pd.concat(parts).to_parquet(target / f"{condition}.parquet", compression="zstd", index=False)


WAYS: dict[str, Callable[[Path, Path], None]] = {"ours": ours, "ours, both tables": both_tables, "pandas melt": pandas}


def work(way: str, reports: Path, target: Path) -> dict[str, float]:
    """One measurement, without imports."""
    if way == "pandas melt":
        import pandas as pd  # noqa: F401
        import pyarrow.parquet as pq  # noqa: F401
    else:
        import numpy as np  # noqa: F401 - else at its first use: see `heavy`

        import cm4ai_assets.proteomics.rows
        import cm4ai_assets.proteomics.spectronaut  # noqa: F401

    begin, begin_cpu = time.perf_counter(), time.process_time()
    WAYS[way](reports, target)
    return {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - begin_cpu, "mb": memory_mb()}


def totals(target: Path) -> list[tuple[object, ...]]:
    import polars as pl

    columns = [pl.len(), pl.col("quantity").count().alias("n"), pl.col("quantity").sum().round_sig_figs(9).alias("sum"),
               (pl.col("quantity") * pl.col("fraction")).sum().round_sig_figs(9).alias("weighted")]  # fmt: skip
    return [pl.read_parquet(target / f"{name}.parquet").select(columns).row(0) for name in CONDITIONS]


def main() -> int:
    options = _options()
    if options.child:
        print(json.dumps(work(options.child, options.reports, options.target)))
        return 0
    findings = Findings(f"9 generated reports of {options.groups:,} protein groups and 72 fractions")
    same: set[str] = set()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        reports = _reports(Path(folder), options.groups)
        sides = {way: partial(_run, way, reports, Path(folder) / way, same) for way in options.ways}
        turns = in_turn(sides, options.rounds, lambda run: f"{run['seconds']:6.2f} s  {run['mb']:5.0f} MB", NEEDS)
    if len(same) > 1:
        findings.without("equal totals", Lost(f"the ways do not agree: {same}", failed=True))
    for way in [way for way in options.ways if way != "pandas melt"]:
        target = TARGET if way == "ours" else None
        turns.compare(findings, f"{way} / pandas melt", (way, "pandas melt"), lambda run: 1 / run["seconds"], target)
        turns.compare(findings, f"{way} / pandas melt, CPU time", (way, "pandas melt"), lambda run: 1 / run["cpu"])
    return findings.finish(options)


def _reports(folder: Path, groups: int) -> Path:
    from cm4ai_assets.sandbox.proteomics import mda_reports

    reports = folder / "reports"
    reports.mkdir()
    for name, data in mda_reports(groups=groups).items():
        (reports / name).write_bytes(data)
    return reports


def _run(way: str, reports: Path, target: Path, same: set[str]) -> dict[str, float]:
    target.mkdir(exist_ok=True)
    run = child("secms", "--child", way, "--reports", reports, "--target", target)
    same.add(json.dumps(totals(target)))
    return run


def _options() -> argparse.Namespace:
    parser = arguments("secms", __doc__, rounds=5)
    parser.add_argument("--groups", type=int, default=8_000)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--reports", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    return parsed(parser, groups=1_000, rounds=3, ways=["ours", "pandas melt"])


if __name__ == "__main__":
    sys.exit(main())
