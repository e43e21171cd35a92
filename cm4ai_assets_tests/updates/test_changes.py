"""What changed from one lock to another, and how a release stands against its own lock."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm4ai_assets.archives.dataverse.lock import lock_frame
from cm4ai_assets.archives.dataverse.model import Version
from cm4ai_assets.archives.dataverse.recognition import recognise
from cm4ai_assets.releases import ReleaseRecord, releases_before
from cm4ai_assets.tables.release import RELEASE_CHANGES, RELEASE_FILES
from cm4ai_assets.updates.changes import compare, new_bytes, same_bytes, summary
from cm4ai_assets.updates.upstream import State, held_against

ZIP = "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"
OTHER = "doi:10.5072/FK2/B"


def file(number: int, path: str, digest: str | None = None, **more: Any) -> dict[str, Any]:
    directory, _, label = path.rpartition("/")
    known = recognise(directory, label)
    return {
        "doi": "doi:10.5072/FK2/A", "version": "1.0", "directory": directory, "label": label, "file_id": number,
        "size": 10, "digest_type": "MD5" if digest else None, "digest": digest, "is_ingested": False,
        "access": "public",
        "modality": known.modality, "cell_line": known.cell_line, "file_condition": known.condition, "role": known.role,
        "unrecognised_reason": known.reason, **more,
    }  # fmt: skip


def lock(*files: dict[str, Any]) -> pl.DataFrame:
    return RELEASE_FILES.from_rows(list(files), release="2025-06-v1.0")


def changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> pl.DataFrame:
    frame = compare(lock(*before), lock(*after), release="2025-06-v2.0", against="2025-06-v1.0")
    assert RELEASE_CHANGES.violations(frame) == []
    return frame


def said(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[tuple[str, str | None, str | None]]:
    return changes(before, after).select("change", "previous_label", "label").rows()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([file(1, "a", "x")], [file(1, "a", "x")], [("unchanged", "a", "a")]),
        ([file(1, "a", "x")], [file(1, "b", "x")], [("renamed", "a", "b")]),
        ([file(1, "d/a", "x")], [file(9, "e/a", "x")], [("renamed", "a", "a")]),
        ([file(1, "a", "x")], [file(2, "a", "y")], [("replaced", "a", "a")]),
        ([file(1, "a", "x")], [file(2, "b", "y")], [("added", None, "b"), ("removed", "a", None)]),
        ([], [file(1, "a", "x")], [("added", None, "a")]),
        ([file(1, "a", "x")], [], [("removed", "a", None)]),
        # Names that change places: the bytes are followed, not the names.
        ([file(1, "a", "x"), file(2, "b", "y")], [file(1, "b", "x"), file(2, "a", "y")],
         [("renamed", "b", "a"), ("renamed", "a", "b")]),
        # The same bytes under two names, one of which goes.
        ([file(1, "a", "x"), file(2, "b", "x")], [file(2, "b", "x")],
         [("removed", "a", None), ("unchanged", "b", "b")]),
        ([file(1, "a", "x"), file(2, "b", "x")], [file(3, "b", "y"), file(4, "c", "x")],
         [("replaced", "b", "b"), ("renamed", "a", "c")]),
        ([file(1, "a", "x")], [file(1, "a", "x"), file(2, "b", "x")], [("added", None, "b"), ("unchanged", "a", "a")]),
        # No digest is published: a file id stays on rename and changes on replacement.
        ([file(1, "a")], [file(1, "b")], [("renamed", "a", "b")]),
        ([file(1, "a")], [file(2, "a")], [("replaced", "a", "a")]),
        ([file(1, "a")], [file(1, "a", "x")], [("unchanged", "a", "a")]),
        ([file(1, "a", "x")], [file(1, "a", "y" * 3, digest_type="SHA-256")], [("unchanged", "a", "a")]),
        # The archive states other bytes for the very same file.
        ([file(1, "a", "x")], [file(1, "b", "y")], [("replaced", "a", "b")]),
        # Two files of the same bytes change names: their ids say which became which.
        ([file(1, "a", "x"), file(2, "b", "x")], [file(1, "d", "x"), file(2, "c", "x")],
         [("renamed", "b", "c"), ("renamed", "a", "d")]),
        # Another dataset publishes the bytes again: under another name, and two of the same bytes in other folders.
        ([file(1, "a", "x")], [file(9, "b", "x", doi=OTHER)], [("renamed", "a", "b")]),
        ([file(1, "d/a", "x"), file(2, "d/b", "x")], [file(8, "c/b", "x", doi=OTHER), file(9, "e/a", "x", doi=OTHER)],
         [("renamed", "b", "b"), ("renamed", "a", "a")]),
        # A file id says nothing across datasets: an archive may have been moved and have counted anew.
        ([file(1, "a")], [file(1, "b", doi=OTHER)], [("added", None, "b"), ("removed", "a", None)]),
        ([file(1, "a")], [file(1, "a", doi=OTHER)], [("replaced", "a", "a")]),
        ([file(1, "a", "x")], [file(1, "b", "y", doi=OTHER)], [("added", None, "b"), ("removed", "a", None)]),
    ],
)  # fmt: skip
def test_one_change(before: list[dict[str, Any]], after: list[dict[str, Any]], expected: list[object]) -> None:
    assert said(before, after) == expected


def test_three_files_of_one_name_are_told_apart_by_their_directory() -> None:
    names = ["ro-crate-metadata.json"] * 3
    before = [file(n, f"{d}/{name}", f"x{n}") for n, (d, name) in enumerate(zip("abc", names, strict=True))]
    after = [file(0, f"a/{names[0]}", "x0"), file(5, f"b/{names[1]}", "new"), file(2, f"d/{names[2]}", "x2")]
    found = changes(before, after).select("change", "previous_directory", "directory").rows()
    assert found == [("replaced", "b", "b"), ("renamed", "c", "d"), ("unchanged", "a", "a")]


def test_access_is_told_beside_the_rest() -> None:
    frame = changes([file(1, "a", "x")], [file(1, "b", "x", access="embargoed", available_on=date(2099, 1, 1))])
    assert frame.select("change", "access_changed", "previous_access", "access").rows() == [
        ("renamed", True, "public", "embargoed")
    ]
    assert summary(frame) == "1 renamed with the same bytes, access changed for 1."


def test_a_new_cut_under_another_name_names_what_it_stands_for() -> None:
    frame = changes([file(1, "Images/Images-paclitaxel.zip", "x")], [file(2, f"Images/{ZIP}", "y")])
    assert dict(frame.select("change", "counterpart").rows()) == {
        "added": "Images/Images-paclitaxel.zip",
        "removed": f"Images/{ZIP}",
    }
    two = changes([file(1, "Images/Images-paclitaxel.zip", "x")], [file(2, f"a/{ZIP}", "y"), file(3, f"b/{ZIP}", "z")])
    assert two["counterpart"].to_list() == [None] * 3


def test_new_bytes_are_counted_once_and_known_ones_not_at_all() -> None:
    before = [file(1, "a", "x")]
    after = [file(2, "a", "y"), file(3, "b", "y"), file(4, "c", "x"), file(5, "d"), file(6, "e", size=None)]
    assert new_bytes(changes(before, after)) == 20


def test_the_first_release_has_nothing_before_it() -> None:
    frame = compare(None, lock(file(1, "a", "x")), release="2025-06-v1.0", against=None)
    assert RELEASE_CHANGES.violations(frame) == []
    assert summary(frame) == "1 added."


def test_june_2025_renamed_three_archives(shared: Path) -> None:
    def version(name: str) -> pl.DataFrame:
        data = json.loads((shared / "fixtures/protocol" / name).read_text())["data"]
        return lock_frame(Version.model_validate(data), release="2025-06-v2.1", today=date(2026, 1, 1))

    before, after = version("version_2.0_F3TD5R_6.6.json"), version("version_2.1_F3TD5R_6.6.json")
    frame = compare(before, after, release="2025-06-v2.1", against="2025-06-v2.0")
    assert Counter(frame["change"]) == {"renamed": 3, "unchanged": 18}
    assert new_bytes(frame) == 0
    october = version("version_latest_published_K7TGEM_6.9.json")
    frame = compare(after, october, release="2025-10-v2.1", against="2025-06-v2.1")
    assert Counter(frame["change"]) == {"unchanged": 3, "added": 5, "removed": 18}
    june = version("version_latest_published_HIGT4C_6.9.json")
    frame = compare(october, june, release="2026-06-v2.0", against="2025-10-v2.1")
    assert Counter(frame["change"]) == {"replaced": 5, "added": 5, "removed": 3}
    moved = dict(frame.filter(change="added", role="images").select("label", "counterpart").rows())
    assert moved == {label: f"Images/{label}" for label in moved}
    assert len(moved) == 3


rows = st.builds(
    file,
    st.integers(1, 6),
    st.sampled_from(["a", "b", "d/a", "d/b", f"Images/{ZIP}", ZIP]),
    st.sampled_from(["x", "y", "z", None]),
    size=st.sampled_from([10, 20, None]),
    access=st.sampled_from(["public", "restricted"]),
)
locks = st.lists(rows, max_size=6, unique_by=(lambda r: r["file_id"], lambda r: (r["directory"], r["label"])))


@settings(max_examples=60, deadline=None)
@given(locks, locks)
def test_every_file_of_both_sides_is_accounted_for_once(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    frame = changes(before, after)
    assert sorted(frame["file_id"].drop_nulls()) == sorted(row["file_id"] for row in after)
    assert sorted(frame["previous_file_id"].drop_nulls()) == sorted(row["file_id"] for row in before)
    old, new = ({row["file_id"]: row for row in side} for side in (before, after))
    for row in frame.rows(named=True):
        if row["change"] in {"unchanged", "renamed"}:
            assert same_bytes(old[row["previous_file_id"]], new[row["file_id"]])
        elif row["change"] == "replaced":
            assert not same_bytes(old[row["previous_file_id"]], new[row["file_id"]])


@settings(max_examples=40, deadline=None)
@given(locks)
def test_nothing_changes_against_oneself(files: list[dict[str, Any]]) -> None:
    assert set(changes(files, files)["change"]) <= {"unchanged"}
    assert held_against(lock(*files), lock(*files)).is_as_locked


@settings(max_examples=60, deadline=None)
@given(locks, locks)
def test_the_order_of_the_rows_does_not_matter(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    kinds = Counter(changes(before, after)["change"])
    assert Counter(changes(before[::-1], after[::-1])["change"]) == kinds


@pytest.mark.parametrize(
    ("now", "state", "told"),
    [
        ([file(1, "a", "x", access="restricted")], State.ALTERED, "1 of 1 files are no longer available as before."),
        (
            [file(1, "a", "y")],
            State.ALTERED,
            "1 of 1 files are not as they were locked, in a version that should not change.",
        ),
        ([], State.ALTERED, "1 of 1 files are not as they were locked"),
        ([file(1, "a", "x")], State.OFFERED, "As locked."),
    ],
)
def test_how_a_release_stands(now: list[dict[str, Any]], state: State, told: str) -> None:
    status = held_against(lock(file(1, "a", "x")), lock(*now))
    assert status.state is state
    assert status.summary.startswith(told)


def test_an_embargo_that_ended_is_good_news() -> None:
    before = file(1, "a", "x", access="embargoed", available_on=date(2026, 1, 1))
    status = held_against(lock(before), lock({**before, "access": "public"}))
    assert status.is_as_locked
    assert status.summary == "As locked; 1 of 1 files have become accessible since."


def record(key: str, doi: str, version: str, came_out: str | None, published: str = "2025-01-01") -> ReleaseRecord:
    major, minor = map(int, version.split("."))
    released = datetime.fromisoformat(came_out).replace(tzinfo=UTC) if came_out else None
    return ReleaseRecord(key, doi, major, minor, "", date.fromisoformat(published), released, "http://x")


def test_a_release_is_compared_with_the_version_before_it_else_with_what_was_out() -> None:
    dates = {"1.0": "2025-07-01", "2.0": "2025-10-22", "2.1": "2025-10-31", "3.0": "2026-09-01"}
    june = [record(f"2025-06-v{version}", "f3", version, day) for version, day in dates.items()]
    october = record("2025-10-v1.0", "k7", "1.0", "2025-11-01")
    undated = record("2024-05-v1.0", "dx", "1.0", None, "2024-05-01")
    known = [*june, october, undated]
    assert [r.key for r in releases_before(june[2], known)][:2] == ["2025-06-v2.0", "2025-06-v1.0"]
    assert [r.key for r in releases_before(june[0], known)] == ["2024-05-v1.0"]
    # June's third version came out later, and changes nothing about what October was compared with.
    assert releases_before(october, known)[0].key == "2025-06-v2.1"
    assert releases_before(undated, known) == []
