"""Whether a ratio fell by a third below the committed baseline.

Belongs here: the baseline, the comparison. Does not belong here: targets, which small inputs do not reach (`ratios`).

A machine that does other things as well must not fail it. So only ratios stand in the baseline whose sides take turns
within one run; most are of CPU time, which waits for nobody. Of a run the better of the best rounds and the median
counts, of the baseline the worse one, and a benchmark is run once more before it fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ratios import NAME, Ratio, Verdict, shown
from benchmarks.runner import Result

BASELINE = Path(__file__).resolve().parent / "baseline.json"
LEFT = 2 / 3
Baseline = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Held:
    """One ratio of the baseline in this run."""

    benchmark: str
    name: str
    before: float
    now: float | None
    says: str
    red: bool = False

    def __str__(self) -> str:
        now = "" if self.now is None else shown(self.now)
        return f"{self.benchmark:12s} {self.name:{NAME}s} {shown(self.before):>9s} {now:>9s}  {self.says}"


def read(path: Path = BASELINE) -> dict[str, dict[str, float]]:
    """The baseline: ratios by benchmark and name."""
    ratios: dict[str, dict[str, float]] = json.loads(path.read_text())["ratios"]
    return ratios


def write(results: Iterable[Result], path: Path = BASELINE) -> None:
    """Take the ratios that the baseline has from these results; what it has of other benchmarks stays."""
    before = read(path)
    for result in results:
        found = {ratio.name: ratio for ratio in result.ratios if ratio.value is not None}
        before[result.name] = {
            name: round(steady(found[name], better=False), 3) if name in found else value
            for name, value in before[result.name].items()
        }
    written = json.loads(path.read_text()) | {"ratios": before}
    path.write_text(json.dumps(written, indent=2) + "\n")


def steady(ratio: Ratio, *, better: bool) -> float:
    """The better or the worse of the best rounds and the median round."""
    both = [one for one in (ratio.value, ratio.median) if one is not None]
    return min(both) if _less_is_better(ratio) == better else max(both)


def compared(result: Result, baseline: Baseline) -> list[Held]:
    """Each ratio that the baseline has of a benchmark, held against what was found."""
    found = {ratio.name: ratio for ratio in result.ratios}
    wanted = baseline.get(result.name, {})
    broken = [ratio for ratio in result.ratios if ratio.verdict is Verdict.FAILED and ratio.name not in wanted]
    said = [_held(result.name, name, before, found.get(name)) for name, before in wanted.items()]
    return said + [
        Held(result.name, ratio.name, 0.0, None, f"FAILED: {ratio.lost.reason if ratio.lost else ''}", red=True)
        for ratio in broken
    ]


def _held(benchmark: str, name: str, before: float, ratio: Ratio | None) -> Held:
    if ratio is None:
        return Held(benchmark, name, before, None, "NOT MEASURED any more", red=True)
    if ratio.value is None:
        red = ratio.verdict is Verdict.FAILED
        return Held(benchmark, name, before, None, f"{ratio.verdict}: {ratio.lost.reason if ratio.lost else ''}", red)
    now = steady(ratio, better=True)
    share = before / now if _less_is_better(ratio) else now / before
    if share < LEFT:
        return Held(benchmark, name, before, now, f"FELL to {100 * share:.0f} % of the baseline", red=True)
    return Held(benchmark, name, before, now, "held")


def _less_is_better(ratio: Ratio) -> bool:
    return ratio.target is not None and ratio.target.at_most
