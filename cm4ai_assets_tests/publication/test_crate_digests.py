"""The files that crates list, read again: what was altered, lost, or never below the root is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.publication.crate import Facts, build, damaged, findings, listed
from cm4ai_assets_tests.exports.releases import copied
from cm4ai_assets_tests.publication import makings


@pytest.fixture
def laid_out(made: Release, facts: Facts, tmp_path: Path) -> tuple[Path, Path]:
    """The document beside a copy of the storage."""
    root = Path(copied(made, tmp_path).store.root)
    folder = root / "somewhere" / "else"
    for name, data in build(facts, base=f"{os.path.relpath(root, folder)}/").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder, root


def test_a_tampered_file_is_found_and_named(facts: Facts, laid_out: tuple[Path, Path]) -> None:
    folder, root = laid_out
    assert damaged(folder, root) == []
    fields, splits = (next(one for one in facts.delivery if one.name == name).path for name in ("if_fields", "splits"))
    data = bytearray((root / fields).read_bytes())
    data[len(data) // 2] ^= 1
    (root / fields).unlink()  # it is a second name of another release's file
    (root / fields).write_bytes(bytes(data))
    (root / splits).unlink()
    lock = f"environments/{makings.SOFTWARE.environment}.txt"
    (folder / lock).write_text("numpy==0\n")

    found = damaged(folder, root)

    assert sorted(one.split(" ", 1)[0] for one in found) == sorted([f"somewhere/else/{lock}", fields, splits])
    assert any(f"{fields} was altered: SHA-256" in one for one in found)
    assert any(f"{splits} is missing" in one for one in found)


def test_an_altered_crate_is_found_by_the_one_that_points_to_it(laid_out: tuple[Path, Path]) -> None:
    folder, root = laid_out
    name = folder / "images" / "ro-crate-metadata.json"
    name.write_bytes(name.read_bytes() + b" ")

    assert [one.split(" ", 1)[0] for one in damaged(folder, root)] == ["somewhere/else/images/ro-crate-metadata.json"]


def test_a_crate_that_climbs_out_is_not_followed(laid_out: tuple[Path, Path]) -> None:
    folder, root = laid_out
    name = folder / "ro-crate-metadata.json"
    content = json.loads(name.read_text())
    file = next(one for one in content["@graph"] if "File" in one["@type"])
    content["@graph"].append({**file, "@id": "x", "localPath": "../../../outside"})
    name.write_text(json.dumps(content))
    (root.parent / "outside").write_text("x")

    assert damaged(folder, root) == [
        "../outside is not below the folder that the crates are about (ro-crate-metadata.json)"
    ]
    with pytest.raises(FileNotFoundError, match="There is no ro-crate-metadata"):
        damaged(root, root)


def test_more_than_can_be_read_at_once_is_read_day_by_day(files: dict[str, bytes], made: Release) -> None:
    every = listed({name: data for name, data in files.items() if name != "ro-crate-metadata.json"}, "")
    read: list[set[str]] = []

    def opened(path: str) -> Any:
        read[-1].add(path)
        return (Path(made.store.root) / path).open("rb")

    without = {name: data for name, data in files.items() if name != "ro-crate-metadata.json"}
    for day in range(40):
        read.append(set())
        found = findings.crate_digests(without, "", opened, day=day, at_once=sum(one.size for one in every) // 2)
        assert found.passed, found.summary
        assert 0 < len(read[-1]) < len(every)
    assert set().union(*read) == {one.path for one in every}
    assert f"of {len(every)} files read" in found.summary
