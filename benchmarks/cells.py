"""`python -m benchmarks.cells`: fields per second of the pass over a tensor, against that of the pass that made it.

Both run in fresh processes, round after round, on the same fields. What counts is the ratio within a run. Peak memory
is the kernel's own (VmHWM), for a tensor and for one five times as large: it must not follow the number of fields.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import fsspec

from benchmarks.archives import Pictures, opened
from benchmarks.ratios import Findings, arguments, at_least, at_most, parsed
from benchmarks.turns import child, in_turn, memory_mb
from cm4ai_assets.cells.passes import run_pass as find_nuclei
from cm4ai_assets.images.pixels import run_pass
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage.tensors import read_record

RATE = at_least(0.5)
GROWTH = at_most(25)  # MB: rows of the table are kept until a group of 65,536 is full, which takes 10
TIMES = 5


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    findings = Findings()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        pictures = Pictures(options, scratch)
        for name, count in (("small", options.fields), ("large", TIMES * options.fields)):
            pictures.archive(scratch / f"{name}.zip", count)
        findings.inputs = f"{pictures.inputs} to {options.fields} and {TIMES * options.fields} fields"
        sides = {side: partial(_run, side, scratch, "small", options) for side in ("tensor", "cells")}
        turns = in_turn(
            sides, options.rounds, lambda run: f"{run['fields'] / run['seconds']:6.1f} fields/s  {run['note']}"
        )
        _run("tensor", scratch, "large", options)
        large = _run("cells", scratch, "large", options)
    turns.compare(findings, "cells / tensor", ("cells", "tensor"), lambda run: run["fields"] / run["seconds"], RATE)
    turns.compare(findings, "cells / tensor, CPU time", ("cells", "tensor"), lambda run: run["fields"] / run["cpu"])
    if small := turns.runs.get("cells"):
        growth = large["peak_mb"] - min(run["peak_mb"] for run in small)
        findings.number(f"peak memory of {TIMES} times the fields: more", growth, GROWTH, "MB")
        findings.fact("peak memory", f"{large['peak_mb']:.0f} MB for {large['fields']} fields")
    return findings.finish(options)


def _run(side: str, scratch: Path, name: str, options: argparse.Namespace) -> dict[str, Any]:
    return child("cells", "--child", side, "--name", name, "--scratch", scratch, "--edge", options.edge)


def _child(options: argparse.Namespace) -> int:
    tensor = options.scratch / f"{options.name}-{options.edge}"
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        if options.child == "tensor":
            archive = opened(options.scratch / f"{options.name}.zip")
            images = archive.plans[:1]
            run_pass(
                archive.source, archive.members, images, Path(folder) / "compiled", edge=options.edge, source_sha256=""
            )
            target, spent = Path(folder) / "pass", time.process_time()
            made = run_pass(
                archive.source, archive.members, archive.plans, target, edge=options.edge, source_sha256="ab" * 32
            )
            if not tensor.exists():
                (target / "tensor.zarr").rename(tensor)
            seconds, fields, note = made.seconds, made.record.n_fields, ""
            size = sum(path.stat().st_size for path in tensor.rglob("*") if path.is_file())
        else:
            reader, record = ShardReader("/", str(tensor)), read_record(fsspec.filesystem("file"), str(tensor))
            started, spent = time.perf_counter(), time.process_time()
            found = find_nuclei(reader, record, Path(folder) / "made", first_published_in={})
            seconds, fields = time.perf_counter() - started, found.n_fields
            note, size = f"{found.nuclei:,} nuclei, {found.size / fields / 1000:.1f} kB a field", found.size
        cpu = time.process_time() - spent
    print(
        json.dumps(
            {"seconds": seconds, "cpu": cpu, "fields": fields, "note": note, "size": size, "peak_mb": memory_mb()}
        )
    )
    return 0


def _options() -> argparse.Namespace:
    parser = arguments("cells", __doc__, rounds=3, jpegs=True)  # scratch: 2 GB
    parser.add_argument("--fields", type=int, default=120)
    parser.add_argument("--edge", type=int, default=1024)
    parser.add_argument("--name", default="small", help=argparse.SUPPRESS)
    return parsed(parser, fields=4, rounds=1)


if __name__ == "__main__":
    sys.exit(main())
