"""`python -m benchmarks`: every benchmark, one table of ratios with their targets, results as JSON and as a plot.

`--small` takes small inputs and runs what the baseline has: it fails on a ratio that fell by a third, and on nothing
else but a benchmark that breaks. Without it the exit status is 1 if a target was missed or a benchmark failed.

Belongs here: the command. Does not belong here: benchmarks, or how one is run (`runner`).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import guard, runner
from benchmarks.machine import commit, machine, versions
from benchmarks.plot import plot
from benchmarks.ratios import NAME, Verdict, line
from benchmarks.runner import HERE, Result

RESULTS = HERE / "results.json"
LIMIT_S, SMALL_LIMIT_S = 3600.0, 1200.0
BAD = {Verdict.MISSED, Verdict.FAILED}


def main() -> int:
    options = _options()
    about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "form": "small" if options.small else "full"}
    about |= {**commit(), "machine": machine(), "versions": versions()}
    results: list[Result] = []
    for number, name in enumerate(options.only):
        print(f"\n[{number + 1}/{len(options.only)}] {name}", flush=True)
        results.append(_run(name, options))
        if options.results:
            _write(options.results, about, results)
    _table(results)
    if options.results:
        plot(results, _title(about), options.results.with_suffix(".png"))
        print(f"\nwritten: {options.results} and {options.results.with_suffix('.png').name}")
    if options.write_baseline:
        guard.write(results, options.baseline)
    return _guarded(results, options) if options.small else _judged(results)


def _run(name: str, options: argparse.Namespace) -> Result:
    words, limit = (["--small"], SMALL_LIMIT_S) if options.small else ([], LIMIT_S)
    return runner.run(name, words, limit, lambda said: print(f"  {said}", flush=True))


def _table(results: Sequence[Result]) -> None:
    print(f"\n{'benchmark':12s} {'ratio':{NAME}s} {'best':>9s} {'(median)':>9s}  {'target':14s} verdict")
    for result in results:
        for ratio in result.ratios:
            print(f"{result.name:12s} {line(ratio)}")


def _judged(results: Sequence[Result]) -> int:
    """The exit status of the whole form."""
    said = [(result.name, ratio) for result in results for ratio in result.ratios]
    count = {verdict: sum(ratio.verdict is verdict for _, ratio in said) for verdict in Verdict}
    print("\n" + ", ".join(f"{number} {verdict}" for verdict, number in count.items() if number))
    return 1 if any(ratio.verdict in BAD for _, ratio in said) else 0


def _guarded(results: Sequence[Result], options: argparse.Namespace) -> int:
    """The exit status of the small form. What fell is measured once more."""
    baseline, held = guard.read(options.baseline), []
    for result in results:
        found = guard.compared(result, baseline)
        if any(one.red for one in found):
            print(f"\n{result.name} once more: " + "; ".join(f"{one.name} {one.says}" for one in found if one.red))
            found = guard.compared(_run(result.name, options), baseline)
        held += found
    print(f"\n{'benchmark':12s} {'ratio':{NAME}s} {'baseline':>9s} {'now':>9s}")
    for one in held:
        print(one)
    red = sum(one.red for one in held)
    print(f"\n{red} of {len(held)} ratios fell by a third or failed" if red else f"\n{len(held)} ratios held")
    return 1 if red else 0


def _write(path: Path, about: dict[str, Any], results: Sequence[Result]) -> None:
    """What is known so far: a run that is interrupted leaves what it found."""
    found = {result.name: result.as_json() for result in results}
    path.write_text(json.dumps({**about, "benchmarks": found}, indent=2) + "\n")


def _title(about: dict[str, Any]) -> str:
    where = f"{about['machine']['cores']} cores, {about['machine']['processor']}"
    return f"{about['date'][:10]}, {where}, commit {(about['commit'] or 'unknown')[:9]}, {about['form']} form"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="small inputs, held against the baseline")
    parser.add_argument("--only", nargs="+", choices=runner.names(), help="these benchmarks")
    parser.add_argument(
        "--results", type=Path, help="the JSON file; the plot stands beside it (whole form: results.json)"
    )
    parser.add_argument("--baseline", type=Path, default=guard.BASELINE)
    parser.add_argument("--write-baseline", action="store_true", help="take the baseline's ratios from this run")
    options = parser.parse_args()
    if options.small:
        options.only = options.only or sorted(guard.read(options.baseline))
    else:
        options.only, options.results = options.only or runner.names(), options.results or RESULTS
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    sys.exit(main())
