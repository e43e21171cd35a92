"""`cm4ai trace` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.access import Release
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.lineage.world import RUN, TWIN


@pytest.fixture
def traced(release: Release, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Release:
    """With the environment set as a person sets it."""
    monkeypatch.setenv("CM4AI_STORAGE", release.store.root)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path))
    return release


def test_a_row_is_traced_to_its_file_and_run(traced: Release, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["trace", "if_fields", "field_id=B2AI_1_paclitaxel_A1_R3_z01", "--release", traced.key]
    assert cli.main(asked) == cli.DONE
    shown = capsys.readouterr().out
    assert shown.startswith(f"row 2 of if_fields (paclitaxel|{traced.key}): field_id=B2AI_1_paclitaxel_A1_R3_z01\n")
    for word in ("doi:10.5072/FK2/TESTED, version 2.0", "MD5 ", "SHA-256 ", "CRC-32 ", f"made by run {RUN}", "line 5"):
        assert word in shown, word
    assert cli.main(["trace", "images_untreated.zip"]) == cli.DONE
    assert "Made of it (" in capsys.readouterr().out
    assert cli.main(["trace", "if_tensors", "3", "--condition", "ctrl", "--release", traced.key]) == cli.DONE
    assert capsys.readouterr().out.startswith(f"field 3 of the tensor of untreated|{traced.key}")
    assert cli.main(["trace", "splits", "scheme=protein", "condition=paclitaxel", "--release", traced.key]) == cli.DONE
    assert cli.main(["trace", "if_cells", "--condition", "ctrl", "--release", traced.key]) == cli.DONE


def test_the_newest_published_release_is_meant_where_none_is_named(
    traced: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["trace", "if_fields", "3", "--condition", "untreated"]) == cli.DONE
    assert (
        f"It was made for release {traced.key}, from the same published bytes as {TWIN} has." in capsys.readouterr().out
    )


def test_json_is_for_machines(traced: Release, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", "proteins", "0", "--release", traced.key, "--json", "--verify"]) == cli.DONE
    stated = json.loads(capsys.readouterr().out)
    assert stated["steps"][stated["subject"]]["rows"]["key"] == {"gene": "ENSG00000141510"}
    assert {step["file"]["archive"] for step in stated["steps"] if step["file"]} == {"dataverse", "massive", "figshare"}
    assert stated["held"]
    assert not [one for one in stated["held"] if one["problems"]]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["if_feilds", "3"], cli.WRONG_USE, "There is no table 'if_feilds'. Did you mean if_fields"),
        (["if_fields", "99", "--condition", "untreated"], cli.WRONG_USE, "has 18 rows, 0 to 17"),
        (["if_fields", "99"], cli.WRONG_USE, "Name one with --condition"),
        (["if_fields", "a", "b"], cli.WRONG_USE, "'a b' is no row"),
        (["if_fields", "well=A1", "well=B1"], cli.WRONG_USE, "is no row"),
        (["if_fields", "3", "--condition", "aspirin"], cli.WRONG_USE, "'aspirin' is not known"),
        (["if_fields", "3", "--release", "2031-01-v1.0"], cli.WRONG_USE, "is not known"),
        (["images_untreated.zip", "3"], cli.WRONG_USE, "There is no table 'images_untreated.zip'"),
        (["/etc/passwd"], cli.WRONG_USE, "nothing that stands in"),
        (["if_fields", "3", "--condition", "vorinostat"], cli.FAILED, "not there"),
    ],
)
def test_what_cannot_be_traced_is_one_line_on_standard_error(
    traced: Release, capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str
) -> None:
    named = words if "--release" in words or "/" in words[0] else [*words, "--release", traced.key]
    assert cli.main(["trace", *named]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("cm4ai: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_damage_that_is_found_on_request_fails(
    copy: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", copy.store.root)
    (blob,) = {step.stored.path for step in copy.trace("secms_proteins", 0).steps if step.file and step.stored}
    asked = ["trace", "secms_proteins", "0", "--release", copy.key]
    assert cli.main([*asked, "--verify"]) == cli.DONE
    Path(copy.store.address(blob)).write_bytes(b"altered")
    assert cli.main(asked) == cli.DONE
    assert cli.main([*asked, "--verify"]) == cli.FAILED
    assert f"DAMAGED {blob}" in capsys.readouterr().out


def test_nothing_slow_is_imported_for_it(traced: Release) -> None:
    slow = ("dagster", "zarr", "torch", "scipy", "cv2", "pandas", "numba")
    code = (
        "import sys; from cm4ai_assets import cli; "
        f"status = cli.main(['trace', 'if_fields', '3', '--condition', 'untreated', '--release', {traced.key!r}]); "
        f"print([name for name in {slow} if name in sys.modules], status)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip().rsplit("\n", 1)[-1] == f"[] {cli.DONE}"


def test_an_empty_storage_says_how_to_fill_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", str(tmp_path / "storage"))
    assert cli.main(["trace", "if_fields", "3"]) == cli.FAILED
    assert "cm4ai materialize --release latest" in capsys.readouterr().err
    assert Store(str(tmp_path / "storage"), scratch=tmp_path).find("") == []
