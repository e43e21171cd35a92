"""Published names that may become paths, and those that must not. Faults 45 and 46 of the protocol reference."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.errors import UnsafePathError
from cm4ai_assets.storage.names import MAX_NAME, refuse_collisions, safe_path


@pytest.mark.parametrize(
    ("directory", "label", "path"),
    [
        (None, "a.zip", "a.zip"),
        ("", "a.zip", "a.zip"),
        ("Images/paclitaxel", "Images-paclitaxel-graph.html", "Images/paclitaxel/Images-paclitaxel-graph.html"),
        ("CRISPR Perturbation RNA Sequences - Raw Sequences", "ro-crate-metadata.json",
         "CRISPR Perturbation RNA Sequences - Raw Sequences/ro-crate-metadata.json"),
        ("a", 'B\u00e9lisle\u2013Pipon; "\u03b1 \u03b2".json', 'a/B\u00e9lisle\u2013Pipon; "\u03b1 \u03b2".json'),
        ("e\u0301", "n\u0303.csv", "\u00e9/\u00f1.csv"),
        ("a", "console.txt", "a/console.txt"),
        ("a", "x" * 255, "a/" + "x" * 255),
    ],
)  # fmt: skip
def test_ordinary_names(directory: str | None, label: str, path: str) -> None:
    assert safe_path(directory, label) == path


@pytest.mark.parametrize(
    ("directory", "label", "reason"),
    [
        ("../../etc", "..\\..\\evil.json", "segment '..'"),
        ("a/../..", "b", "segment '..'"),
        ("a", "..", "segment '..'"),
        ("a", ".", "segment '.'"),
        ("a", "", "segment ''"),
        ("a//b", "c", "segment ''"),
        ("/etc", "passwd", "absolute"),
        ("a", "../b", "slash"),
        ("a", "..\\b", "backslash"),
        ("C:", "b", "drive letter"),
        ("a", "C:b", "drive letter"),
        ("a", "b\0c", "control character"),
        ("a", "b\nc", "control character"),
        ("a", "b\x7fc", "control character"),
        ("a", "b\ud800", "control character"),
        ("a", "CON", "name of a device"),
        ("aux.d", "b", "name of a device"),
        ("a", "nul.txt", "name of a device"),
        ("a", "COM1", "name of a device"),
        ("a", "b.", "ends with a dot"),
        ("a ", "b", "ends with a dot or a blank"),
        ("a", "x" * 256, "longer than 255 bytes"),
        ("a", "é" * 128, "longer than 255 bytes"),
        ("/".join(["d" * 200] * 21), "b", "longer than 4096 bytes"),
    ],
)
def test_hostile_names(directory: str, label: str, reason: str) -> None:
    with pytest.raises(UnsafePathError, match=reason) as caught:
        safe_path(directory, label)
    assert "Nothing was fetched" in caught.value.remedy


@given(st.one_of(st.none(), st.text(max_size=40)), st.text(max_size=40))
def test_whatever_is_accepted_stays_below_its_folder(directory: str | None, label: str) -> None:
    try:
        path = safe_path(directory, label)
    except UnsafePathError:
        return
    root = Path("/root/of/it")
    assert (root / path).resolve().is_relative_to(root)
    assert path == unicodedata.normalize("NFC", path)
    assert all(0 < len(segment.encode()) <= MAX_NAME for segment in path.split("/"))
    assert not set(path) & {"\\", "\0", "\n"}


@pytest.mark.parametrize(
    "twins",
    [
        ["a/b", "a/b"],
        ["A/b", "a/B"],
        ["straße", "STRASSE"],
        ["\u00e9", "e\u0301"],
        ["\u212bngström", "\u00e5ngström"],
        ["ﬁle", "file"],
        ["data", "data/file.csv"],
        ["Data", "data/x/file.csv"],
    ],
)
def test_twins_are_refused(twins: list[str]) -> None:
    with pytest.raises(UnsafePathError, match="would be one path on some filesystems") as caught:
        refuse_collisions(["other", *twins, "more/of/it"])
    assert all(repr(twin) in str(caught.value) for twin in twins)


def test_same_name_in_different_folders_is_fine() -> None:
    refuse_collisions(["a/ro-crate-metadata.json", "b/ro-crate-metadata.json", "ro-crate-metadata.json"])


@given(st.lists(st.text(alphabet="aAbBéÉßs/", min_size=1, max_size=6), max_size=8))
def test_collisions_do_not_depend_on_order(paths: list[str]) -> None:
    def refused(order: list[str]) -> bool:
        try:
            refuse_collisions(order)
        except UnsafePathError:
            return True
        return False

    assert refused(paths) == refused(paths[::-1]) == refused(sorted(paths))
