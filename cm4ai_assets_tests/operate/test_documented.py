"""Every command that README, docs and `--help` show is understood; what it selects can be planned on a new storage."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.conditions import CONDITIONS, condition_of
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs.products import optional_inputs
from cm4ai_assets.defs.selection import plan
from cm4ai_assets.releases import LATEST, ReleaseKey

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
GRAPH = defs.resolve_asset_graph()


def _commands(page: Path) -> set[str]:
    """Lines of code blocks, and inline code with an option, which begin with the command."""
    text = page.read_text()
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text) if " --" in code]
    return {line for line in [*lines, *inline] if line.startswith("cm4ai ") and "…" not in line}


def _helps() -> dict[str, str]:
    parser = cli._parser()
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: sub.format_help() for name, sub in commands.choices.items()}


SHOWN = sorted({(page.name, command) for page in PAGES for command in _commands(page)})


def test_there_are_examples() -> None:
    assert len(SHOWN) >= 7


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_command_of_the_docs_is_understood(page: str, command: str) -> None:
    args = cli._parser().parse_args(shlex.split(command, comments=True)[1:])
    if getattr(args, "release", None) is not None:
        assert args.release in {LATEST, "KEY"} or ReleaseKey.is_valid(args.release)
    if hasattr(args, "select"):
        conditions = [str(condition_of(c)) for c in args.condition or CONDITIONS]
        found = plan(GRAPH, args.select, "2026-06-v2.0", conditions, lambda _name, _partition: False)
        made = {key for wave in found.waves for key in wave.assets}
        assert made
        needed = {p for key in made for p in GRAPH.get(key).parent_keys - optional_inputs(GRAPH.get(key).metadata)}
        assert {key for key in needed if GRAPH.get(key).is_materializable} <= made


def test_each_selection_that_help_shows_can_be_planned() -> None:
    said = " ".join(_helps()["materialize"].split())
    shown = re.search(r"syntax: (.*?) \(default: all\)", said)
    assert shown is not None
    selections = [text.strip("'") for text in re.findall(r"'[^']+'|[^\s']+?(?=, |$)", shown[1])]
    assert selections == ["if_fields,if_quality", "+if_tensors", "group:images or key:release_files"]
    for selection in selections:
        assert plan(GRAPH, selection, "2026-06-v2.0", ["untreated"], lambda _name, _partition: False).waves
