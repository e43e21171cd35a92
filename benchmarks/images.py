"""`python -m benchmarks.images`: images per second from ZIP to tensors, against a ceiling and against what people do.

Belongs here: what is held against what, and the targets. Does not belong here: what each side does (`sides`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.archives import Archive, Pictures, opened
from benchmarks.ratios import Findings, arguments, at_least, at_most, parsed
from benchmarks.sides import CORES, NEEDS, SIDES, Measured, measured
from benchmarks.turns import Turns, child, in_turn

OURS = "platform"
BASELINES = ("notebook", "lean", "bare", "embedding tool")
EDGES = (1024, 2048)
TARGETS = {
    1024: {
        "ceiling": at_least(1.0), "stages": at_least(0.93), "notebook": at_least(15), "lean": at_least(4),
        "embedding tool": at_least(3.5),
    },
    2048: {"ceiling": at_least(1.0), "stages": at_least(0.93), "notebook": at_least(8), "lean": at_least(3.5)},
}  # fmt: skip
ON_DISK = at_most(0.30)


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    findings = Findings()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        archive = _archive(Path(folder), options, findings)
        for edge in options.edges:
            turns = _measure(archive, edge, Path(folder), options, findings)
            _numbers(turns, edge, findings)
    return findings.finish(options)


def _archive(folder: Path, options: argparse.Namespace, findings: Findings) -> Archive:
    if options.zip:
        archive = opened(options.zip)
        findings.inputs = f"{len(archive.plans)} fields of {archive.image_bytes / 1000:.0f} kB an image, in a given ZIP"
    else:
        pictures = Pictures(options, folder)
        archive = pictures.archive(folder / "images.zip", options.fields)
        findings.inputs = f"{pictures.inputs} to {len(archive.plans)} fields"
    archive.path.read_bytes()  # every side finds the ZIP in the page cache
    print(f"{findings.inputs}; {CORES} cores, load before: {os.getloadavg()[0]:.2f}", flush=True)
    return archive


def _measure(
    archive: Archive, edge: int, scratch: Path, options: argparse.Namespace, findings: Findings
) -> Turns[Measured]:
    sides = options.sides or [side for side in SIDES if side in TARGETS.get(edge, SIDES) or side in {OURS, "bare"}]
    runs = {side: partial(_run, side, archive, edge, scratch, options) for side in sides}
    turns = in_turn(runs, options.rounds, lambda run: f"{run.rate:7.1f} images/s at edge {edge}  {run.note}", NEEDS)
    for side in sides:
        if side != OURS:
            target = TARGETS.get(edge, {}).get(side)
            turns.compare(findings, f"{edge}: platform / {side}", (OURS, side), lambda run: run.rate, target)
        if side == "lean":  # a busy machine changes CPU time least
            turns.compare(findings, f"{edge}: platform / {side}, CPU time", (OURS, side), lambda r: r.images / r.cpu)
    return turns


def _numbers(turns: Turns[Measured], edge: int, findings: Findings) -> None:
    """Add what has no other side."""
    if ours := turns.runs.get(OURS):
        findings.fact(f"{edge}: platform", f"{max(run.rate for run in ours):.1f} images/s")
        share = ours[0].stored / (ours[0].images * edge * edge)
        findings.number(f"{edge}: share of raw bytes on disk", share, ON_DISK)
    if stages := turns.runs.get("stages"):
        findings.fact(f"{edge}: stages", max(stages, key=lambda run: run.rate).note)


def _run(side: str, archive: Archive, edge: int, scratch: Path, options: argparse.Namespace) -> Measured:
    fields = options.baseline_fields if side in BASELINES else 0
    words = ["--child", side, "--zip", archive.path, "--edges", edge, "--scratch", scratch, "--fields", fields]
    return Measured(**child("images", *words))


def _child(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        archive = opened(options.zip, options.fields or None)
        print(json.dumps(asdict(measured(options.child, archive, options.edges[0], Path(folder)))))
    return 0


def _options() -> argparse.Namespace:
    parser = arguments("images", __doc__, rounds=3, jpegs=True)
    parser.add_argument("--zip", type=Path, help="a ZIP in the published layout, instead of making one")
    parser.add_argument("--fields", type=int, default=120, help="fields in the ZIP that is made")
    parser.add_argument("--baseline-fields", type=int, default=8, help="fields that the slow sides get")
    parser.add_argument("--edges", type=int, nargs="+", default=list(EDGES))
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), help="default: all that make sense at the edge")
    return parsed(parser, fields=16, baseline_fields=2, edges=[1024], rounds=2, sides=["platform", "ceiling", "lean"])


if __name__ == "__main__":
    sys.exit(main())
