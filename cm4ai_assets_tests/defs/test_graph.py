"""The asset graph as an operator sees it: groups one below the other, nothing on its own."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from cm4ai_assets import tables
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.defs.release.assets import watched_version
from cm4ai_assets.lineage.rules import RULES
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench


def order_of(arrows: set[tuple[str | None, str | None]]) -> list[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for above, below in arrows:
        sorter.add(str(below), str(above))
    return list(sorter.static_order())


def test_arrows_between_groups_run_one_way() -> None:
    graph = defs.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    arrows = {(graph.get(parent).group_name, node.group_name) for node in nodes for parent in node.parent_keys}
    order = order_of({(above, below) for above, below in arrows if above != below})
    assert order[0] == "release"
    assert order.index("images") < order.index("metadata")


def test_the_order_of_groups_shows_a_cycle() -> None:
    with pytest.raises(CycleError):
        order_of({("release", "images"), ("images", "release")})


def test_nothing_stands_alone() -> None:
    graph = defs.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    alone = [node.key for node in nodes if not node.parent_keys and not node.child_keys]
    assert alone == [dg.AssetKey("platform_status")]  # it reads all of them, and is made when runs have ended


def test_what_a_table_is_traced_to_is_what_its_asset_reads() -> None:
    graph, names = defs.resolve_asset_graph(), {table.name for table in tables.ALL}
    for name, rule in RULES.items():
        parents = {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys} & names
        assert set(rule.reads) == parents, name


def test_a_new_look_at_the_collection_leaves_locked_releases_up_to_date(bench: Workbench) -> None:
    bench.register_offered()
    version = watched_version(bench.platform.settings)
    look(bench, version)
    assert bench.run(RELEASE, selection="key:release_files")[-1].succeeded
    look(bench, version)
    assert status(bench) is StaleStatus.FRESH
    look(bench, "another collection")
    assert status(bench) is StaleStatus.STALE


def look(bench: Workbench, version: str) -> None:
    seen = dg.AssetMaterialization(COLLECTION, tags={"dagster/data_version": version})
    bench.instance.report_runless_asset_event(seen)


def status(bench: Workbench) -> StaleStatus:
    graph = bench.defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(bench.instance, graph, LoadingContextForTest(bench.instance))
    return resolver.get_status(dg.AssetKey("release_files"), RELEASE)
