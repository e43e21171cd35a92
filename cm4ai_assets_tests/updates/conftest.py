"""A served history, and what the daemon does, in this process: a tick, and the runs that it requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets.archives.dataverse.lock import lock_frame
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.definitions import build as build_definitions
from cm4ai_assets.defs.partitions import RELEASE, partition_of
from cm4ai_assets.defs.updates import schedules
from cm4ai_assets.defs.updates import sensor as release_sensor
from cm4ai_assets.defs.updates.sensor import tick
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.exchange import Record
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import table
from cm4ai_assets.updates.changes import compare
from cm4ai_assets.updates.inputs import FEEDS
from cm4ai_assets.updates.needs import plan
from cm4ai_assets_tests.updates.archives import released
from cm4ai_assets_tests.updates.history import write_real_history

FIELDS = 8
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Daemon:
    """The platform over a folder and an instance of its own.

    `effort` says how much of a requested run is done, since most tests are about which runs are requested: only what
    the sensor looks at is published ("claims"), the lock is run and the ZIP fetched ("fetches"), or all ("decodes").
    """

    server: SandboxServer
    platform: Platform
    instance: dg.DagsterInstance
    effort: str = "claims"
    cursor: str | None = None
    late: timedelta = timedelta()
    defs: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.defs = build_definitions(self.platform)

    def tick(self) -> dg.SensorResult:
        """One tick, as the daemon takes it in; nothing is run. `late` sets the clock ahead."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = tick(context, self.platform, datetime.now(UTC) + self.late)
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys or ()))
        self.cursor = result.cursor
        return result

    def requests(self) -> list[str]:
        """One tick; what it requests, as `job:partition`, or `check:partition`."""
        return [told(request) for request in self.tick().run_requests or ()]

    def said(self) -> str:
        """One tick that requests nothing; what it says."""
        result = self.tick()
        assert not result.run_requests
        assert result.skip_reason is not None
        return str(result.skip_reason.skip_message)

    def run(self, request: dg.RunRequest) -> bool:
        """One requested run; whether it succeeded."""
        assert request.job_name is not None
        assert request.partition_key is not None
        if self.effort == "claims" and not request.asset_check_keys:
            self.claim_tensor(request.partition_key) if "|" in request.partition_key else self.claim_lock(request)
            return True
        shortened = request.job_name == "images" and self.effort != "decodes"
        assets = [dg.AssetKey("if_archive")] if shortened else request.asset_selection
        job = self.defs.resolve_job_def(request.job_name)
        if assets is not None or request.asset_check_keys:
            checks = set(request.asset_check_keys) if request.asset_check_keys else None
            job = job.get_subset(asset_selection=set(assets or ()), asset_check_selection=checks)
        result = job.execute_in_process(
            instance=self.instance, partition_key=request.partition_key, tags=dict(request.tags), raise_on_error=False,
            run_config=QUIET,
        )  # fmt: skip
        if shortened and result.success:
            self.claim_tensor(request.partition_key)
        return result.success

    def claim_lock(self, request: dg.RunRequest) -> None:
        """Publish the lock and its changes without a run."""
        record = self.platform.registry.get(str(request.partition_key))
        with self.platform.archive() as archive:
            lock = lock_frame(archive.version(record.doi, record.version), release=record.key)
        self._publish("release_files", Partition(record.key), lock)
        self._publish("release_changes", Partition(record.key), compare(None, lock, release=record.key, against=None))

    def claim_tensor(self, key: str) -> None:
        """Publish a row of `if_tensors` without a tensor."""
        partition = partition_of(key)
        row = {
            "path": "tensors/none.zarr", "array": "image", "shape": [0, 4, 256, 256], "dtype": "uint8",
            "channels": ["red", "green", "blue", "yellow"], "edge": 256, "pixel_code_version": 1,
            "source_sha256": "0" * 64, "digest": "0" * 64, "size": 0, "raw_size": 0,
        }  # fmt: skip
        frame = table("if_tensors").from_rows([row], release=partition.release, condition=partition.condition)
        self._publish("if_tensors", partition, frame)

    def _publish(self, name: str, partition: Partition, frame: pl.DataFrame) -> None:
        with self.platform.store.stage_table(name, partition, frame) as staged:
            self.platform.store.publish_table(staged)

    def settle(self, ticks: int = 6) -> list[str]:
        """Tick and run until nothing is requested any more; the runs, as `job:partition`."""
        done: list[str] = []
        for _ in range(ticks):
            requests = list(self.tick().run_requests or ())
            for request in requests:
                done.append(told(request))
                assert self.run(request), done[-1]
            if not requests:
                return done
        raise AssertionError(f"still requesting after {ticks} ticks: {done}")

    @property
    def archive(self) -> Path:
        """The directory that is served."""
        return self.server._archive._directory

    @property
    def partitions(self) -> set[str]:
        return set(self.instance.get_dynamic_partitions(RELEASE))

    def downloads(self) -> list[Record]:
        """Requests for bytes in the log."""
        return [record for record in self.server.log if record.path.startswith("/access/")]

    def questions(self) -> list[str]:
        """Paths of all other requests in the log."""
        return [record.path for record in self.server.log if not record.path.startswith("/access/")]

    def metadata(self, asset: str, partition: str | None = None) -> dict[str, Any]:
        """Metadata of the latest materialization of an asset's partition."""
        filters = dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset), asset_partitions=[partition] if partition else None
        )
        (record,) = self.instance.fetch_materializations(filters, limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def check(self, asset: str, name: str, partition: str | None = None) -> dg.AssetCheckEvaluation:
        """The latest evaluation of a check."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        records = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        return next(
            record.evaluation for record in records if record.evaluation and record.evaluation.partition == partition
        )


@pytest.fixture(scope="session")
def real_history(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real history with stand-in bytes."""
    folder = tmp_path_factory.mktemp("real") / "archive"
    write_real_history(shared, folder, fields=FIELDS)
    return folder


@pytest.fixture
def quarter(daemon: Daemon) -> Daemon:
    """A daemon that has arrived at March 2025, and fetched it."""
    daemon.server.publish_until(released(daemon.archive, "B3SBXX", "1.1") + timedelta(days=1))
    daemon.settle()
    daemon.server.clear_log()
    return daemon


@pytest.fixture(scope="module")
def spare_instance() -> Iterator[dg.DagsterInstance]:
    """An instance for tests that start no runs: making one takes longer than they do."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def daemon_over(
    archive: Path, folder: Path, effort: str = "claims", instance: dg.DagsterInstance | None = None
) -> Iterator[Daemon]:
    with SandboxServer(archive) as server, ExitStack() as stack:
        instance = instance or stack.enter_context(dg.DagsterInstance.ephemeral())
        settings = Settings.served_by(server.url, storage=str(folder / "storage"),
            scratch=folder / "scratch", tensor_size=256, poll_seconds=0,
        )  # fmt: skip
        yield Daemon(server, Platform(settings), instance, effort)


@pytest.fixture
def daemon(sandbox: Path, tmp_path: Path) -> Iterator[Daemon]:
    yield from daemon_over(sandbox, tmp_path)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Dagster's own log of every event would bury a failure."""
    caplog.set_level("CRITICAL", logger="dagster")


@pytest.fixture
def every_feed() -> None:
    """Have everything requested that reads published bytes, not only images."""


@pytest.fixture(autouse=True)
def _images_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images stand for everything that reads published bytes: one rule decides about all of them."""
    if "every_feed" not in request.fixturenames:
        monkeypatch.setattr(release_sensor, "plan", partial(plan, feeds=FEEDS[:1]))
        monkeypatch.setattr(schedules, "FEEDS", FEEDS[:1])


def told(request: dg.RunRequest) -> str:
    name = request.asset_check_keys[0].name if request.asset_check_keys else request.job_name
    return f"{name}:{request.partition_key}"


def image_runs(release: str) -> list[str]:
    return [f"images:{condition}|{release}" for condition in CONDITIONS]
