"""What a benchmark finds, in one form: ratios with their targets, and numbers that are information only.

Belongs here: the form, the verdict, its line in a table, its JSON. Does not belong here: how sides are run (`turns`),
what they do (each benchmark), what fell below the baseline (`guard`).

A ratio is the best round of one side over the best round of the other: what else runs on a machine only ever slows a
side down. The ratio of each round is kept beside it; a median far from the best says that the machine was busy.
Rates and seconds are facts: they compare with no other machine and have no target.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

NAME = 60
"""Columns of a ratio's name in a table."""


class Verdict(StrEnum):
    """How a ratio stands to its target."""

    MET = "met"
    MISSED = "MISSED"
    ABSENT = "peer absent"
    FAILED = "FAILED"
    INFORMATION = "no target"


@dataclass(frozen=True)
class Target:
    """A bound, and on which side of it a ratio has to be."""

    bound: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g}"


def at_least(bound: float) -> Target:
    return Target(bound)


def at_most(bound: float) -> Target:
    return Target(bound, at_most=True)


@dataclass(frozen=True)
class Lost:
    """Why a side has no runs. `failed` tells a side that broke from a peer that is not installed."""

    reason: str
    failed: bool


@dataclass(frozen=True)
class Ratio:
    """One ratio: `value` is best to best, `rounds` has one ratio a round. No value if a side is `lost`."""

    name: str
    value: float | None
    rounds: tuple[float, ...] = ()
    target: Target | None = None
    unit: str = ""
    lost: Lost | None = None

    @property
    def median(self) -> float | None:
        return statistics.median(self.rounds) if self.rounds else self.value

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return Verdict.FAILED if self.lost is None or self.lost.failed else Verdict.ABSENT
        if self.target is None:
            return Verdict.INFORMATION
        return Verdict.MET if self.target.met(self.value) else Verdict.MISSED

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "median": self.median, "verdict": self.verdict}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Ratio:
        lost, target = written["lost"], written["target"]
        return cls(
            written["name"], written["value"], tuple(written["rounds"]), Target(**target) if target else None,
            written["unit"], Lost(**lost) if lost else None,
        )  # fmt: skip


@dataclass
class Findings:
    """What one benchmark found. It fills it while it runs; `finish` prints it, and writes it if asked to."""

    inputs: str = ""
    ratios: list[Ratio] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def rates(self, name: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None) -> None:
        """Add the ratio of two sides' rates: more is better, one number a round."""
        rounds = tuple(one / other for one, other in zip(ours, theirs, strict=True))
        self.ratios.append(Ratio(name, max(ours) / max(theirs), rounds, target))

    def costs(self, name: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None) -> None:
        """Add how many times ours their cost is (seconds, CPU time): less is better, one number a round."""
        self.rates(name, [1 / one for one in ours], [1 / one for one in theirs], target)

    def number(self, name: str, value: float, target: Target | None = None, unit: str = "") -> None:
        """Add a number that a machine's speed does not change: bytes, requests, memory, a share of them."""
        self.ratios.append(Ratio(name, value, (value,), target, unit))

    def without(self, name: str, lost: Lost, target: Target | None = None) -> None:
        """Add a ratio that could not be measured."""
        self.ratios.append(Ratio(name, None, (), target, lost=lost))

    def fact(self, name: str, said: str) -> None:
        """Add what is information only."""
        self.facts[name] = said

    def finish(self, options: argparse.Namespace) -> int:
        """Print all, write it to `--json`, and return the exit status: 0 if nothing was missed and nothing failed."""
        print(f"\n{self.inputs}")
        for name, said in self.facts.items():
            print(f"  {name}: {said}")
        for ratio in self.ratios:
            print(f"  {line(ratio)}")
        if options.json:
            written = {
                "inputs": self.inputs,
                "ratios": [ratio.as_json() for ratio in self.ratios],
                "facts": self.facts,
                "seconds": round(time.monotonic() - self.started, 1),
            }
            options.json.write_text(json.dumps(written, indent=2) + "\n")
        return 1 if any(ratio.verdict in {Verdict.MISSED, Verdict.FAILED} for ratio in self.ratios) else 0


def line(ratio: Ratio) -> str:
    """A ratio as a row of the table."""
    value = "" if ratio.value is None else shown(ratio.value, ratio.unit)
    median = "" if ratio.median is None or len(ratio.rounds) < 2 else f"({shown(ratio.median)})"
    target = str(ratio.target or "")
    reason = f": {ratio.lost.reason}" if ratio.lost else ""
    return f"{ratio.name:{NAME}s} {value:>9s} {median:>9s}  {target:14s} {ratio.verdict}{reason}".rstrip()


def shown(value: float, unit: str = "") -> str:
    """A number at three digits."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"
    return f"{digits}{' ' if unit else ''}{unit}"


def arguments(name: str, description: str | None, *, rounds: int, jpegs: bool = False) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--small", action="store_true", help="small inputs: it ends within seconds and proves little")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--scratch", type=Path, help="where to write; a local disk")
    parser.add_argument("--json", type=Path, help="also write what is found here")
    if jpegs:
        parser.add_argument("--jpegs", type=Path, help="JPEGs in red/, green/, blue/, yellow/ of a folder")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def parsed(parser: argparse.ArgumentParser, **small: object) -> argparse.Namespace:
    """The options as given. `small` has the defaults of `--small`."""
    if "--small" in sys.argv:
        parser.set_defaults(**small)
    return parser.parse_args()
