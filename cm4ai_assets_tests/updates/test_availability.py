"""Why a table cannot be opened: four answers, each with the remedy that helps."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import table

HERE, BEFORE = "2026-06-v2.0", "2025-10-v1.1"
IF_ZIP = {"modality": "if", "role": "images", "file_condition": "untreated"}
PACKAGE = {"modality": "secms", "role": "package"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")


def publish(store: Store, name: str, partition: Partition, rows: list[dict[str, Any]]) -> None:
    frame = (
        table(name).from_rows(rows, release=partition.release, condition=partition.condition)
        if (partition.condition)
        else table(name).from_rows(rows, release=partition.release)
    )
    with store.stage_table(name, partition, frame) as staged:
        store.publish_table(staged)


def lock(store: Store, *files: dict[str, Any], release: str = HERE) -> None:
    rows = [
        {
            "doi": "doi:10.5072/FK2/A", "version": "1.0", "directory": "", "label": f"{number}.zip", "file_id": number,
            "size": 10, "digest_type": "MD5", "digest": str(number) * 32, "is_ingested": False, "access": "public",
            "recognised_by": "test", **file,
        }
        for number, file in enumerate(files)
    ]  # fmt: skip
    publish(store, "release_files", Partition(release), rows)


def error(store: Store, name: str) -> str:
    with pytest.raises(NotMaterializedError) as raised:
        Release(HERE, store).table(name)
    return str(raised.value)


def test_what_nobody_made_is_made_by_a_command(store: Store) -> None:
    lock(store, PACKAGE)
    assert error(store, "secms_profiles") == (
        f"secms_profiles of any condition of {HERE} is not materialized. "
        f"Run `cm4ai materialize --release {HERE} --select +secms_profiles`."
    )


def test_what_a_step_found_not_to_be_there_is_quoted_with_the_release_that_holds_it(store: Store) -> None:
    lock(store, PACKAGE)
    for condition in ("untreated", "paclitaxel"):
        Absences(store).note("secms_profiles", Partition(HERE, condition), "The ZIP holds metadata only.")
    assert "is not materialized" in error(store, "secms_profiles"), "one condition has no answer yet"
    Absences(store).note("secms_profiles", Partition(HERE, "vorinostat"), "The ZIP holds metadata only.")
    publish(store, "secms_profiles", Partition(BEFORE, "untreated"), [])
    message = error(store, "secms_profiles")
    assert "was not made: The ZIP holds metadata only. (20" in message
    assert message.endswith(f"Published for: {BEFORE}.")
    assert "cm4ai materialize" not in message


def test_what_a_release_never_published_is_not_to_be_materialized(store: Store) -> None:
    lock(store, IF_ZIP)
    message = error(store, "secms_profiles")
    assert "publishes no files of that kind" in message
    assert "materialize" not in message


def test_an_embargo_is_named_with_its_end(store: Store) -> None:
    lock(store, {**IF_ZIP, "access": "embargoed", "available_on": date(2099, 1, 1)})
    message = error(store, "if_fields")
    assert "cannot be made yet: 0.zip is embargoed until 2099-01-01." in message
    assert "Materialize it after that." in message


def test_images_quote_why_their_archive_was_not_stored(store: Store) -> None:
    lock(store, IF_ZIP)
    for condition in ("untreated", "paclitaxel", "vorinostat"):
        Absences(store).note("if_archive", Partition(HERE, condition), "The archive refuses the file.")
    assert "was not made: The archive refuses the file." in error(store, "if_tensors")
