"""`python -m benchmarks.cells`: fields per second of the pass over a tensor, against that of the pass that made it.

Both run in fresh processes, round after round, on the same fields. What counts is the ratio within a run. Peak memory
is the kernel's own (VmHWM), for a tensor and for one five times as large: it must not follow the number of fields.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fsspec

from benchmarks.archives import fields_in, fields_of, opened, painted, repeated
from cm4ai_assets.cells.passes import run_pass as find_nuclei
from cm4ai_assets.images.pixels import run_pass
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage.tensors import read_record

TARGET = 0.5
GROWTH_MB = 25  # rows of the table are kept until a group of 65,536 is full: 10 MB
TIMES = 5


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        for name, count in (("small", options.fields), ("large", TIMES * options.fields)):
            _archive(scratch, scratch / f"{name}.zip", options, count)
        rates: dict[str, list[float]] = {"tensor": [], "cells": []}
        for number in range(options.rounds):
            for side, made in rates.items():
                run = _in_a_process(side, scratch, "small", options)
                made.append(run["fields"] / run["seconds"])
                print(f"round {number + 1}  {side:7s} {made[-1]:6.1f} fields/s  {run['note']}", flush=True)
        small = _in_a_process("cells", scratch, "small", options)
        _in_a_process("tensor", scratch, "large", options)
        large = _in_a_process("cells", scratch, "large", options)
    return _report(rates, small, large)


def _report(rates: dict[str, list[float]], small: dict[str, float], large: dict[str, float]) -> int:
    best = max(rates["cells"]) / max(rates["tensor"])
    rounds = statistics.median(one / other for one, other in zip(rates["cells"], rates["tensor"], strict=True))
    met, flat = best >= TARGET, large["peak_mb"] - small["peak_mb"] <= GROWTH_MB
    print(f"\ncells / tensor: {rounds:.2f} in the median of rounds, {best:.2f} best to best; target {TARGET}: ", end="")
    print("met" if met else "MISSED")
    print(f"peak memory: {small['peak_mb']} MB for {small['fields']} fields, {large['peak_mb']} MB for", end=" ")
    print(f"{large['fields']}: {'flat' if flat else 'GROWS'}; {large['seconds']:.0f} s")
    return 0 if met and flat else 1


def _archive(scratch: Path, path: Path, options: argparse.Namespace, count: int) -> None:
    sample = scratch / "sample.zip"
    if not options.jpegs and not sample.exists():
        painted(sample, 24)
    repeated(path, fields_in(options.jpegs) if options.jpegs else fields_of(opened(sample)), count)


def _in_a_process(side: str, scratch: Path, name: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.cells", "--child", side, "--name", name]
    command += ["--scratch", str(scratch), "--edge", str(options.edge)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(out.splitlines()[-1]))


def _child(options: argparse.Namespace) -> int:
    tensor = options.scratch / f"{options.name}-{options.edge}"
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        if options.child == "tensor":
            archive = opened(options.scratch / f"{options.name}.zip")
            target = Path(folder) / "pass"
            made = run_pass(
                archive.source, archive.members, archive.plans, target, edge=options.edge, source_sha256="ab" * 32
            )
            if not tensor.exists():
                (target / "tensor.zarr").rename(tensor)
            seconds, fields, note = made.seconds, made.record.n_fields, ""
        else:
            reader, record = ShardReader("/", str(tensor)), read_record(fsspec.filesystem("file"), str(tensor))
            started = time.perf_counter()
            found = find_nuclei(reader, record, Path(folder) / "made", first_published_in={})
            seconds, fields = time.perf_counter() - started, found.n_fields
            note = f"{found.nuclei:,} nuclei, {found.size / fields / 1000:.1f} kB a field"
    print(json.dumps({"seconds": seconds, "fields": fields, "note": note, "peak_mb": _memory("VmHWM")}))
    return 0


def _memory(kind: str) -> int:
    """Megabytes of this process, as the kernel counts them."""
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) // 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description=__doc__)
    parser.add_argument(
        "--jpegs", type=Path, help="JPEGs in red/, green/, blue/, yellow/ of a folder, not painted ones"
    )
    parser.add_argument("--fields", type=int, default=120)
    parser.add_argument("--edge", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="where to write: 2 GB")
    parser.add_argument("--child", choices=("tensor", "cells"), help=argparse.SUPPRESS)
    parser.add_argument("--name", default="small", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
