"""A new code version marks as stale what it concerns, and only that; also in an instance that was made again."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from cm4ai_assets.definitions import defs
from cm4ai_assets.defs import rebuilding
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.integration.splits import VERSION as SCHEMES_VERSION
from cm4ai_assets.perturbseq.passes import CODE_VERSION
from cm4ai_assets.storage.nuclei import SEGMENTATION_VERSION
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import PIXEL_CODE_VERSION
from cm4ai_assets_tests.lineage.world import KEY

GRAPH = defs.resolve_asset_graph()
VERSIONS = {key.to_user_string(): GRAPH.get(key).code_version for key in GRAPH.materializable_asset_keys}
BY_PIXELS = {"if_fields", "if_tensors", "if_quality"}


@pytest.fixture
def instance(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance made again from a storage of which all was made by code version 1; no check is run again."""
    monkeypatch.setattr(rebuilding, "_evaluate", lambda *_: "")
    with dg.DagsterInstance.ephemeral() as made:
        sync_partitions(made, ReleaseRegistry(store))
        assert list(rebuilding.rebuild(defs, made, store))
        yield made


def stale(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    """The stale assets of the release, with Dagster's categories of causes."""
    asked = CachingStaleStatusResolver(instance, GRAPH, LoadingContextForTest(instance))
    found: dict[str, set[str]] = {}
    for name in VERSIONS:
        key = dg.AssetKey(name)
        for partition in instance.get_materialized_partitions(key) or {None}:
            if asked.get_status(key, partition) is StaleStatus.STALE:
                causes = asked.get_stale_causes(key, partition)
                found.setdefault(name, set()).update(cause.category.name for cause in causes)
    return found


def test_a_version_of_the_code_is_that_of_the_assets_it_makes() -> None:
    assert {name for name, version in VERSIONS.items() if version == f"1.{SEGMENTATION_VERSION}"} >= {"if_cells"}
    assert {VERSIONS[name] for name in BY_PIXELS} == {f"1.{PIXEL_CODE_VERSION}"}
    assert VERSIONS["perturb_targets"] == f"1.{CODE_VERSION}"
    assert VERSIONS["splits"] == f"2.{SCHEMES_VERSION}"
    numbered = {name for name, version in VERSIONS.items() if "." in str(version)}
    assert numbered == {*BY_PIXELS, "if_cells", "perturb_targets", "splits"}


def test_a_bump_marks_what_it_concerns_and_only_that(instance: dg.DagsterInstance) -> None:
    made = {name for name in VERSIONS if instance.get_latest_materialization_event(dg.AssetKey(name))}
    concerned = {name for name in made if VERSIONS[name] != "1"}
    assert "if_cells" in concerned
    assert stale(instance) == {name: {"CODE"} for name in concerned}
    other = dg.AssetMaterialization("if_fields", partition=f"untreated|{KEY}", tags={"dagster/data_version": "other"})
    instance.report_runless_asset_event(other)
    readers = {key.to_user_string() for key in GRAPH.get(dg.AssetKey("if_fields")).child_keys} & made
    assert {"splits", "proteins"} <= readers
    assert {name for name, causes in stale(instance).items() if "DATA" in causes} == readers
