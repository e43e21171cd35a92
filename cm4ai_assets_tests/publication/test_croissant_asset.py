"""The Croissant of a release through Dagster: published when mlcroissant loads it, refused when not, read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.publication import croissant as asset
from cm4ai_assets.findings import Finding
from cm4ai_assets.platform import Platform
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.publication import CROISSANT
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench
from cm4ai_assets_tests.publication.releases import few


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A platform over four tables, and no archive."""
    few(tmp_path)
    settings = Settings.served_by("http://127.0.0.1:9", storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    with dg.DagsterInstance.ephemeral() as instance:
        made = Workbench(Platform(settings), instance)
        sync_partitions(instance, made.platform.registry)
        yield made


def run(bench: Workbench) -> Any:
    (outcome,) = bench.run(RELEASE, selection="croissant")
    return outcome


def test_it_is_published_shown_and_read_back_where_it_stands(bench: Workbench) -> None:
    outcome = run(bench)
    assert outcome.succeeded, outcome.failure
    results = {check.check_name: check.passed for check in outcome.checks}
    assert results == {"loads": True, "well_formed": True, "records_agree": True}
    made = bench.instance.fetch_materializations(dg.AssetKey("croissant"), limit=1).records[0].asset_materialization
    assert made is not None
    page = {name: str(value.value) for name, value in made.metadata.items()}
    assert "if_fields/paclitaxel" in page["record_sets"]
    assert "2^53" in page["not_expressed"]
    assert page["record_set_count"] == "4"
    store = bench.platform.store
    published = store.document(CROISSANT, Partition(RELEASE))
    folder = Path(store.root) / published.folder
    for one in json.loads((folder / "croissant.json").read_bytes())["distribution"]:
        assert (folder / one["contentUrl"]).is_file(), "paths lead from the document to the files"


def test_what_mlcroissant_does_not_load_is_never_published(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset, "loads", lambda _: Finding("loads", passed=False, summary="does not load: no sha256"))
    outcome = run(bench)

    assert not outcome.succeeded
    assert "croissant.loads: does not load: no sha256" in outcome.failure
    assert not bench.platform.store.has_document(CROISSANT, Partition(RELEASE))


def test_an_altered_table_is_a_warning_of_the_check(bench: Workbench) -> None:
    assert run(bench).succeeded
    store = bench.platform.store
    path = next(one for one in store.find("tables/guide_library"))
    file = Path(store.root) / path
    file.write_bytes(file.read_bytes().replace(b"TP53_1", b"TP53_2"))
    finding = asset.read_back(bench.platform, Partition(RELEASE))

    assert not finding.passed
    assert "guide_library" in finding.summary
