"""An export in part says so: what of a release is in it, what is not, and why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets_tests.exports.releases import copied


def _said(made: Made) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """The section of README.md, the record's part, and the notes."""
    lines = (made.folder / "README.md").read_text().splitlines()
    first, last = lines.index("## What is in it"), lines.index("## What to know")
    record = json.loads((made.folder / "cm4ai-export.json").read_text())
    return [line for line in lines[first + 1 : last] if line], record["contents"], record["notes"]


@pytest.mark.parametrize("form", ["cell-maps", "webdataset", "huggingface", "ome-zarr"])
def test_images_of_some_conditions_name_the_others_and_why_they_are_not_there(
    images: Release, tmp_path: Path, form: str
) -> None:
    lines, contents, _ = _said(export(images, form, tmp_path / "all"))
    why = "if_fields of vorinostat of 2026-06-v2.0 is not there: the release publishes no files of that kind."
    assert contents == [
        {"kind": "images", "conditions": ["untreated", "paclitaxel"], "not_in_it": {"vorinostat": why}},
    ]  # fmt: skip
    assert lines == ["- images of untreated, paclitaxel", f"- Not in it: images of vorinostat. {why}"]


def test_what_was_not_chosen_is_said_to_be_that(images: Release, tmp_path: Path) -> None:
    only = Selection(conditions=(Condition.PACLITAXEL,))
    _, (contents,), _ = _said(export(images, "webdataset", tmp_path / "one", selection=only))
    assert contents["conditions"] == ["paclitaxel"]
    assert contents["not_in_it"] == {"untreated": "It was not chosen.", "vorinostat": "It was not chosen."}
    lines, _, _ = _said(export(images, "webdataset", tmp_path / "two", selection=Selection(wells=("A1",))))
    assert lines[0] == "- images of untreated, paclitaxel"


def test_of_elution_and_the_screen_each_is_named_and_what_is_not_there_brings_no_notes(
    both: Release, secms: Release, tmp_path: Path
) -> None:
    def contents(release: Release, name: str, **chosen: Any) -> tuple[list[str], list[str]]:
        lines, _, notes = _said(export(release, "anndata", tmp_path / name, **chosen))
        return lines, [note.split(":")[0] for note in notes if ":" in note]

    paclitaxel = "- Not in it: SEC-MS of paclitaxel. secms_proteins of paclitaxel of 2026-06-v2.0 is not materialized."
    lines, notes = contents(both, "both")
    assert lines == ["- SEC-MS of untreated, vorinostat", "- Perturb-seq", paclitaxel]
    assert set(notes) == {"SEC-MS", "Perturb-seq"}
    lines, notes = contents(secms, "secms")
    assert lines[:2] == ["- SEC-MS of untreated, vorinostat", paclitaxel]
    assert lines[2].startswith("- Not in it: Perturb-seq. perturb_targets of 2026-06-v2.0 is not materialized.")
    assert set(notes) == {"SEC-MS"}
    lines, _ = contents(both, "one", selection=Selection(conditions=(Condition.UNTREATED,)))
    assert lines == [
        "- SEC-MS of untreated",
        "- Not in it: SEC-MS of paclitaxel. It was not chosen.",
        "- Not in it: SEC-MS of vorinostat. It was not chosen.",
        "- Not in it: Perturb-seq. Conditions were chosen, and it has none.",
    ]
    screen = copied(both, tmp_path / "copy")
    for name in ("secms_proteins", "secms_profiles"):
        shutil.rmtree(tmp_path / "copy" / "storage" / "tables" / name)
    lines, notes = contents(screen, "screen")
    assert lines[0] == "- Perturb-seq"
    assert lines[1] == "- Not in it: SEC-MS. secms_proteins of any condition of 2026-06-v2.0 is not materialized."
    assert set(notes) == {"Perturb-seq"}


def test_matrices_name_the_conditions_that_they_lack(secms: Release, tmp_path: Path) -> None:
    lines, _, _ = _said(export(secms, "secms-matrix", tmp_path / "out"))
    assert lines[0] == "- SEC-MS of untreated, vorinostat"
    assert lines[1].startswith("- Not in it: SEC-MS of paclitaxel. ")
