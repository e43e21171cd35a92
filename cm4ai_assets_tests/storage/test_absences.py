"""Why a table was not made: kept in the storage, until the release is locked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store

HERE = Partition("2026-06-v1.0", "untreated")
THERE = Partition("2026-06-v2.0", "untreated")


@pytest.fixture
def absences(tmp_path: Path) -> Absences:
    return Absences(Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch"))


def test_a_reason_is_found_for_its_partition_only(absences: Absences) -> None:
    absences.note("secms_profiles", HERE, "The archive holds no table.")
    found = absences.find("secms_profiles", HERE)
    assert found is not None
    assert found.reason == "The archive holds no table."
    assert absences.find("secms_profiles", THERE) is None
    assert absences.find("secms_proteins", HERE) is None


def test_a_release_that_is_locked_again_has_no_answers_any_more_and_others_keep_theirs(absences: Absences) -> None:
    for partition in (HERE, THERE):
        absences.note("secms_profiles", partition, "none")
        absences.note("massive_files", Partition(partition.release), "none")
    absences.forget_release(HERE.release)
    assert absences.find("secms_profiles", HERE) is None
    assert absences.find("massive_files", Partition(HERE.release)) is None
    assert absences.find("secms_profiles", THERE) is not None
    assert absences.find("massive_files", Partition(THERE.release)) is not None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"reason": 1}', b"\xff"])
def test_a_damaged_record_is_no_answer(absences: Absences, tmp_path: Path, damage: bytes) -> None:
    absences.note("secms_profiles", HERE, "none")
    (record,) = (tmp_path / "storage").rglob("*.json")
    record.write_bytes(damage)
    assert absences.find("secms_profiles", HERE) is None
