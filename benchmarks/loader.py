"""`python -m benchmarks.loader`: fields per second into batches, against a bare reader and against what people do.

Sides run one after the other, each in a fresh process, round after round, so that a busy minute hits all of them. What
counts is the ratio within a run. Everything is in the page cache. `--threads 16` on a machine that has them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.archives import fields_in, opened, painted, repeated
from benchmarks.loader_sides import SIDES, Job, Timed
from benchmarks.sides import CORES
from cm4ai_assets.images.pixels import run_pass

OURS = "loader"
TARGETS = {"bare": 0.9, "bare, verified": 0.9, "old path": 2.0, "Pillow": 22.0}
SLOW = {"old path", "dataset", "Pillow"}
ENOUGH_CORES, RATE_THERE = 16, 2000.0


def main() -> int:
    options = _options()
    if options.child:
        print(json.dumps(asdict(SIDES[options.child](Job(**json.loads(options.job))))))
        return 0
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        job = _prepared(Path(folder), options)
        runs = _run(job, options)
    missed = _report(runs, options)
    if options.json:
        as_json = {side: [asdict(run) for run in made] for side, made in runs.items()}
        options.json.write_text(json.dumps(as_json, indent=2) + "\n")
    return 1 if missed else 0


def _prepared(folder: Path, options: argparse.Namespace) -> Job:
    """A ZIP, and the tensor that the platform makes of it."""
    path = folder / "images.zip"
    if options.jpegs:
        repeated(path, fields_in(options.jpegs), options.fields)
    else:
        painted(path, options.fields)
    archive = opened(path)
    stores = {}
    for edge in (1024, *options.sizes):
        made = run_pass(
            archive.source, archive.members, archive.plans, folder / str(edge), edge=edge, source_sha256="ab" * 32
        )
        stores[edge] = str(made.tensor_path)
        print(f"edge {edge}: {made.record.size / made.record.n_fields / 1000:.0f} kB a field, stored")
    return Job(str(path), stores, len(archive.plans), options.threads, options.batch)  # fmt: skip


def _run(job: Job, options: argparse.Namespace) -> dict[str, list[Timed]]:
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{job.fields} fields, {CORES} cores, {job.threads} threads, batches of {job.batch}; {load}\n")
    runs: dict[str, list[Timed]] = {side: [] for side in options.sides}
    for number in range(options.rounds):
        for side in options.sides:
            mine = Job(**{**asdict(job), "epochs": 1 if side in SLOW else options.epochs})
            if side == "Pillow":
                mine.fields = min(job.fields, options.baseline_fields)
            run = _in_a_process(side, mine)
            runs[side].append(run)
            cpu = f"{run.cpu_ms:6.2f} ms of CPU a field"
            print(
                f"round {number + 1}  {side:16s} {run.rate:7.1f} fields/s  {cpu}  load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    return runs


def _in_a_process(side: str, job: Job) -> Timed:
    command = [sys.executable, "-m", "benchmarks.loader", "--child", side, "--job", json.dumps(asdict(job))]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Timed(**json.loads(printed.splitlines()[-1]))


def _report(runs: dict[str, list[Timed]], options: argparse.Namespace) -> list[str]:
    """Print every ratio. Best against best counts: what others do to the machine only ever slows a side down."""
    ours, missed = runs.get(OURS, []), []
    if not ours:
        return []
    best = max(run.rate for run in ours)
    print(f"\n{OURS}: {best:.1f} fields/s at best, {statistics.median(run.rate for run in ours):.1f} in the median")
    for side, made in runs.items():
        if side == OURS:
            continue
        rounds = statistics.median(one.rate / other.rate for one, other in zip(ours, made, strict=True))
        peak, target = best / max(run.rate for run in made), TARGETS.get(side)
        verdict = "" if target is None else f"target {target:g}: {'met' if peak >= target else 'MISSED'}"
        print(f"  / {side:16s} {rounds:6.2f} in the median of rounds, {peak:6.2f} best to best  {verdict}")
        missed += [side] if "MISSED" in verdict else []
        cpu = min(run.cpu_ms for run in made) / min(run.cpu_ms for run in ours)
        print(f"    {'':16s} {cpu:6.2f} times the CPU time a field")
    if options.threads >= ENOUGH_CORES:
        verdict = "met" if best >= RATE_THERE else "MISSED"
        print(f"  target {RATE_THERE:g} fields/s with {options.threads} threads: {verdict}")
        missed += ["rate"] if verdict == "MISSED" else []
    return missed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--jpegs", type=Path, help="take the JPEGs in red/, green/, blue/, yellow/ of a folder")
    parser.add_argument("--fields", type=int, default=96, help="fields in the tensor; the JPEGs are repeated")
    parser.add_argument("--baseline-fields", type=int, default=24, help="fields that the slowest side gets")
    parser.add_argument("--epochs", type=int, default=4, help="passes that are timed, of the fast sides")
    parser.add_argument("--threads", type=int, default=CORES, help="threads, or worker processes of the other sides")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="also make and read stores of these edges")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=None)
    parser.add_argument("--scratch", type=Path, help="where to write; a local disk")
    parser.add_argument("--json", type=Path, help="also write every run here")
    parser.add_argument("--child", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.sides:
        options.sides = [side for side in SIDES if not side[0].isdigit() or int(side.split()[0]) in options.sizes]
        if importlib.util.find_spec("torch") is None:
            print("torch is not installed: without the sides that use its DataLoader")
            options.sides = [side for side in options.sides if side not in SLOW]
    return options


if __name__ == "__main__":
    sys.exit(main())
