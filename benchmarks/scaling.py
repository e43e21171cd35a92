"""`python -m benchmarks.scaling`: what each operation costs with 10, 100 and 1,000 releases of three conditions.

A storage and a Dagster instance are filled in bulk (`scaling_storage`, `scaling_home`), each in a fresh process, and
every operation that somebody waits for, or that comes again every half minute, runs over them: CPU time, statements of
the database, calls of the storage. What counts is how they grow: the exponent between the smallest and the largest.
CPU time is that of this process and of Dagster's code server.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.ratios import Findings, arguments, at_most, parsed
from benchmarks.turns import child

Measured = dict[str, dict[str, Any]]
"""By operation: `cpu` and `wall` in seconds, `statements`, `calls` of the storage, `bytes` of an answer."""

LINEAR = at_most(1.15)
LEAST = 0.02  # seconds of CPU: what is less says nothing of growth


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    findings, found = Findings(), dict[int, Measured]()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for count in options.releases:
            words = ["--child", count, "--scratch", Path(folder) / str(count)]
            found[count] = child("scaling", *words, *(["--storage-only"] * options.storage_only))
            used = sum(one["cpu"] for one in found[count].values())
            print(f"{count:6d} releases: {used:.0f} s of CPU time", flush=True)
    findings.inputs = f"{' and '.join(f'{count:,}' for count in options.releases)} releases of three conditions"
    for name in found[options.releases[0]]:
        _grown(findings, name, found)
    print(_table(found))
    return findings.finish(options)


def _grown(findings: Findings, name: str, found: dict[int, Measured]) -> None:
    """How an operation grows, and what it asks."""
    (small, first), (large, last) = min(found.items()), max(found.items())
    one, other = first[name], last[name]
    factor = math.log(large / small)
    if other["cpu"] >= LEAST:
        findings.number(f"{name}: growth of CPU time", math.log(other["cpu"] / max(one["cpu"], 1e-3)) / factor, LINEAR)
    for kind in ("statements", "calls"):
        if one.get(kind) and other.get(kind):
            findings.number(f"{name}: growth of {kind}", math.log(other[kind] / one[kind]) / factor, LINEAR)


def _table(found: dict[int, Measured]) -> str:
    counts = sorted(found)
    head = f"\n{'CPU s (statements, calls of the storage)':44s}" + "".join(f"{count:>24,d}" for count in counts)
    rows = {name: "".join(f"{_cell(found[count].get(name)):>24s}" for count in counts) for name in found[counts[-1]]}
    return "\n".join([head, *(f"{name:44s}{row}" for name, row in rows.items())])


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return ""
    size = f", {one['bytes'] / 1e6:.1f} MB" if one.get("bytes") else ""
    return f"{one['cpu']:.2f} ({one.get('statements', 0):,}, {one.get('calls', 0):,}{size})"


def _child(options: argparse.Namespace) -> int:
    folder = Path(options.scratch)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "DAGSTER_HOME": str(folder / "home"),
        "CM4AI_STORAGE": str(folder / "storage"),
        "CM4AI_SCRATCH": str(folder / "scratch"),
    }
    from benchmarks.scaling_operations import measure

    print(json.dumps(measure(int(options.child), storage_only=options.storage_only)))
    return 0


def _options() -> argparse.Namespace:
    parser = arguments("scaling", __doc__, rounds=1)
    parser.add_argument("--releases", type=int, nargs="+", default=[10, 100], help="numbers of releases")
    parser.add_argument("--storage-only", action="store_true", help="leave out Dagster's pages and automation")
    return parsed(parser, releases=[2, 6], storage_only=True)


if __name__ == "__main__":
    sys.exit(main())
