from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cm4ai_assets
from cm4ai_assets.vocabulary import CellLine, CellType, Modality, QuantityKind, cell_lines_in

ROOT = Path(cm4ai_assets.__file__).parent


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("cm4ai_mass-spec_KOLF2.zip", {CellLine.KOLF2_1J}),
        ("KOLF2.1J", {CellLine.KOLF2_1J}),
        ("Biosep_MDAMB468_CTRL_1_Report.tsv", {CellLine.MDA_MB_468}),
        ("BiosepMDA_MB468_Ctrl", {CellLine.MDA_MB_468}),
        ("MDA-MB-468 beside KOLF2", set(CellLine)),
        ("HeLa", set()),
    ],
)
def test_spellings_of_cell_lines(name: str, lines: set[CellLine]) -> None:
    assert cell_lines_in(name) == lines


def test_words_are_not_written_out_elsewhere() -> None:
    """Code names a member: a word that is written out twice is spelled in two ways one day."""
    words = {*QuantityKind, *CellLine, *CellType, *Modality} - {Modality.RELEASE}  # also the name of a partition
    elsewhere = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in ROOT.rglob("*.py")
        if path.name != "vocabulary.py" and "sandbox" not in path.parts
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and node.value in words
    ]
    # The name of a job, and parts of names of runs, are the same words with another meaning.
    others = ("defs/jobs.py", "updates/inputs.py", "proteomics/names.py")
    assert [where for where in elsewhere if not where.startswith(others)] == []
