"""`cm4ai export` as a person meets it: where it writes, what it says, and its exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.access import Release
from cm4ai_assets.exports.formats import FORMATS
from cm4ai_assets_tests.exports.releases import LICENSE


@pytest.fixture(autouse=True)
def _somewhere(images: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", images.store.root)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)


def test_a_format_is_written_to_a_folder_that_is_named_or_to_one_of_its_own(
    images: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "--release", "latest", "--format", "webdataset", "--condition", "PTXL", "--plate", "1"]
    assert cli.main(words) == cli.DONE
    shown = capsys.readouterr()
    folder = tmp_path / f"cm4ai-{images.key}-webdataset"
    assert shown.out.splitlines()[0] == f"1 parts in {folder.name}. 2 fields."
    assert f"Licence: {LICENSE}. README.md there says" in shown.out
    assert "2 of 2 fields" in shown.err
    record = json.loads((folder / "cm4ai-export.json").read_text())
    assert record["identity"]["selection"] == {
        "conditions": ["paclitaxel"], "plates": ["1"], "scheme": "protein",
    }  # fmt: skip
    assert cli.main([*words, "-o", folder.name]) == cli.DONE
    assert "1 parts, 1 of them from before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--format", "webdataset", "--condition", "aspirin"], "Treatment 'aspirin' is not known"),
        (["--format", "webdataset", "--gene", "TP35"], "Did you mean TP53"),
        (["--format", "webdataset", "--plate", "9"], "No field is of the plate 'B2AI_9'"),
        (["--format", "cell-maps", "--pixels", "png"], "Leave out --pixels"),
        (["--format", "ome-zarr", "--shard-fields", "3"], "ome-zarr has no shards. Leave out --shard-fields"),
        (["--format", "webdataset", "--release", "2030-01-v1.0"], "2030-01-v1.0"),
        (["--format", "webdataset", "-o", "taken"], "holds something that is no export (mine.txt)"),
        (["--format", "md5sums", "-o", "somewhere"], "lists every published file on standard output"),
        (["--format", "pooch", "--condition", "untreated"], "it takes no --condition. Leave it out"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    assert cli.main(["export", "--release", "latest", *words]) == cli.WRONG_USE
    err = capsys.readouterr().err
    assert err.startswith("cm4ai: ")
    assert err.count("\n") == 1
    assert text in err
    assert {path.name for path in tmp_path.rglob("*")} == {"taken", "mine.txt"}


def test_an_unknown_format_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.main(["export", "--release", "latest", "--format", "imagenet"])
    assert refused.value.code == cli.WRONG_USE
    err = capsys.readouterr().err
    assert all(name in err for name in ("sha256sums", *FORMATS))


def test_a_condition_that_is_not_published_is_a_failure_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "--release", "latest", "--format", "cell-maps", "--condition", "vorinostat"]
    assert cli.main(words) == cli.FAILED
    assert "vorinostat" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    words = ["export", "--release", "latest", "--format", "webdataset", "-o", "file/below"]
    assert cli.main(words) == cli.FAILED
    assert "--output must name a folder that can be written" in capsys.readouterr().err


def test_help_has_every_format_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for one in FORMATS.values():
        assert f"  {one.name:<14}{one.summary}" in lines
    assert max(map(len, lines)) <= 120
