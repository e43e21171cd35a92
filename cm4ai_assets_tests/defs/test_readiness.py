"""The scorecard through Dagster: graded from what is stored, shown, and graded again by its checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.publication.readiness import graded_again
from cm4ai_assets.lineage.delivered import delivered
from cm4ai_assets.platform import Platform
from cm4ai_assets.publication.readiness.making import graded_release
from cm4ai_assets.references import Kind
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.publication import AI_READINESS, CROISSANT, DATASHEET_REPORT, DERIVED_CRATE
from cm4ai_assets_tests.crates.twins import EVI, ref
from cm4ai_assets_tests.defs.conftest import Workbench
from cm4ai_assets_tests.publication.readiness_twins import DOI, KEY, Documents, Release

HERE = Partition(KEY)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A platform with the tables of one release that says of itself what the rubric asks for."""
    settings = Settings.served_by(
        "http://127.0.0.1:9", storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch"
    )  # nothing is fetched
    record = ReleaseRecord(
        key="", doi=DOI, major=2, minor=0, title="June 2026 Data Release",
        published=date(2026, 6, 17), released=None, archive="http://127.0.0.1:9",
    )  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        own = Workbench(Platform(settings), instance)
        own.platform.registry.register([record])
        sync_partitions(instance, own.platform.registry)
        for name, frame in Release().frames().items():
            credit = {"doi": DOI, "version": "2.0", "license": "CC BY-NC-SA 4.0"}
            with own.platform.store.stage_table(name, HERE, frame, credit=credit) as staged:
                own.platform.store.publish_table(staged)
        yield own


def describe(bench: Workbench) -> None:
    """Publish documents that state the digests of what the release delivers."""
    about = Documents()
    items = [one for one in delivered(bench.platform.store, KEY) if one.kind is not Kind.DOCUMENT]
    for one in items:
        about.entities[one.name] = {
            "@id": f"ark:59852/{one.name}", "@type": ["File", f"{EVI}Dataset"], "sha256": one.digest}  # fmt: skip
    about.root["hasPart"] = [ref(f"ark:59852/{one.name}") for one in items]
    about.croissant["distribution"] = [{"sha256": one.digest} for one in items]
    for document in (CROISSANT, DERIVED_CRATE, DATASHEET_REPORT):
        with bench.platform.store.stage_document(document, HERE, about.files()[document.name]) as staged:
            bench.platform.store.publish_document(staged)


def stated(bench: Workbench) -> dict[str, Any]:
    folder = bench.platform.store.document(AI_READINESS, HERE).folder
    parsed: dict[str, Any] = json.loads(bench.platform.store.read(f"{folder}/scorecard.json"))
    return parsed


def points(bench: Workbench, criterion: str) -> int:
    (found,) = [one for one in stated(bench)["forms"]["delivered"]["criteria"] if one["id"] == criterion]
    return int(found["score"])


def made(bench: Workbench) -> dict[str, tuple[bool, str]]:
    """Materialize the scorecard; its checks, with what they said."""
    (outcome,) = bench.run(KEY, selection="ai_readiness")
    assert outcome.succeeded, outcome.failure
    return {check.check_name: (check.passed, str(check.description)) for check in outcome.checks}


def again(bench: Workbench) -> dict[str, tuple[bool, str]]:
    """What the checks find now."""
    return {one.check: (one.passed, one.summary) for one in graded_again(bench.platform, HERE)}


def path_of(bench: Workbench, name: str) -> Path:
    (item,) = [one for one in delivered(bench.platform.store, KEY) if one.name == name]
    return Path(bench.platform.store.root) / item.files[0].path


def test_without_documents_the_gates_that_need_them_are_closed_and_the_scorecard_says_so(bench: Workbench) -> None:
    found = made(bench)
    assert found["well_formed"][0]
    assert not found["no_gate_closed"][0]
    assert "0.a" in found["no_gate_closed"][1]
    assert not found["nothing_lost"][0]
    assert found["grades_hold_now"][0]
    assert stated(bench)["forms"]["published"]["points"] == 56
    assert any(limit.startswith("croissant is not") for limit in stated(bench)["forms"]["delivered"]["limits"])


def test_documents_raise_the_points_and_damage_takes_them_away(bench: Workbench) -> None:
    describe(bench)
    assert made(bench)["grades_hold_now"][0]
    assert [points(bench, one) for one in ("0.a", "3.c", "4.c", "5.d")] == [2, 2, 2, 2]
    assert_the_page_of_the_asset_says_so(bench)
    assert again(bench)["grades_hold_now"][0]

    crate = Path(bench.platform.store.root) / bench.platform.store.document(DERIVED_CRATE, HERE).entry
    crate.write_bytes(crate.read_bytes().replace(b"crate_entities", b"crate_entitles", 1))
    passed, said = again(bench)["grades_hold_now"]
    assert not passed
    assert "too high" in said

    path = path_of(bench, "crate_edges")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    found = again(bench)
    assert {name: passed for name, (passed, _) in found.items()} == dict.fromkeys(
        ("no_gate_closed", "nothing_lost", "grades_hold_now"), False)  # fmt: skip
    assert all("crate_edges" in said for _, said in found.values())


def assert_the_page_of_the_asset_says_so(bench: Workbench) -> None:
    (record,) = bench.instance.fetch_materializations(dg.AssetKey("ai_readiness"), limit=1).records
    shown = record.event_log_entry.asset_materialization
    assert shown is not None
    said = {name: value.value for name, value in shown.metadata.items()}
    form = stated(bench)["forms"]
    assert said["points_delivered"] == form["delivered"]["points"]
    assert said["points_published"] == form["published"]["points"]
    assert "Ethics | 100 % | " in str(said["domains"])
    assert "5.c" in str(said["for_experts"])


def test_a_file_that_was_altered_lowers_its_grade(bench: Workbench) -> None:
    """Where a store does not hold files against their digests as it opens them, the sample that is read again does."""
    describe(bench)
    store = type(bench.platform.store).from_settings(bench.platform.settings)
    before = graded_release(store, KEY)
    assert before.files() == graded_release(store, KEY).files(), "the same evidence gives the same bytes"
    path = path_of(bench, "release_datasheet")
    path.write_bytes(path.read_bytes() + b" ")
    with path.open("rb+") as file:
        data = file.read()
        at = data.index(b"description")
        file.seek(at)
        file.write(b"Description")
        file.truncate(len(data) - 1)
    after = graded_release(store, KEY)
    assert before.card.delivered.grades["3.c"].score == 2
    assert after.card.delivered.grades["3.c"].score == 1
    assert after.evidence.altered == ("tables/release_datasheet/release=2026-06-v2.0/data.parquet",)


def test_a_release_without_a_table_has_no_scorecard(tmp_path: Path) -> None:
    settings = Settings.served_by("http://127.0.0.1:9", storage=str(tmp_path / "s"), scratch=tmp_path / "scratch")
    with dg.DagsterInstance.ephemeral() as instance:
        empty = Workbench(Platform(settings), instance)
        empty.instance.add_dynamic_partitions("release", [KEY])
        (outcome,) = empty.run(KEY, selection="ai_readiness")
    assert outcome.succeeded
    assert not empty.platform.store.has_document(AI_READINESS, HERE)
