"""A release of which one condition failed a blocking check does not reach what gathers its conditions, by no way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.asset_backfill import AssetBackfillStatus
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.backfill import execute_backfill_iteration

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.defs.images import assets as image_assets
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.publishing import Draft
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.exchange import Answer, Fault, Request
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.ticks import tick_of
from cm4ai_assets_tests.updates import gathering
from cm4ai_assets_tests.updates.archives import released
from cm4ai_assets_tests.updates.conftest import QUIET

# Dagster's own tester of conditions uses a parameter of Dagster's that is still beta.
pytestmark = pytest.mark.filterwarnings("ignore:Parameter `include_sources`")

RELEASE = "2025-03-v1.0"
VORINOSTAT = 700638
GATHERED, ARCHIVE = dg.AssetKey("gathered"), dg.AssetKey("if_archive")


def corrupting(server: SandboxServer, number: int) -> Fault:
    """The bytes of one file come with one of them changed."""

    def fault(request: Request) -> Answer | None:
        if not request.path.endswith(f"/datafile/{number}"):
            return None
        answer = server.answer(request)
        body = bytearray(b"".join(answer.body))
        body[len(body) // 2] ^= 1
        return Answer(answer.status, answer.headers, (bytes(body),), len(body))

    return fault


@dataclass
class Bench:
    server: SandboxServer
    platform: Platform
    instance: dg.DagsterInstance
    defs: dg.Definitions

    def run(self, asset: str, partition: str) -> dg.ExecuteInProcessResult:
        job = self.defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(asset)})
        return job.execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=False, run_config=QUIET
        )

    @property
    def is_gathered(self) -> bool:
        return self.platform.store.has_table("gathered", Partition(RELEASE))


def _bench(server: SandboxServer, folder: Path, instance: dg.DagsterInstance) -> Bench:
    settings = Settings.served_by(
        server.url, storage=str(folder / "storage"), scratch=folder / "scratch", tensor_size=256
    )
    platform = Platform(settings)
    with platform.archive() as client:
        platform.registry.register(client.releases("CM4AI"))
    sync_partitions(instance, platform.registry)
    return Bench(server, platform, instance, gathering.definitions(platform))


@pytest.fixture
def bench(sandbox: Path, tmp_path: Path) -> Iterator[Bench]:
    with SandboxServer(sandbox) as server, dg.DagsterInstance.ephemeral() as instance:
        server.publish_until(released(sandbox, "B3SBXX", "1.0"))
        yield _bench(server, tmp_path, instance)


def test_by_a_run(bench: Bench) -> None:
    bench.server.faults.append(corrupting(bench.server, VORINOSTAT))
    assert bench.run("release_files", RELEASE).success
    made = {condition: bench.run("if_archive", f"{condition}|{RELEASE}").success for condition in CONDITIONS}
    assert made == {"untreated": True, "paclitaxel": True, "vorinostat": False}
    result = bench.run("gathered", RELEASE)
    assert not result.success
    assert not bench.is_gathered
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert f"if_archive is not materialized for vorinostat|{RELEASE}" in str(failure.step_failure_data.error)


def test_by_automation(bench: Bench) -> None:
    requested = []
    cursor = None

    def tick() -> int:
        nonlocal cursor
        result = tick_of(bench.defs, bench.instance, cursor=cursor)
        cursor = result.cursor
        requested.append(sorted(result.get_requested_partitions(GATHERED)))
        return len(requested[-1])

    assert tick() == 0
    bench.server.publish_until(None)
    with bench.platform.archive() as client:
        bench.platform.registry.register(client.releases("CM4AI"))
    sync_partitions(bench.instance, bench.platform.registry)
    assert tick() == 0, "a release that arrives requests nothing before its inputs are there"
    key = "2025-06-v1.0"
    fault = corrupting(bench.server, 702110)
    bench.server.faults.append(fault)
    assert bench.run("release_files", key).success
    for condition in CONDITIONS:
        assert bench.run("if_archive", f"{condition}|{key}").success is (condition != "vorinostat")
        assert tick() == 0
    bench.server.faults.remove(fault)
    assert bench.run("if_archive", f"vorinostat|{key}").success
    assert tick() == 1
    assert requested[-1] == [key]
    assert tick() == 0, "asked for once"
    assert bench.run("gathered", key).success
    assert tick() == 0
    assert [keys for keys in requested if keys] == [[key]]


def test_the_locks_of_a_whole_history_start_no_storm(bench: Bench) -> None:
    """Of all that is defined, nothing follows from a lock alone: not at first contact, not for a renamed version."""
    cursor = tick_of(bench.defs, bench.instance).cursor
    bench.server.publish_until(None)
    with bench.platform.archive() as client:
        bench.platform.registry.register(client.releases("CM4AI"))
    keys = sync_partitions(bench.instance, bench.platform.registry)
    assert len(keys) == 8
    for key in keys:
        bench.instance.report_runless_asset_event(dg.AssetMaterialization("release_files", partition=key))
        bench.instance.report_runless_asset_event(dg.AssetMaterialization("release_changes", partition=key))
    for _ in range(2):
        result = tick_of(bench.defs, bench.instance, cursor=cursor)
        cursor = result.cursor
        assert result.total_requested == 0


@pytest.mark.slow
def test_what_failed_is_not_gathered_with_what_the_others_have_made_since(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old content of the failed condition stands and is sound; beside the new of the others it would be neither."""
    cursor = tick_of(bench.defs, bench.instance).cursor

    def requested() -> int:
        nonlocal cursor
        result = tick_of(bench.defs, bench.instance, cursor=cursor)
        cursor = result.cursor
        return len(result.get_requested_partitions(GATHERED))

    def draft(*args: Any, **more: Any) -> Draft:
        return Draft(*args, **{**more, "data_version": "other bytes"})

    assert bench.run("release_files", RELEASE).success
    assert all(bench.run("if_archive", f"{condition}|{RELEASE}").success for condition in CONDITIONS)
    assert requested() == 1
    assert bench.run("gathered", RELEASE).success
    monkeypatch.setattr(image_assets, "Draft", draft)
    assert bench.run("if_archive", f"paclitaxel|{RELEASE}").success
    with monkeypatch.context() as hostile:
        hostile.setattr(image_assets, "_hazards", lambda *_: (["made hostile"], 0))
        assert not bench.run("if_archive", f"vorinostat|{RELEASE}").success
    assert requested() == 0
    assert bench.platform.store.has_table("if_archive", Partition(RELEASE, "vorinostat"))
    assert bench.run("if_archive", f"vorinostat|{RELEASE}").success
    assert requested() == 1


# --- by Dagster's own backfill


@pytest.fixture
def daemon_bench(
    sandbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Bench, WorkspaceProcessContext]]:
    overrides = {
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "run_launcher": {
            "module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher",
        },
    }  # fmt: skip
    with SandboxServer(sandbox) as server, instance_for_test(overrides=overrides) as instance:
        server.publish_until(released(sandbox, "B3SBXX", "1.0") + timedelta(minutes=1))
        monkeypatch.setenv("CM4AI_DATAVERSE_URL", server.url)
        monkeypatch.setenv("CM4AI_STORAGE", str(tmp_path / "storage"))
        monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
        target = PythonFileTarget(gathering.__file__, "defs", str(Path(__file__).parents[2]), "cm4ai_assets")
        with create_test_daemon_workspace_context(target, instance) as workspace:
            yield _bench(server, tmp_path, instance), workspace


def _backfill(bench: Bench, workspace: WorkspaceProcessContext, backfill_id: str) -> PartitionBackfill:
    """What a click on Materialize does for one release, and the daemon's work on it until it ends."""
    selection = [dg.AssetKey("release_files"), ARCHIVE, GATHERED]
    graph = workspace.create_request_context().asset_graph
    bench.instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id=backfill_id, asset_graph=graph, backfill_timestamp=1.0, tags={}, asset_selection=selection,
            partition_names=[RELEASE], dynamic_partitions_store=bench.instance, all_partitions=False, title=None,
            description=None, run_config=None,
        )
    )  # fmt: skip
    for _ in range(12):
        list(execute_backfill_iteration(workspace, logging.getLogger("backfill")))
        backfill = bench.instance.get_backfill(backfill_id)
        assert backfill is not None
        if backfill.status not in {BulkActionStatus.REQUESTED, BulkActionStatus.FAILING}:
            return backfill
    raise AssertionError(f"the backfill does not end: {backfill.status}")


@pytest.mark.slow
def test_by_an_asset_backfill(daemon_bench: tuple[Bench, WorkspaceProcessContext]) -> None:
    bench, workspace = daemon_bench
    fault = corrupting(bench.server, VORINOSTAT)
    bench.server.faults.append(fault)
    failed = _backfill(bench, workspace, "failing")
    assert failed.status is BulkActionStatus.COMPLETED_FAILED
    assert not bench.is_gathered
    runs = bench.instance.get_runs()
    assert len(runs) == 4, "the lock, and one run for each condition"
    status = failed.get_backfill_status_per_asset_key(workspace.create_request_context())
    told = {s.asset_key: s.partitions_counts_by_status for s in status}
    assert told[ARCHIVE][AssetBackfillStatus.MATERIALIZED] == 2
    assert told[ARCHIVE][AssetBackfillStatus.FAILED] == 1
    assert told[GATHERED][AssetBackfillStatus.MATERIALIZED] == 0
    assert told[GATHERED][AssetBackfillStatus.FAILED] == 1

    bench.server.faults.remove(fault)
    again = _backfill(bench, workspace, "again")
    assert again.status is BulkActionStatus.COMPLETED_SUCCESS
    assert bench.is_gathered
    assert bench.platform.store.table("gathered", Partition(RELEASE)).collect().height == 3
