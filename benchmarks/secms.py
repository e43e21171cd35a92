"""SEC-MS reports to Parquet: nine reports of 8,000 protein groups by 72 fractions, against pandas melt.

    python benchmarks/secms.py [--groups 8000] [--rounds 5]

Each measurement is a process of its own, ours and pandas' in turn, so that both see the same machine. Both read the
same files and write one Parquet file per condition with the same rows; that they are the same is checked. Needs the
extra `bench` (pandas).
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TARGET = 2.5
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


def work(way: str, reports: Path, target: Path) -> None:
    """One measurement, without imports."""
    if way == "pandas melt":
        import pandas as pd  # noqa: F401
        import pyarrow.parquet as pq  # noqa: F401
    else:
        import cm4ai_assets.proteomics.spectronaut  # noqa: F401

    begin = time.perf_counter()
    WAYS[way](reports, target)
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measured(way: str, reports: Path, target: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--reports", str(reports), "--target", str(target)]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def totals(target: Path) -> list[tuple[object, ...]]:
    import polars as pl

    columns = [pl.len(), pl.col("quantity").count().alias("n"), pl.col("quantity").sum().round_sig_figs(9).alias("sum"),
               (pl.col("quantity") * pl.col("fraction")).sum().round_sig_figs(9).alias("weighted")]  # fmt: skip
    return [pl.read_parquet(target / f"{name}.parquet").select(columns).row(0) for name in CONDITIONS]


def main(groups: int, rounds: int) -> int:
    from cm4ai_assets.sandbox.proteomics import mda_reports

    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder) / "reports"
        reports.mkdir()
        for name, data in mda_reports(groups=groups).items():
            (reports / name).write_bytes(data)
        size = sum(file.stat().st_size for file in reports.iterdir()) / 1e6
        print(
            f"9 reports, {groups:,} protein groups, 72 fractions: {size:.1f} MB of text; {rounds} rounds, interleaved"
        )
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        same: set[str] = set()
        for _ in range(rounds):
            for way, results in found.items():
                target = Path(folder) / way
                target.mkdir(exist_ok=True)
                results.append(measured(way, reports, target))
                same.add(json.dumps(totals(target)))
        if len(same) != 1:
            print(f"The ways do not agree: {same}")
            return 1
    median = {way: statistics.median(one["seconds"] for one in results) for way, results in found.items()}
    for way, results in found.items():
        fastest = min(one["seconds"] for one in results)
        peak = max(one["mb"] for one in results)
        print(f"{way:18} median {median[way]:6.2f} s   fastest {fastest:6.2f} s   peak {peak:6.0f} MB")
    ratios = [slow["seconds"] / fast["seconds"] for fast, slow in zip(found["ours"], found["pandas melt"], strict=True)]
    ratio = statistics.median(ratios)
    print(f"pandas melt / ours {ratio:.2f} (each round: {', '.join(f'{one:.2f}' for one in ratios)}); target {TARGET}")
    print(f"pandas melt / ours, both tables {median['pandas melt'] / median['ours, both tables']:.2f}")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--reports", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        work(chosen.way, chosen.reports, chosen.target)
    else:
        sys.exit(main(chosen.groups, chosen.rounds))
