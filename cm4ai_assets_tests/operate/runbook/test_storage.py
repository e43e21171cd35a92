"""Disks and storage: what is full, closed, away or damaged is mended as the page says."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.storage import disk
from cm4ai_assets_tests.operate.runbook.operating import MAKE, RELEASE, Operator

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil has it


def flip(path: Path) -> None:
    """Damage a file in the middle."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.chmod(0o600)
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def stored_zip(operator: Operator) -> Path:
    stored = [path for path in (operator.storage / "blobs" / "sha256").rglob("*") if path.is_file()]
    return max(stored, key=lambda path: path.stat().st_size)


@pytest.mark.mends("stored-bytes-damaged")
def test_stored_bytes_damaged(operator: Operator) -> None:
    blob = stored_zip(operator)
    (table,) = (operator.storage / "tables" / "if_archive").rglob("*.parquet")
    flip(blob)
    flip(table)
    message = operator.fails()
    operator.section.sees(message, "… was altered after it was stored")
    assert blob.name in message
    printed = operator.follows("cm4ai verify", DIGEST=blob.name, PATH=str(table.relative_to(operator.storage)))
    operator.section.sees(printed, "DAMAGED")
    operator.succeeds("cm4ai verify")


@pytest.mark.mends("disk-full")
def test_disk_full(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One disk has no room, and another one has."""
    shutil.rmtree(operator.storage / "blobs")
    full, usage = operator.scratch, shutil.disk_usage

    def of(place: Path) -> Usage:
        has_room = not Path(place).is_relative_to(full)
        return Usage(*usage(place)) if has_room else Usage(1, 1, 0)

    monkeypatch.setattr(disk.shutil, "disk_usage", of)
    operator.section.sees(operator.fails(), "… bytes are to be written to …, and … are free")
    before = sorted(operator.storage.rglob("*"))
    operator.gives("cm4ai gc")
    assert sorted(operator.storage.rglob("*")) == before
    assert operator.types(MAKE) == cli.FAILED, "nothing was freed yet"
    operator.sets("CM4AI_SCRATCH", str(operator.folder / "larger"))
    operator.follows()
    operator.succeeds("cm4ai verify")


@pytest.mark.mends("release-record")
def test_release_record(operator: Operator) -> None:
    record = operator.storage / "registry" / "releases" / f"{RELEASE}.json"
    whole = record.read_bytes()
    record.write_text("no record")
    operator.section.sees(operator.fails("cm4ai releases"), "… is no release record")
    operator.follows()
    assert record.read_bytes() == whole
    assert (operator.folder / f"{RELEASE}.json.damaged").read_text() == "no record"
    operator.succeeds("cm4ai releases")
