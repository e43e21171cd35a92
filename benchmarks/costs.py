"""`python -m benchmarks.costs`: what a thousand fields and a million cells cost, in CPU time, bytes and money.

The passes of `cells` and `perturbseq` run over small generated inputs of two sizes; what a further field or value costs
is the slope between them. Prices are list prices, with the day on which they were looked up. Nothing here has a target.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.archives import Pictures
from benchmarks.perturbseq import _written as write_counts
from benchmarks.ratios import Findings, arguments, parsed
from benchmarks.turns import child

PRICES = {"vCPU hour": 0.0446, "GB month": 0.023, "1,000 PUT": 0.005, "1,000 GET": 0.0004, "GB to the internet": 0.09}
"""US dollars, AWS us-east-1, on demand: c7i and S3 Standard; docs/scaling.md says of which day."""
VALUES_PER_CELL = 15_782_000_000 / 2_659_209
"""Counts that are not zero, of the published matrix of 2026."""
BYTES_PER_CELL = 189e9 / 2_659_209


def main() -> int:
    options = _options()
    findings = Findings()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        _fields(Path(folder), options, findings)
        _cells(Path(folder), options, findings)
    return findings.finish(options)


def _fields(scratch: Path, options: argparse.Namespace, findings: Findings) -> None:
    pictures = Pictures(options, scratch)
    runs: dict[str, list[dict[str, Any]]] = {"tensor": [], "cells": []}
    zipped = []
    for name, count in zip(("small", "large"), options.fields, strict=True):
        path = scratch / f"{name}.zip"
        pictures.archive(path, count)
        zipped.append(path.stat().st_size)
        for side, found in runs.items():
            found.append(child("cells", "--child", side, "--name", name, "--scratch", scratch))
            print(f"{count} fields, {side}: {found[-1]['cpu']:.1f} s of CPU time", flush=True)
    findings.inputs = f"{pictures.inputs} to {' and '.join(map(str, options.fields))} fields"
    more = options.fields[1] - options.fields[0]
    findings.fact("1,000 fields, ZIP", f"{(zipped[1] - zipped[0]) / more / 1e6:.2f} GB")
    for side, found in runs.items():
        cpu = 1000 * _slope(found, "cpu") / more
        stored = _slope(found, "size") / more / 1e6
        money = f"{cpu / 3600 * PRICES['vCPU hour']:.4f} $, and {stored * PRICES['GB month']:.3f} $ a month"
        findings.fact(f"1,000 fields, {side}", f"{cpu:.1f} s of CPU time, {stored:.2f} GB stored: {money}")


def _cells(scratch: Path, options: argparse.Namespace, findings: Findings) -> None:
    values, found = [], []
    for count in options.cells:
        path = scratch / f"{count}.h5ad"
        values.append(write_counts(path, count, 5_000, 1_000, "none"))
        found.append(child("perturbseq", "--child", "ours", "--path", path, "--scratch", scratch))
        print(f"{count:,} cells: {found[-1]['pass_cpu']:.1f} s of CPU time", flush=True)
        path.unlink()
    each = _slope(found, "pass_cpu") / (values[1] - values[0])
    cpu = each * VALUES_PER_CELL * 1e6
    said = f"{cpu:.0f} s of CPU time ({each * 1e9:.1f} ns a value), {BYTES_PER_CELL * 1e6 / 1e9:.0f} GB read"
    findings.fact("1,000,000 cells", f"{said}: {cpu / 3600 * PRICES['vCPU hour']:.4f} $")


def _slope(runs: list[Mapping[str, Any]] | list[dict[str, Any]], name: str) -> float:
    return float(runs[1][name] - runs[0][name])


def _options() -> argparse.Namespace:
    parser = arguments("costs", __doc__, rounds=1, jpegs=True)
    parser.add_argument("--fields", type=int, nargs=2, default=[40, 160], help="sizes of the archives")
    parser.add_argument("--cells", type=int, nargs=2, default=[20_000, 60_000], help="sizes of the screens")
    return parsed(parser, fields=[2, 4], cells=[2_000, 4_000])


if __name__ == "__main__":
    sys.exit(main())
