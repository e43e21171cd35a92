"""The benchmarks' frame: verdicts, absent peers, failures that stop nothing, and what the baseline takes for a fall."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

import benchmarks.__main__ as command
from benchmarks import guard, peers, runner
from benchmarks.ratios import Findings, Lost, Ratio, Target, Verdict, at_least, at_most
from benchmarks.runner import Result
from benchmarks.turns import SideFailedError, child, in_turn

NOT_BENCHMARKS = {"__main__", "peers"}
BROKE = Lost("ValueError: no", failed=True)
NOT_HERE = Lost("pooch not installed", failed=False)


def test_every_module_that_runs_is_a_benchmark() -> None:
    """Otherwise `make bench` would leave it out."""
    run = {path.stem for path in runner.HERE.glob("*.py") if 'if __name__ == "__main__"' in path.read_text()}
    assert set(runner.names()) == run - NOT_BENCHMARKS
    assert set(guard.read()) <= set(runner.names())


def test_what_benchmarks_import_is_in_their_environment() -> None:
    """The tests' environment has more: there a benchmark would run that ends in a traceback in its own."""
    config = configparser.ConfigParser()
    config.read(runner.PROJECT / "setup.cfg")
    asked = config["options"]["install_requires"].split() + peers.peers()
    there = {"dagster-graphql"}  # the webserver brings it, in its own version
    there |= {re.split(r"[<>=!\[]", one)[0].lower() for one in asked}
    of = metadata.packages_distributions()
    trees = [ast.parse(path.read_text()) for path in runner.HERE.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    modules = {name.split(".")[0] for name in named} - sys.stdlib_module_names - {"benchmarks", "cm4ai_assets"}
    assert [name for name in sorted(modules) if there.isdisjoint(one.lower() for one in of.get(name, [name]))] == []


@pytest.mark.parametrize(
    ("value", "target", "lost", "verdict"),
    [
        (0.9, at_least(0.9), None, Verdict.MET),
        (0.89, at_least(0.9), None, Verdict.MISSED),
        (450, at_most(450), None, Verdict.MET),
        (451, at_most(450), None, Verdict.MISSED),
        (7, None, None, Verdict.INFORMATION),
        (None, at_least(1), NOT_HERE, Verdict.ABSENT),
        (None, at_least(1), BROKE, Verdict.FAILED),
    ],
)
def test_verdicts(value: float | None, target: Target | None, lost: Lost | None, verdict: Verdict) -> None:
    ratio = Ratio("a / b", value, () if value is None else (value,), target, "", lost)
    assert ratio.verdict is verdict
    assert Ratio.from_json(json.loads(json.dumps(ratio.as_json()))) == ratio


def test_a_ratio_is_best_to_best_and_keeps_every_round() -> None:
    found = Findings()
    found.rates("a / b", [100, 50, 80], [50, 50, 20])
    found.costs("a / b", [2, 1], [4, 4])
    assert (found.ratios[0].value, found.ratios[0].rounds, found.ratios[0].median) == (2, (2, 1, 4), 2)
    assert found.ratios[1].value == 4, "a quarter of the seconds is four times the rate"


def test_a_side_without_its_peer_and_one_that_fails_leave_the_others() -> None:
    calls: list[str] = []

    def broken() -> float:
        calls.append("broken")
        raise SideFailedError("ImportError: half installed")

    sides = {"ours": lambda: 2.0, "theirs": lambda: 1.0, "peer": lambda: 1.0, "broken": broken}
    turns = in_turn(sides, 2, str, {"peer": ("no_such_module_or_program",)})
    found = Findings()
    for side in ("theirs", "peer", "broken"):
        turns.compare(found, f"ours / {side}", ("ours", side), float, at_least(1))
    assert [ratio.verdict for ratio in found.ratios] == [Verdict.MET, Verdict.ABSENT, Verdict.FAILED]
    assert calls == ["broken"], "it is not tried again each round"
    assert "no_such_module_or_program not installed" in str(found.ratios[1].lost)


def test_a_child_that_fails_says_its_last_line() -> None:
    with pytest.raises(SideFailedError, match=r"unrecognized arguments: --nonsense"):
        child("crates", "--nonsense")


def test_a_benchmark_that_raises_or_hangs_becomes_a_failed_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    raised = runner.run("crates", ["--scratch", str(tmp_path / "absent")], 60, said.append)
    hung = runner.run("crates", [], 2, said.append)
    for result, reason in ((raised, "FileNotFoundError"), (hung, "not done after 2 s")):
        assert [ratio.verdict for ratio in result.ratios] == [Verdict.FAILED]
        assert result.ratios[0].lost
        assert reason in result.ratios[0].lost.reason
    assert list(tmp_path.iterdir()) == [], "what a killed benchmark wrote is gone"
    assert any("Traceback" in line for line in raised.output), "kept in the results"
    assert not any("Traceback" in line for line in said), "and not on the screen"


@pytest.mark.slow
def test_what_runs_on_a_gpu_runs_without_one(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    words = ["--small", "--device", "cpu", "--fields", "4", "--batch", "2", "--sides"]
    sides = ["loader", "copied", "ViT fed by 256"]
    found = runner.run("gpu", [*words, *sides, "--scratch", str(tmp_path)], 120, lambda _: None)
    assert [(ratio.name, bool(ratio.value)) for ratio in found.ratios] == [("copied / loader", True)], found.output
    assert set(sides) <= set(found.facts)


def test_one_command_runs_all_and_writes_table_results_and_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {
        "images": _result("images", Ratio("a / b", 2.0, (1.5, 2.0), at_least(1))),
        "loader": _result("loader", Ratio("(the benchmark)", None, lost=BROKE)),
        "secms": _result("secms", Ratio("c / d", None, target=at_least(1), lost=NOT_HERE)),
    }
    monkeypatch.setattr(runner, "run", lambda name, *_: made[name])
    path = tmp_path / "results.json"
    assert _command(monkeypatch, "--only", "images", "loader", "secms", "--results", str(path)) == 1
    table = capsys.readouterr().out
    assert "2.00    (1.75)  at least 1     met" in table
    assert "FAILED: ValueError: no" in table
    assert "1 met, 1 peer absent, 1 FAILED" in table
    written = json.loads(path.read_text())
    assert list(written["benchmarks"]) == ["images", "loader", "secms"]
    assert written["benchmarks"]["images"]["ratios"][0]["rounds"] == [1.5, 2.0]
    assert {"date", "commit", "machine", "versions", "form"} <= set(written)
    assert written["versions"]["polars"]
    with Image.open(path.with_suffix(".png")) as plot:
        assert plot.width > 1000
    made["loader"] = _result("loader")
    assert _command(monkeypatch, "--only", *made, "--results", str(path)) == 0, "an absent peer is no fault"


@pytest.mark.parametrize(
    ("ratio", "says", "red"),
    [
        (Ratio("a / b", 2.0, (2.0,)), "held", False),
        (Ratio("a / b", 1.34, (1.34,)), "held", False),
        (Ratio("a / b", 1.3, (1.3,)), "FELL to 65 % of the baseline", True),
        # A busy minute: one round of ours, or one of theirs, is worth nothing.
        (Ratio("a / b", 1.9, (0.3, 1.0, 1.9)), "held", False),
        (Ratio("a / b", 1.0, (1.9, 2.0, 1.0)), "held", False),
        (Ratio("a / b", None, lost=NOT_HERE), "peer absent: pooch not installed", False),
        (Ratio("a / b", None, lost=BROKE), "FAILED: ValueError: no", True),
        (Ratio("another", 2.0, (2.0,)), "NOT MEASURED any more", True),
        (Ratio("a / b", 2.9, (2.9,), at_most(9)), "held", False),
        (Ratio("a / b", 3.1, (3.1,), at_most(9)), "FELL to 65 % of the baseline", True),
    ],
)
def test_what_fell_by_a_third(ratio: Ratio, says: str, red: bool) -> None:  # noqa: FBT001
    held = guard.compared(_result("images", ratio), {"images": {"a / b": 2.0}})
    assert [(one.says, one.red) for one in held] == [(says, red)]


def test_a_fall_is_measured_once_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"ratios": {"images": {"a / b": 2.0}}}))
    words = ("--small", "--baseline", str(baseline))
    for values, status in (((1.0, 2.0), 0), ((1.0, 1.0), 1), ((2.0,), 0)):
        runs: Iterator[float] = iter(values)
        monkeypatch.setattr(runner, "run", lambda *_, runs=runs: _result("images", _single(next(runs))))
        assert _command(monkeypatch, *words) == status
        assert next(runs, None) is None, "each was needed"
    monkeypatch.setattr(runner, "run", lambda *_: _result("images", _single(3.0)))
    assert _command(monkeypatch, *words, "--write-baseline") == 0
    assert guard.read(baseline) == {"images": {"a / b": 3.0}}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_planted_slow_down_goes_red_and_a_busy_machine_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = {"crates": {"ours / json.loads, CPU time": _crates()}}
    with _busy(2 * (os.cpu_count() or 1)):
        assert not _red(baseline)
    (tmp_path / "sitecustomize.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert _red(baseline)


# Every process that starts with it spends six times as long on reading crates. By noise alone one round's ratio may be
# twice that of another, so less could hide in it; where exactly a third has fallen is above, in the table.
PLANTED = """
import importlib.util, sys, time

class Planted:
    def find_spec(self, name, path=None, target=None):
        if name != "cm4ai_assets.crates.frames":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            quick = module.crate_tables

            def slow(*args, **words):
                begin = time.process_time()
                made = quick(*args, **words)
                until = begin + 6 * (time.process_time() - begin)
                while time.process_time() < until:
                    pass
                return made

            module.crate_tables = slow

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Planted())
"""


def test_a_peer_that_cannot_be_installed_is_named_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip is played by a script that refuses one requirement."""
    python, stamp = tmp_path / "python", tmp_path / "stamp"
    python.write_text('#!/bin/sh\ncase "$*" in *pooch*) echo "ERROR: no such version" >&2; exit 1;; esac\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "argv", ["peers.py", str(python), "--stamp", str(stamp)])
    assert peers.main() == 0
    assert "peer absent: pooch>=1.8 could not be installed: ERROR: no such version" in capsys.readouterr().out
    assert not stamp.exists()
    python.write_text("#!/bin/sh\n")
    assert peers.main() == 0
    assert stamp.exists()
    python.write_text("#!/bin/sh\nexit 3\n")
    assert peers.main() == 1, "without the project there is nothing to measure"


def _result(name: str, *ratios: Ratio) -> Result:
    return Result(name, list(ratios))


def _single(value: float) -> Ratio:
    return Ratio("a / b", value, (value,))


def _command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    return command.main()


def _measured() -> Result:
    return runner.run("crates", ["--entities", "6000", "--rounds", "3"], 600, print)


def _crates() -> float:
    """As `guard.write` takes it: of several rounds, so that one busy moment makes it neither low nor high."""
    (ratio,) = [one for one in _measured().ratios if one.name.endswith("CPU time")]
    assert ratio.value
    return guard.steady(ratio, better=False)


def _red(baseline: guard.Baseline) -> bool:
    """As the small form decides: what fell is measured once more."""
    return all(any(one.red for one in guard.compared(_measured(), baseline)) for _ in range(2))


@contextmanager
def _busy(number: int) -> Iterator[None]:
    """As many processes that do nothing but spend CPU time."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
        for process in burning:
            process.wait()
