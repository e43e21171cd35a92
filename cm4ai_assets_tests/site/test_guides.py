"""The guides for developers are held against the code: one is carried out on a copy, of one each name is found."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cm4ai_assets.settings import PROJECT
from cm4ai_assets_tests.operate.documented import PAGES, blocks

DOCS = PROJECT / "docs"
CONDITION, MODALITY = DOCS / "add-a-condition.md", DOCS / "add-a-modality.md"
_FILE = re.compile(r"`(cm4ai_assets(?:_tests)?/[\w/]+\.py)`")
_EXAMPLE = ("cellranger_metrics", "CELLRANGER_METRICS")

# What the page says follows by itself, looked at in a process that imports the changed copy.
_FOLLOWS = """
from cm4ai_assets.conditions import condition_of
from cm4ai_assets.archives.dataverse.recognition import recognise
from cm4ai_assets.images.names import parse_image_name
from cm4ai_assets.tables import table
from cm4ai_assets.tables.effects import TREATED
from cm4ai_assets.defs.partitions import condition_releases

assert recognise("", "cm4ai_ifimages_MDA-MB-468_cisplatin.zip").condition == "cisplatin"
assert recognise("", "cm4ai_ifimages_MDA-MB-468_cisplatin.zip").reason is None
assert parse_image_name("B2AI_1_Cisplatin_A1_R1_z01_red.jpg").condition == "cisplatin"
assert "if_fields_cisplatin" in {column.name for column in table("proteins").columns}
assert "cisplatin" in TREATED
keys = {one.name: one.partitions_def for one in condition_releases.partitions_defs}["condition"].get_partition_keys()
assert keys == ["untreated", "paclitaxel", "vorinostat", "cisplatin"]
assert condition_of("CDDP") == condition_of("Cisplatin") == "cisplatin"
"""


@pytest.mark.slow
def test_what_the_guide_to_a_condition_says_follows(tmp_path: Path) -> None:
    (patch,) = blocks(CONDITION, "diff")
    shutil.copytree(PROJECT / "cm4ai_assets", tmp_path / "cm4ai_assets", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "apply", "--unsafe-paths", "-"], input=patch, text=True, cwd=tmp_path, check=True)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _FOLLOWS], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_diff_of_the_docs_is_carried_out() -> None:
    assert [page for page in PAGES if blocks(page, "diff")] == [CONDITION]


def test_outside_the_sandbox_one_file_names_the_treatments() -> None:
    named = {path for path in _modules() if _names_a_treatment(PROJECT / path)}
    listed = set(_FILE.findall(CONDITION.read_text()))
    assert {path for path in named if not path.startswith("cm4ai_assets/sandbox/")} == {"cm4ai_assets/conditions.py"}
    assert named <= listed


def _names_a_treatment(path: Path) -> bool:
    """Whether code, not its words, names a condition beside the untreated one."""
    text = path.read_text()
    return "Condition." in text and any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Condition"
        and node.attr != "UNTREATED"
        for node in ast.walk(ast.parse(text))
    )


def _modules() -> list[str]:
    return [str(path.relative_to(PROJECT)) for path in sorted((PROJECT / "cm4ai_assets").rglob("*.py"))]


@pytest.mark.parametrize("page", [CONDITION, MODALITY], ids=lambda page: page.name)
def test_files_that_a_guide_names_are_there(page: Path) -> None:
    found = _FILE.findall(page.read_text())
    assert found
    assert [path for path in found if not (PROJECT / path).is_file()] == []


def test_each_name_of_the_example_stands_in_its_file() -> None:
    rows = re.findall(r"^\| *\d* *\| `(cm4ai_assets/\S+\.py)` \| (.*) \|$", MODALITY.read_text(), re.MULTILINE)
    assert len(rows) >= 12
    for path, what in rows:
        text = (PROJECT / path).read_text()
        # A member of an enum is written otherwise where it is defined.
        names = [re.sub(r"^(Modality|Role)\.", "", name) for name in re.findall(r"`([^`]+)`", what)]
        assert names, path
        assert [name for name in names if name not in text] == [], path


def test_each_file_that_names_the_example_is_on_the_page() -> None:
    listed = set(_FILE.findall(MODALITY.read_text()))
    named = {path for path in _modules() if any(name in (PROJECT / path).read_text() for name in _EXAMPLE)}
    assert named <= listed
