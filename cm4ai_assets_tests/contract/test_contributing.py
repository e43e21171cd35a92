"""What CONTRIBUTING shows works: its blocks, in a copy of the tree, make an asset that loads, runs and is checked."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cm4ai_assets.settings import PROJECT
from cm4ai_assets_tests.contract import laws
from cm4ai_assets_tests.contract.snapshot import PATH

PAGE = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|diff)\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NEW = [path for kind, path, _ in BLOCKS if kind == "python"]
STEPS = 10
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Step 10 of the page, and the tests of the page, in one process.
DRIVER = """
import sys, pytest
from cm4ai_assets import tables
from cm4ai_assets.definitions import defs
from cm4ai_assets.lineage.rules import RULES
from cm4ai_assets.tables.dictionary import dictionary
from cm4ai_assets_tests.contract.snapshot import PATH, snapshot
PATH.write_text(snapshot(defs), encoding="utf-8")
assert set(RULES) == {table.name for table in tables.ALL}
assert "## antibody_use" in dictionary()
sys.exit(pytest.main(["-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def _changed(text: str, block: str) -> str:
    """A text after the changes of a block: each `+` follows the line above it in the block, in place of a `-`."""
    lines, at = text.splitlines(), 0
    for line in block.splitlines():
        mark, content = line[0], line[1:]
        if mark == "+":
            lines.insert(at, content)
            at += 1
            continue
        assert lines.count(content) == 1 or content in lines[at:], (
            f"CONTRIBUTING names a line that is not there: {content}"
        )
        at = lines.index(content, at) + 1
        if mark == "-":
            at -= 1
            del lines[at]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the example in it."""
    folder = tmp_path_factory.mktemp("contributing")
    for name in ("cm4ai_assets", "cm4ai_assets_tests"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("*.nb?", "*.tmp"))
    for name in ("pyproject.toml", "setup.cfg"):
        shutil.copy2(PROJECT / name, folder / name)
    for kind, path, block in BLOCKS:
        if kind == "python":
            assert not (folder / path).exists(), path
        (folder / path).write_text(block if kind == "python" else _changed((folder / path).read_text(), block))
    return folder


def test_the_page_has_ten_steps_and_every_block_of_code_is_applied() -> None:
    assert re.findall(r"^\*\*(\d+)\. ", PAGE, re.MULTILINE) == [str(number) for number in range(1, STEPS + 1)]
    assert len(re.findall(r"^```(?:python|diff)$", PAGE, re.MULTILINE)) == len(BLOCKS)


def test_the_example_loads_is_in_the_snapshot_and_its_own_tests_pass(tree: Path) -> None:
    tests = [path for path in NEW if path.startswith("cm4ai_assets_tests/")]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *tests],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^3 passed", done.stdout, re.MULTILINE), done.stdout
    before, after = (path.read_text().splitlines() for path in (PATH, tree / PATH.relative_to(PROJECT)))
    lines = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert [line[4:] for line in lines if line.startswith("+   antibody_use: ")] == [
        "antibody_use: integration, by release, from if_fields",
        "antibody_use: antibodies_usable",
        "antibody_use: schema (blocking)",
    ]
    others = [line for line in lines if not line.startswith("+   antibody_use: ")]
    lost = sorted(line[1:] for line in others if line[0] == "-")
    gained = [line[1:] for line in others if line[0] == "+"]
    assert sorted(re.sub(r"antibody_use, |, antibody_use$", "", line) for line in gained) == lost


def test_the_example_keeps_the_laws_and_the_style(tree: Path, tmp_path: Path) -> None:
    own = [path for path in NEW if path.startswith("cm4ai_assets/")]
    for path in own:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree / path, tmp_path / path)
    for law in (laws.upward_imports, laws.circles, laws.dagster_below_defs, laws.storage_paths, laws.network_imports):
        assert law(tmp_path / "cm4ai_assets") == []
    ruff = Path(sys.executable).with_name("ruff")
    touched = {path for _, path, _ in BLOCKS}
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([ruff, *words, *touched], cwd=tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_a_line_that_is_not_there_is_an_error() -> None:
    assert _changed("a\nb\n", " a\n+x\n-b\n+c\n") == "a\nx\nc\n"
    with pytest.raises(AssertionError, match="a line that is not there: z"):
        _changed("a\n", " z\n+x\n")


def test_the_commands_of_the_page_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = [words.split() for words in re.findall(r"^make ([a-z -]+?)\s*(?:#.*)?$", PAGE, re.MULTILINE)]
    assert {target for words in named for target in words} <= targets
    for path in re.findall(r"`((?:cm4ai_assets|cm4ai_assets_tests|requirements|docs)/[\w/.]+)`", PAGE):
        assert (PROJECT / path).exists(), path
    for path in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (PROJECT / path).exists(), path
