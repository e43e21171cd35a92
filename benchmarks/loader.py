"""`python -m benchmarks.loader`: fields per second into batches, against a bare reader and against what people do.

Belongs here: what is held against what, and the targets. Does not belong here: what each side does (`loader_sides`).
Everything is in the page cache. `--threads 16` on a machine that has them, where 2,000 fields/s are wanted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from benchmarks.archives import Pictures
from benchmarks.loader_sides import SIDES, Job, Timed, said
from benchmarks.ratios import Findings, arguments, at_least, parsed
from benchmarks.sides import CORES
from benchmarks.turns import child, in_turn
from cm4ai_assets.images.pixels import run_pass

OURS = "loader"
TARGETS = {"bare": at_least(0.9), "bare, verified": at_least(0.9), "old path": at_least(2), "Pillow": at_least(22)}
NEEDS = dict.fromkeys(("old path", "dataset", "Pillow"), ("torch",))


def main() -> int:
    options = _options()
    if options.child:
        print(json.dumps(asdict(SIDES[options.child](Job(**json.loads(options.job))))))
        return 0
    findings = Findings()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        job = prepared(Path(folder), options, findings)
        sides = {side: partial(_run, side, job, options) for side in options.sides}
        turns = in_turn(sides, options.rounds, said, NEEDS)
    for side in options.sides:
        if side != OURS:
            turns.compare(findings, f"loader / {side}", (OURS, side), lambda run: run.rate, TARGETS.get(side))
            turns.compare(findings, f"loader / {side}, CPU time", (OURS, side), lambda run: 1 / run.cpu_ms)
    if ours := turns.runs.get(OURS):
        findings.fact("loader", f"{max(run.rate for run in ours):.0f} fields/s with {options.threads} threads")
    return findings.finish(options)


def prepared(folder: Path, options: argparse.Namespace, findings: Findings) -> Job:
    """A ZIP, and the tensor that the platform makes of it."""
    pictures = Pictures(options, folder)
    archive = pictures.archive(folder / "images.zip", options.fields)
    stores = {}
    for edge in (1024, *options.sizes):
        made = run_pass(
            archive.source, archive.members, archive.plans, folder / str(edge), edge=edge, source_sha256="ab" * 32
        )
        stores[edge] = str(made.tensor_path)
        findings.fact(f"edge {edge}", f"{made.record.size / made.record.n_fields / 1000:.0f} kB a field, stored")
    findings.inputs = f"{pictures.inputs} to {len(archive.plans)} fields, in batches of {options.batch}"
    print(f"{findings.inputs}; {CORES} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    return Job(str(archive.path), stores, len(archive.plans), options.threads, options.batch)


def _run(side: str, job: Job, options: argparse.Namespace) -> Timed:
    mine = replace(job, epochs=1 if side in NEEDS else options.epochs)
    if side == "Pillow":
        mine.fields = min(job.fields, options.baseline_fields)
    return Timed(**child("loader", "--child", side, "--job", json.dumps(asdict(mine))))


def _options() -> argparse.Namespace:
    parser = arguments("loader", __doc__, rounds=3, jpegs=True)
    parser.add_argument("--fields", type=int, default=96, help="fields in the tensor; the JPEGs are repeated")
    parser.add_argument("--baseline-fields", type=int, default=24, help="fields that the slowest side gets")
    parser.add_argument("--epochs", type=int, default=4, help="passes that are timed, of the fast sides")
    parser.add_argument("--threads", type=int, default=CORES, help="threads, or worker processes of the other sides")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="also make and read stores of these edges")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=None)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parsed(parser, fields=32, epochs=4, rounds=2, sides=[OURS, "bare, verified"])
    if not options.sides:
        options.sides = [side for side in SIDES if not side[0].isdigit() or int(side.split()[0]) in options.sizes]
    return options


if __name__ == "__main__":
    sys.exit(main())
