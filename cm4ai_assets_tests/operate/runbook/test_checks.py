"""Checks that fail or warn: what the page of the check shows, and what makes it green again."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from cm4ai_assets.defs.images import assets as image_assets
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets_tests.operate.runbook.operating import MAKE, PARTITION, RELEASE, Operator
from cm4ai_assets_tests.updates.archives import altering


@pytest.mark.mends("wrong-bytes")
def test_wrong_bytes(operator: Operator) -> None:
    """The archive hands out other bytes than it lists, and then the right ones again."""
    shutil.rmtree(operator.storage / "blobs")

    def other(request: Request) -> Answer | None:
        if "/access/datafile/" not in request.path:
            return None
        answer = operator.archive.answer(request)
        body = bytearray(b"".join(answer.body))
        body[len(body) // 2] ^= 1
        answer.body = (bytes(body),)
        return answer

    operator.archive.faults.append(other)
    message = operator.fails()
    operator.section.sees(message, "has …, not … as published")
    operator.section.sees(operator.warns("if_archive", "digest_and_size", PARTITION), "if_archive.digest_and_size")
    one = operator.incident("digest_and_size")
    assert [path for path in (operator.scratch / "quarantine").rglob("*") if path.is_file()]
    operator.archive.faults.clear()
    operator.follows()
    assert operator.evaluation("if_archive", "digest_and_size", PARTITION).passed
    assert operator.is_over(one)
    operator.succeeds("cm4ai verify")


@pytest.mark.mends("blocking-check")
def test_blocking_check(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of this software breaks the schema of a table; what was published before stays."""
    operator.makes = "if_antibodies"
    operator.succeeds(MAKE)
    (table,) = (operator.storage / "tables" / "if_antibodies").rglob("*.parquet")
    before, rows = table.read_bytes(), image_assets.antibody_rows
    with monkeypatch.context() as broken:
        broken.setattr(image_assets, "antibody_rows", lambda made: [{**row, "fields": None} for row in rows(made)])
        message = operator.fails()
    operator.section.sees(message, "Nothing is published for …, because a blocking check failed")
    operator.warns("if_antibodies", "schema", PARTITION)
    one = operator.incident("Check schema failed")
    operator.section.sees(one.title, "Check … failed")
    assert table.read_bytes() == before
    operator.follows()
    assert operator.evaluation("if_antibodies", "schema", PARTITION).passed
    assert operator.is_over(one)


def without_vorinostat(_: Request, answer: Any) -> Any:
    """What the archive lists of a version, without one file."""
    if isinstance(answer["data"], dict) and "files" in answer["data"]:
        answer["data"]["files"] = [one for one in answer["data"]["files"] if "vorinostat.zip" not in one["label"]]
    return answer


@pytest.mark.mends("warning-check")
def test_warning_check(operator: Operator) -> None:
    """A release of which the archive forgets a file, and remembers it."""
    operator.archive.faults.append(altering(operator.archive, without_vorinostat))
    operator.makes = "release_files"
    operator.succeeds(MAKE)
    shown = operator.warns("release_files", "image_archives_paired", RELEASE)
    assert "vorinostat has 0" in shown
    one = operator.incident("image_archives_paired")
    operator.section.sees(one.title, "Check … warns")
    operator.archive.faults.clear()
    operator.follows()
    assert operator.evaluation("release_files", "image_archives_paired", RELEASE).passed
    assert operator.is_over(one)


@pytest.mark.mends("document-outdated")
def test_document_outdated(operator: Operator) -> None:
    """A table is made again, with other rows than the document describes."""
    operator.makes = "croissant"
    operator.succeeds(MAKE)
    operator.archive.faults.append(altering(operator.archive, without_vorinostat))
    operator.succeeds(f"{MAKE} --select release_files")
    assert not operator.evaluates("croissant", "records_agree").passed
    operator.section.sees(operator.warns("croissant", "records_agree", RELEASE), "croissant.records_agree")
    one = operator.incident("records_agree")
    operator.section.leaves("publication", "the group of the assets that the command selects")
    operator.section.leaves("Materialize", "a run of the same assets; browser.test_ui clicks on it")
    operator.follows()
    assert operator.evaluation("croissant", "records_agree", RELEASE).passed
    assert operator.is_over(one)
