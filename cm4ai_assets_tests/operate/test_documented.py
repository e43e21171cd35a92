"""Every command that README, docs and `--help` show is understood; what it selects can be planned on a new storage."""

from __future__ import annotations

import shlex

import pytest

from cm4ai_assets import cli
from cm4ai_assets.conditions import CONDITIONS, condition_of
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs.products import optional_inputs
from cm4ai_assets.defs.selection import plan
from cm4ai_assets.releases import LATEST, ReleaseKey
from cm4ai_assets_tests.operate.documented import commands, selections

GRAPH = defs.resolve_asset_graph()
SHOWN = [
    command
    for command in commands()
    if command.startswith("cm4ai ")
    and " --" in command
    and "…" not in command
    and not command.endswith((" --help", " --version"))
]


def test_there_are_examples() -> None:
    assert len(SHOWN) >= 7


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_of_the_docs_is_understood(command: str) -> None:
    args = cli._parser().parse_args(shlex.split(command)[1:])
    if getattr(args, "release", None) is not None:
        assert args.release in {LATEST, "KEY"} or ReleaseKey.is_valid(args.release)
    if hasattr(args, "select"):
        conditions = [str(condition_of(c)) for c in args.condition or CONDITIONS]
        found = plan(GRAPH, args.select, "2026-06-v2.0", conditions, lambda _name, _partition: False)
        made = {key for wave in found.waves for key in wave.assets}
        assert made
        needed = {p for key in made for p in GRAPH.get(key).parent_keys - optional_inputs(GRAPH.get(key).metadata)}
        assert {key for key in needed if GRAPH.get(key).is_materializable} <= made


@pytest.mark.parametrize("command", [one for one in commands() if one.startswith("cm4ai ") and one.endswith(" --help")])
def test_help_that_the_docs_name_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli._parser().parse_args(shlex.split(command)[1:])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: cm4ai")


def test_each_selection_that_help_shows_can_be_planned() -> None:
    assert selections() == ["if_fields,if_quality", "+if_tensors", "group:images or key:release_files"]
    for selection in selections():
        assert plan(GRAPH, selection, "2026-06-v2.0", ["untreated"], lambda _name, _partition: False).waves
