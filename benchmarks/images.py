"""`python -m benchmarks.images`: images per second from ZIP to tensors, against a ceiling and against what people do.

Sides run one after the other, each in a fresh process, round after round, so that a busy minute hits all of them. What
counts is the ratio within a run; rates of different runs or machines do not compare.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.archives import fields_in, opened, painted, repeated
from benchmarks.sides import CORES, SIDES, Measured

BASELINES = ("notebook", "lean", "bare", "embedding tool")
TARGETS = {
    1024: {"ceiling": 0.90, "stages": 0.75, "notebook": 15.0, "lean": 4.0, "embedding tool": 3.5},
    2048: {"ceiling": 0.90, "stages": 0.75, "notebook": 8.0, "lean": 3.5},
}
DISK_TARGET = 0.30


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        path = options.zip or Path(folder) / "images.zip"
        if options.jpegs:
            repeated(path, fields_in(options.jpegs), options.fields)
        elif not options.zip:
            painted(path, options.fields)
        runs = _run(path, options, Path(folder))
    missed = _report(runs, options.edge)
    if options.json:
        runs_as_json = {side: [asdict(run) for run in made] for side, made in runs.items()}
        options.json.write_text(json.dumps(runs_as_json, indent=2) + "\n")
    return 1 if missed else 0


def _run(path: Path, options: argparse.Namespace, scratch: Path) -> dict[str, list[Measured]]:
    archive = opened(path)
    images = sum(len(plan.members) for plan in archive.plans)
    print(f"{path}: {len(archive.plans)} fields, {images} images of {archive.image_bytes / 1000:.0f} kB on average")
    print(f"{CORES} cores, edge {options.edge}, {options.rounds} rounds; load before: {os.getloadavg()[0]:.2f}\n")
    path.read_bytes()  # every side finds the ZIP in the page cache
    runs: dict[str, list[Measured]] = {side: [] for side in options.sides}
    for round_number in range(options.rounds):
        for side in options.sides:
            fields = options.baseline_fields if side in BASELINES else None
            run = _in_a_process(side, path, fields, options.edge, scratch)
            runs[side].append(run)
            print(f"round {round_number + 1}  {side:16s} {run.rate:7.1f} img/s  {run.note}", flush=True)
    return runs


def _in_a_process(side: str, path: Path, fields: int | None, edge: int, scratch: Path) -> Measured:
    command = [sys.executable, "-m", "benchmarks.images", "--child", side, "--zip", str(path), "--edge", str(edge)]
    command += ["--scratch", str(scratch), *(["--fields", str(fields)] if fields else ["--fields", "0"])]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Measured(**json.loads(told.splitlines()[-1]))


def _child(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        archive = opened(options.zip, options.fields or None)
        print(json.dumps(asdict(SIDES[options.child](archive, options.edge, Path(folder)))))
    return 0


def _report(runs: dict[str, list[Measured]], edge: int) -> list[str]:
    """Print every ratio. Best against best counts: what others do to the machine only ever slows a side down."""
    ours, missed = runs.get("platform", []), []
    if not ours:
        return []
    best = max(run.rate for run in ours)
    print(f"\nplatform: {best:.1f} img/s at best, {statistics.median(run.rate for run in ours):.1f} in the median")
    for side, made in runs.items():
        if side == "platform":
            continue
        rounds = statistics.median(one.rate / other.rate for one, other in zip(ours, made, strict=True))
        peak, target = best / max(run.rate for run in made), TARGETS.get(edge, {}).get(side)
        verdict = "" if target is None else f"target {target:g}: {'met' if peak >= target else 'MISSED'}"
        print(f"  / {side:16s} {rounds:6.2f} in the median of rounds, {peak:6.2f} best to best  {verdict}")
        missed += [side] if "MISSED" in verdict else []
    share = ours[0].stored / (ours[0].images * edge * edge)
    verdict = "met" if share <= DISK_TARGET else "MISSED"
    print(f"  on disk: {share:.3f} of the raw bytes; target {DISK_TARGET}: {verdict}")
    return [*missed, *(["disk"] if verdict == "MISSED" else [])]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    parser.add_argument("--zip", type=Path, help="a ZIP in the published layout, instead of painting one")
    parser.add_argument(
        "--jpegs", type=Path, help="make the ZIP of the JPEGs in red/, green/, blue/, yellow/ of a folder"
    )
    parser.add_argument("--fields", type=int, default=120, help="fields in the ZIP that is made")
    parser.add_argument("--baseline-fields", type=int, default=8, help="fields that the slow sides get")
    parser.add_argument("--edge", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), help="default: all that make sense at the edge")
    parser.add_argument("--scratch", type=Path, help="where to write; a local disk")
    parser.add_argument("--json", type=Path, help="also write every run here")
    parser.add_argument("--child", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.sides:
        options.sides = [side for side in SIDES if options.edge == 1024 or side != "embedding tool"]
    return options


if __name__ == "__main__":
    sys.exit(main())
