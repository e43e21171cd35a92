"""The publishing gate holds documents back as it holds tables back. No asset of the contract writes one here yet."""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.defs.products import check_spec, document_asset
from cm4ai_assets.defs.publishing import AssetResult, DocumentDraft, Gate, publish
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Document
from cm4ai_assets_tests.storage.filesystems import PlainRemote

KEY = "2025-06-v2.1"
REPORT = Document("report", "A report.", entry="index.html", source="nothing")
TRUE_CHECK = check_spec("says_true", REPORT, "Says nothing false.", blocking=True)


class Press:
    """What the test asset prints next, and where."""

    def __init__(self, store: Store) -> None:
        self.store, self.files, self.is_true = store, dict[str, bytes](), True
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions(RELEASE, [KEY])

    def run(self, text: str, *, is_true: bool = True, **files: bytes) -> dg.ExecuteInProcessResult:
        page = f'<!DOCTYPE html><html>{text}<img src="plot.svg"></html>'
        self.files, self.is_true = {"index.html": page.encode(), "plot.svg": b"<svg/>", **files}, is_true
        return dg.materialize(
            [report], instance=self.instance, partition_key=KEY, resources={"press": self}, raise_on_error=False
        )

    def text(self) -> str:
        published = self.store.document(REPORT, Partition(KEY))
        return self.store.read(published.entry).decode()


@document_asset(REPORT, group="publication", kinds={"html"}, tags={}, checks=[TRUE_CHECK])
def report(context: dg.AssetExecutionContext, press: dg.ResourceParam[Press]) -> Iterator[AssetResult]:
    gate = Gate(TRUE_CHECK.name, passed=press.is_true, description="as it is" if press.is_true else "says 2 + 2 = 5")
    yield from publish(context, press.store, DocumentDraft(REPORT, press.files, [gate], {"pages": 1}))


@pytest.fixture(params=["local", "memory", "plainremote"])
def press(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Press]:
    url = str(tmp_path / "storage") if request.param == "local" else f"{request.param}://{tmp_path.name}"
    yield Press(Store(url, scratch=tmp_path / "scratch"))
    PlainRemote.reset()


def materializations(press: Press) -> int:
    return len(press.instance.fetch_materializations(dg.AssetKey("report"), limit=9).records)


def test_a_document_is_published_with_its_checks_and_what_the_page_shows(press: Press) -> None:
    result = press.run("first")
    assert result.success
    assert "first" in press.text()
    assert {(e.check_name, e.passed, e.blocking) for e in result.get_asset_check_evaluations()} == {
        ("well_formed", True, True),
        ("says_true", True, True),
    }
    (made,) = result.asset_materializations_for_node("report")
    published = press.store.document(REPORT, Partition(KEY))
    shown = {name: value.value for name, value in made.metadata.items()}
    assert shown["path"] == published.entry
    assert shown["document_sha256"] == published.digest
    assert shown["files"] == 2
    assert shown["pages"] == 1
    assert made.tags is not None
    assert made.tags["dagster/data_version"] == published.digest


def test_a_document_that_fails_a_blocking_check_is_not_published_and_the_old_one_stays(press: Press) -> None:
    assert press.run("first").success
    before = press.store.find("documents")
    for change in ({"is_true": False}, {"broken.json": b"{"}):
        result = press.run("second", **change)
        assert not result.success
        assert materializations(press) == 1
        assert press.store.find("documents") == before
        assert "first" in press.text()
        failed = {e.check_name: e.description for e in result.get_asset_check_evaluations() if not e.passed}
        assert len(failed) == 1
        assert set(failed) <= {"says_true", "well_formed"}
    assert press.run("second").success
    assert "second" in press.text()


def test_nothing_stands_there_while_only_a_blocked_one_was_made(press: Press) -> None:
    assert not press.run("first", is_true=False).success
    assert press.store.find("documents") == []
    assert press.store.published_documents() == []


def test_an_interrupted_publication_leaves_the_old_document(tmp_path: Path) -> None:
    press = Press(Store(f"plainremote://{tmp_path.name}", scratch=tmp_path / "scratch"))
    PlainRemote.reset()
    assert press.run("first").success
    PlainRemote.reset(fail_after=1)
    assert not press.run("second").success
    PlainRemote.reset()
    assert "first" in press.text()
    assert materializations(press) == 1
