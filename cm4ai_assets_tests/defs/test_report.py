"""The report through Dagster: checks evaluated over what is published, the page behind the gate, how it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets import tables
from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.checks import STEPS
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.publication import report
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.platform import Platform
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.publication import DATASHEET_REPORT
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench
from cm4ai_assets_tests.exports import releases


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A release of two conditions of images, and no archive that could be asked."""
    folder = tmp_path_factory.mktemp("report")
    releases.painted(folder, (Condition.UNTREATED, Condition.PACLITAXEL))
    settings = Settings.served_by("http://127.0.0.1:9", storage=str(folder / "storage"), scratch=folder / "scratch")
    with dg.DagsterInstance.ephemeral() as instance:
        made = Workbench(Platform(settings), instance)
        sync_partitions(instance, made.platform.registry)
        yield made


def page(bench: Workbench) -> str:
    published = bench.platform.store.document(DATASHEET_REPORT, Partition(RELEASE))
    return bench.platform.store.read(published.entry).decode()


def test_the_report_is_published_with_what_the_checks_found(bench: Workbench) -> None:
    (outcome,) = bench.run(RELEASE, selection="datasheet_report")
    assert outcome.succeeded, outcome.failure
    assert {check.check_name for check in outcome.checks} == {"well_formed", "page_small"}
    html = page(bench)
    assert "June 2026 Data Release" in html
    assert "What is doubtful in if_antibodies" in html
    assert "What is doubtful in if_fields" not in html
    record = bench.instance.fetch_materializations(dg.AssetKey("datasheet_report"), limit=1).records[0]
    assert record.asset_materialization is not None
    shown = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    assert str(shown["open"]).startswith(f"[index.html](/documents/datasheet_report/{RELEASE}/)")
    assert shown["sections"] == 21
    assert shown["files"] == 4
    assert int(str(shown["checks_evaluated"])) > 20


def test_made_again_it_is_the_same_document(bench: Workbench) -> None:
    store = bench.platform.store
    bench.run(RELEASE, selection="datasheet_report")
    before = store.document(DATASHEET_REPORT, Partition(RELEASE)).digest
    bench.run(RELEASE, selection="datasheet_report")
    assert store.document(DATASHEET_REPORT, Partition(RELEASE)).digest == before


def test_every_warning_check_is_evaluated_but_what_asks_the_archive(bench: Workbench) -> None:
    warning = {
        (key.asset_key.to_user_string(), key.name)
        for checks in bench.defs.asset_checks or ()
        if isinstance(checks, dg.AssetChecksDefinition)
        for key in checks.check_keys
    }
    steps = [step for step in STEPS if isinstance(step.about, Table)]
    known = {(step.about.name, check) for step in steps for check in step.described if isinstance(step.about, Table)}
    about_tables = {table.name for table in tables.ALL}
    assert known == {(asset, check) for asset, check in warning if asset in about_tables}
    assert [name for step in steps if step.asks_archive for name in step.described] == ["still_published"]
    found = list(report.evaluated(bench.platform, RELEASE))
    assert {(one.asset, one.condition) for one in found} >= {
        ("if_fields", "untreated"), ("if_fields", "paclitaxel"), ("if_images", "untreated"), ("release_files", None),
    }  # fmt: skip
    assert not any(one.check == "still_published" for one in found)
    assert all(one.description for one in found)
    assert not any("Args:" in one.description for one in found)


def test_what_had_nothing_to_make_does_not_take_the_report_along(bench: Workbench) -> None:
    library, made = bench.run(RELEASE, selection="guide_library,datasheet_report")
    assert library.made == ()
    assert made.succeeded, made.failure
    assert made.made == ("datasheet_report",)
    assert "guide_library of 2026-06-v2.0 was not made" in page(bench)


def test_a_check_that_cannot_be_evaluated_says_so_and_hinders_nothing(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[object]:
        raise NotMaterializedError("The stored ZIP is gone.")
        yield

    step = next(one for one in STEPS if isinstance(one.about, Table) and one.about.name == "if_fields")
    monkeypatch.setattr(report, "STEPS", [report.CheckStep(step.about, step.described, broken, asks_archive=False)])
    found = list(report.evaluated(bench.platform, RELEASE))
    assert len(found) == 2 * len(step.described)
    assert {one.problem for one in found} == {"Not evaluated: The stored ZIP is gone."}
    (outcome,) = bench.run(RELEASE, selection="datasheet_report")
    assert outcome.succeeded, outcome.failure
    assert "The stored ZIP is gone." in page(bench)


def test_a_page_that_is_too_large_is_not_published(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(RELEASE, selection="datasheet_report")
    before = page(bench)
    monkeypatch.setattr(report, "LARGEST", 10_000)
    (outcome,) = bench.run(RELEASE, selection="datasheet_report")
    assert not outcome.succeeded
    assert "datasheet_report.page_small" in outcome.failure
    assert page(bench) == before


def test_a_release_without_tables_has_no_report_and_says_so(tmp_path: Path) -> None:
    settings = Settings.served_by("http://127.0.0.1:9", storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    with dg.DagsterInstance.ephemeral() as instance:
        empty = Workbench(Platform(settings), instance)
        empty.platform.registry.register([releases.RECORD])
        sync_partitions(instance, empty.platform.registry)
        (outcome,) = empty.run(RELEASE, selection="datasheet_report")
    assert outcome.succeeded
    assert outcome.made == ()
    assert "no table of the release is published" in outcome.observed["datasheet_report"]
