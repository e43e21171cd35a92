"""A version becomes a lock: sizes, digests, access and names."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.archives.dataverse.lock import lock_frame, locked_files
from cm4ai_assets.archives.dataverse.locked_file import access_state
from cm4ai_assets.archives.dataverse.model import File, Version
from cm4ai_assets.storage.names import refuse_collisions, safe_names
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.transfer.errors import ProtocolError
from cm4ai_assets.updates.changes import compare
from cm4ai_assets.updates.findings import digests_published, file_names_safe
from cm4ai_assets_tests.fixtures.protocol import DOI, FILES, IMAGES, TOTAL_SIZE
from cm4ai_assets_tests.transfer.server import fixture

RELEASE = "2025-06-v2.1"
TODAY = date(2026, 1, 1)


def version(*files: dict[str, Any], **changes: object) -> Version:
    data = json.loads(fixture("version_2.1_TWIN25_6.6.json"))["data"]
    if files:
        data["files"] = list(files)
    return Version.model_validate(data | changes)


def file(name: str, **changes: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(fixture(name))
    own = {key: value for key, value in changes.items() if key in {"label", "directoryLabel", "restricted"}}
    answer |= own
    answer["dataFile"] |= {key: value for key, value in changes.items() if key not in own}
    return answer


def row(*files: dict[str, Any], today: date = TODAY) -> dict[str, Any]:
    return lock_frame(version(*files), release=RELEASE, today=today).row(0, named=True)


def test_a_release() -> None:
    frame = lock_frame(version(), release=RELEASE)
    assert RELEASE_FILES.violations(frame) == []
    assert frame.height == len(FILES)
    assert frame["size"].sum() == TOTAL_SIZE
    assert frame["access"].unique().to_list() == ["public"]
    assert frame["license"].unique().to_list() == ["CC BY-NC-SA 4.0"]
    images = frame.filter(pl.col("role") == "images").sort("file_condition")
    assert images["file_condition"].to_list() == ["paclitaxel", "untreated", "vorinostat"]
    assert images["digest"].to_list() == [file.md5 for file in IMAGES]
    assert frame.select("directory", "label").rows() == sorted(frame.select("directory", "label").rows())


def test_a_rename_changes_names_only() -> None:
    before = lock_frame(Version.model_validate(json.loads(fixture("version_2.0_TWIN25_6.6.json"))["data"]), release="x")
    after = lock_frame(version(), release="x")
    same = ["file_id", "size", "digest", "file_condition", "role"]
    assert before.sort("file_id").select(same).equals(after.sort("file_id").select(same))
    assert before["label"].to_list() != after["label"].to_list()


def test_the_lock_does_not_depend_on_the_order_of_the_answer() -> None:
    files = json.loads(fixture("version_2.1_TWIN25_6.6.json"))["data"]["files"]
    assert lock_frame(version(*files[::-1]), release="x").equals(lock_frame(version(*files), release="x"))


def test_a_row_becomes_an_object_again() -> None:
    files = locked_files(lock_frame(version(), release=RELEASE))
    assert {one.path for one in files} >= {"Images/cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"}
    assert all(one.doi == DOI and one.version == "2.1" for one in files)


@pytest.mark.parametrize(
    ("name", "kind", "digits"),
    [("file_sha1.json", "SHA-1", 40), ("file_sha512.json", "SHA-512", 128), ("file_with_pid.json", "MD5", 32)],
)
def test_38_every_kind_of_digest(name: str, kind: str, digits: int) -> None:
    locked = row(file(name))
    assert locked["digest_type"] == kind
    assert len(locked["digest"]) == digits


def test_38_no_digest_and_digests_that_cannot_be_computed() -> None:
    for one in (
        file("file_nochecksum.json"),
        file("file_sha1.json", checksum={"type": "SHA3-256", "value": "00"}),
        file("file_sha1.json", checksum={"type": "SHA-1"}),
    ):
        assert (row(one)["digest_type"], row(one)["digest"]) == (None, None)


def test_38_checksum_is_read_before_the_deprecated_md5_and_in_any_case() -> None:
    both = file("file_restricted.json", checksum={"type": "Sha256", "value": f" {'AB' * 32}\n"})
    assert (row(both)["digest_type"], row(both)["digest"]) == ("SHA-256", "ab" * 32)
    assert row(file("file_restricted.json", checksum=None))["digest_type"] == "MD5"


@pytest.mark.parametrize("unknown", [{"type": "SHA3-256", "value": "00"}, {"type": "SHA-1"}, {"value": "00"}, {}])
def test_38_an_unknown_kind_of_digest_does_not_discard_a_known_one_beside_it(unknown: dict[str, str]) -> None:
    beside = row(file("file_with_pid.json", checksum=unknown, md5="AB" * 16))
    assert (beside["digest_type"], beside["digest"]) == ("MD5", "ab" * 16)


def test_38_a_digest_that_is_none_is_flagged_and_the_file_locked_without() -> None:
    frame = lock_frame(version(file("file_sha1.json", checksum={"type": "MD5", "value": "xyz"})), release=RELEASE)
    assert frame.select("digest_type", "digest", "digest_problem").row(0) == (
        None,
        None,
        "'xyz' is not a digest by MD5.",
    )
    finding = digests_published(frame)
    assert not finding.passed
    assert (finding.counts, finding.rows["digest_problem"].len()) == ({"files": 1, "without": 1}, 1)
    beside = row(file("file_sha1.json", checksum={"type": "MD5", "value": "xyz"}, md5="AB" * 16))
    assert (beside["digest"], beside["digest_problem"]) == ("ab" * 16, "'xyz' is not a digest by MD5.")


def test_38_digests_of_the_right_form_have_no_flag() -> None:
    frame = lock_frame(version(file("file_sha1.json")), release=RELEASE)
    assert frame["digest_problem"].to_list() == [None]
    assert digests_published(frame).passed
    assert digests_published(frame.with_columns(digest=None).drop("digest_problem")).counts["without"] == 1


def test_39_of_an_ingested_table_the_original_is_locked() -> None:
    locked = row(file("file_tabular_ingested.json"))
    assert (locked["size"], locked["is_ingested"]) == (11_011, True)
    assert locked["digest"] == file("file_tabular_ingested.json")["dataFile"]["md5"]
    assert (locked["role"], locked["modality"]) == ("statistics", "perturbseq")
    unsized = row(file("file_tabular_ingested.json", originalFileSize=None))
    assert (unsized["size"], unsized["is_ingested"]) == (None, True)


@pytest.mark.parametrize(
    ("name", "today", "state"),
    [
        ("file_restricted.json", TODAY, "restricted"),
        ("file_embargoed.json", date(2026, 11, 29), "embargoed"),
        ("file_embargoed.json", date(2026, 11, 30), "public"),
        ("file_retention_expired.json", date(2024, 12, 31), "public"),
        ("file_retention_expired.json", date(2025, 1, 1), "retention_expired"),
        ("file_with_pid.json", TODAY, "public"),
    ],
)
def test_19_access_on_a_day(name: str, today: date, state: str) -> None:
    assert row(file(name), today=today)["access"] == state


def test_52_the_day_is_the_servers() -> None:
    embargoed = version(file("file_embargoed.json"))
    for day, state in ((date(2026, 11, 29), "embargoed"), (date(2026, 12, 1), "public")):
        seen = embargoed.model_copy(update={"seen_on": day})
        assert lock_frame(seen, release=RELEASE)["access"].item() == state


def test_19_dates_and_doubts() -> None:
    locked = row(file("file_embargoed.json"))
    assert (locked["available_on"], locked["unavailable_from"]) == (date(2026, 11, 30), None)
    assert row(file("file_retention_expired.json"))["unavailable_from"] == date(2025, 1, 1)
    # An embargo whose end cannot be read has not ended; a restriction outlasts an embargo.
    for end in ("soon", None, "", 7):
        assert row(file("file_embargoed.json", embargo={"dateAvailable": end}))["access"] == "embargoed"
    after = file("file_embargoed.json", embargo={"dateAvailable": "2025-01-01"}, restricted=True)
    assert row(after)["access"] == "restricted"


@given(day=st.dates(), restricted=st.booleans(), embargo=st.none() | st.dates(), retention=st.none() | st.dates())
def test_19_access_is_public_only_if_nothing_forbids(
    *,
    day: date,
    restricted: bool,
    embargo: date | None,
    retention: date | None,
) -> None:
    data: dict[str, Any] = {"restricted": restricted, "dataFile": {}}
    if embargo:
        data["dataFile"]["embargo"] = {"dateAvailable": embargo.isoformat()}
    if retention:
        data["dataFile"]["retention"] = {"dateUnavailable": retention.isoformat()}
    state = access_state(File.model_validate(data), day)
    forbidden = restricted or (embargo and day < embargo) or (retention and day >= retention)
    assert (state == "public") == (not forbidden)


def test_45_same_name_in_different_folders_is_locked() -> None:
    crates = [
        file("file_with_pid.json", directoryLabel=d, label="ro-crate-metadata.json", id=i) for i, d in enumerate("ab")
    ]
    frame = lock_frame(version(*crates), release=RELEASE)
    assert frame["directory"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "File.csv"), ("A", "file.csv")),
        (("a", "\u00e9.csv"), ("a", "e\u0301.csv")),
        (("", "a"), ("a", "file.csv")),
        (("", "CON.txt"), ("", "x:y.csv")),
    ],
)
def test_45_46_odd_names_are_locked_as_published_and_flagged(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Bytes are stored by content: a name that must not become a path blocks no release."""
    published = (one, other, ("Images", "fine.csv"))
    files = [
        file("file_with_pid.json", directoryLabel=directory, label=label, id=index)
        for index, (directory, label) in enumerate(published)
    ]
    frame = lock_frame(version(*files), release=RELEASE).sort("file_id")
    assert RELEASE_FILES.violations(frame) == []
    if one != ("", "a"):
        assert frame.select("directory", "label").rows() == list(published)
        assert [problem is None for problem in frame["name_problem"]] == [False, False, True]
    else:  # a file where another needs a folder: the file is the odd one
        assert [problem is None for problem in frame["name_problem"]] == [False, True, True]
    finding = file_names_safe(frame)
    assert not finding.passed
    assert finding.rows["file_id"].to_list() == frame.filter(pl.col("name_problem").is_not_null())["file_id"].to_list()
    paths = safe_names(frame.select("file_id", "directory", "label").rows())
    refuse_collisions(paths.values())
    assert paths[2] == "Images/fine.csv"
    assert paths[0] == (
        "renamed/0.csv" if one[1].endswith("csv") else f"renamed/0{'.txt' if one[1] == 'CON.txt' else ''}"
    )


def test_45_names_without_a_fault_have_no_flag() -> None:
    frame = lock_frame(version(), release=RELEASE)
    assert frame["name_problem"].null_count() == frame.height
    assert file_names_safe(frame).passed
    assert file_names_safe(frame.drop("name_problem")).passed  # a lock of before the flag


def test_45_one_path_twice_is_flagged_and_the_others_are_locked() -> None:
    twice = [file("file_with_pid.json", directoryLabel="a", label="same.csv", id=number) for number in range(2)]
    frame = lock_frame(version(*twice, file("file_with_pid.json", id=7)), release=RELEASE)
    assert [problem is None for problem in frame.sort("file_id")["name_problem"]] == [False, False, True]
    compared = compare(frame, frame, release=RELEASE, against=RELEASE)
    assert compared["change"].to_list() == ["unchanged"] * 3


def test_46_hostile_names_are_flagged_and_never_a_path() -> None:
    frame = lock_frame(version(file("file_hostile_path.json")), release=RELEASE)
    assert frame["name_problem"].item() == "It has the segment '..'."
    assert [
        path.split("/")[0] for path in safe_names(frame.select("file_id", "directory", "label").rows()).values()
    ] == ["renamed"]


def test_46_a_name_that_was_no_valid_text_is_flagged() -> None:
    assert "U+FFFD" in row(file("file_with_pid.json", label="a\ufffd.csv"))["name_problem"]


def test_46_odd_but_harmless_names_are_locked_in_nfc() -> None:
    locked = row(file("file_unicode_label.json", label='Be\u0301lisle\u2013Pipon; "\u03b1".json'))
    assert locked["label"] == 'B\u00e9lisle\u2013Pipon; "\u03b1".json'
    assert locked["unrecognised_reason"] == "No rule knows this directory and name."


def test_an_unknown_treatment_is_locked_and_reported() -> None:
    frame = lock_frame(version(file("file_with_pid.json", label="Images-doxorubicin.zip")), release=RELEASE)
    assert frame.select("role", "file_condition", "unrecognised_reason").row(0) == (
        "images", None, "Treatment 'doxorubicin' is not known.",
    )  # fmt: skip
    assert RELEASE_FILES.violations(frame) == []


def test_an_empty_version_is_an_empty_lock() -> None:
    assert lock_frame(Version.model_validate(json.loads(
        fixture("version_2.1_TWIN25_6.6.json"))["data"] | {"files": []}), release=RELEASE).height == 0  # fmt: skip


@pytest.mark.parametrize("changes", [{"files": None}, {"versionNumber": None}, {"datasetPersistentId": None}])
def test_what_is_no_whole_version_is_not_locked(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="cannot be locked"):
        lock_frame(version(**changes), release=RELEASE)
