"""The operations that are measured over many releases.

Belongs here: what each is, run once. Does not belong here: how they grow (`scaling`), and what they run over
(`scaling_home`, `scaling_storage`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import psutil
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.asset_daemon import AssetDaemon
from dagster_graphql.schema import create_schema

from benchmarks import scaling_home, scaling_storage
from benchmarks.counting import Asked, counted
from benchmarks.scaling_storage import Archive, OfThisProcess
from cm4ai_assets.access import open_release
from cm4ai_assets.definitions import build
from cm4ai_assets.defs.dead_runs import end_dead_runs
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.defs.updates.sensor import tick
from cm4ai_assets.overview import overview
from cm4ai_assets.settings import PROJECT, Settings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.verification import scrub, verify

SCHEMA = create_schema()
QUERIES = Path(__file__).with_name("scaling_queries.json")
RELEASE = "@release"  # stands in the queries for the newest release


class Measuring:
    """Takes what each operation cost."""

    def __init__(self, platform: OfThisProcess) -> None:
        self.platform, self.found = platform, dict[str, dict[str, Any]]()

    @contextmanager
    def of(self, name: str, store: Store | None = None) -> Iterator[Asked]:
        servers = _children_cpu()
        with counted(store or self.platform.store) as asked:
            yield asked
        self.found[name] = {
            "cpu": round(asked.cpu + _children_cpu() - servers, 4),
            "wall": round(asked.wall, 3),
            "statements": asked.statements,
            "calls": asked.reads,
        }
        print(f"{name}: {self.found[name]}", file=sys.stderr, flush=True)


def measure(count: int, *, storage_only: bool) -> dict[str, dict[str, Any]]:
    """Fill a storage and an instance, where the environment says, and run everything over them."""
    archive = Archive(count)
    platform = OfThisProcess(Settings.from_env(), archive)
    measuring = Measuring(platform)
    with measuring.of("filling the storage"):
        keys = scaling_storage.fill(platform.store, archive)
    with open_instance(platform.store) as instance:
        with measuring.of("filling the instance"):
            scaling_home.fill(instance, build(platform), keys)
        _storage(measuring)
        _sensors(measuring, instance)
        _unlocked(measuring)
    with measuring.of("opening the instance"), open_instance(platform.store):
        pass
    if not storage_only:
        with open_instance(platform.store) as instance:
            _pages(measuring, instance, keys[-1])
    _verification(measuring, keys[-1])
    return measuring.found


def _storage(measuring: Measuring) -> None:
    platform = measuring.platform
    with measuring.of('open_release("latest")'):
        open_release("latest", storage=platform.store.url).table("if_fields")
    with measuring.of("cm4ai releases"):
        overview(platform.store, platform.served.records())


def _verification(measuring: Measuring, newest: str) -> None:
    platform = measuring.platform
    with measuring.of("cm4ai verify --release latest"):
        list(verify(platform.store, release=newest))
    with measuring.of("cm4ai verify"):
        list(verify(platform.store))
    with measuring.of("scrubbing: what is due"):
        next(scrub(platform.store, budget=1))


def _sensors(measuring: Measuring, instance: dg.DagsterInstance) -> None:
    """The release sensor at first contact, at a look that finds nothing new, and at a tick between two looks."""
    cursor = None
    now = datetime.now(UTC)
    for name, when in (
        ("release sensor: first look", now),
        ("release sensor: look", now + timedelta(hours=1)),
        ("release sensor: tick", now + timedelta(hours=1, seconds=30)),
    ):
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        with measuring.of(name):
            result = tick(context, measuring.platform, when)
        cursor = result.cursor
        measuring.found[name]["bytes"] = len(cursor or "")
    with measuring.of("sensor of dead runs: tick"):
        end_dead_runs(instance)


def _unlocked(measuring: Measuring) -> None:
    """A tick where every release is registered and none is locked: as many needs as releases."""
    settings = replace(measuring.platform.settings, storage=f"{measuring.platform.settings.storage}-unlocked")
    platform = OfThisProcess(settings, measuring.platform.served)
    with dg.DagsterInstance.ephemeral() as other:
        context = dg.build_sensor_context(instance=other, cursor=None)
        tick(context, platform, datetime.now(UTC))
        with measuring.of("release sensor: nothing locked", platform.store):
            tick(context, platform, datetime.now(UTC))


def _pages(measuring: Measuring, instance: dg.DagsterInstance, newest: str) -> None:
    """What the daemon and the UI do, over a code server as they have it."""
    logging.getLogger("dagster").setLevel(logging.WARNING)
    target = WorkspaceFileTarget([str(PROJECT / "workspace.yaml")])
    with measuring.of("code server: started"):
        context = WorkspaceProcessContext(instance, target, code_server_log_level="WARNING")
    with context:
        for name in ("automation: first tick", "automation: tick"):
            with measuring.of(name):
                _automation(context)
        asked = json.loads(QUERIES.read_text().replace(RELEASE, newest))
        for page, queries in asked["pages"].items():
            for turn in ("first time", "again"):
                with measuring.of(f"UI, {page}: {turn}"):
                    sizes = [_answer(context, asked["queries"][name], name, words) for name, words in queries]
                measuring.found[f"UI, {page}: {turn}"]["bytes"] = sum(sizes)


def _automation(context: WorkspaceProcessContext) -> None:
    """One tick as the daemon has it, due at once."""
    daemon = AssetDaemon(settings={}, pre_sensor_interval_seconds=0)
    with patch("dagster._daemon.asset_daemon.is_under_min_interval", lambda *_, **__: False):
        daemon._run_iteration_impl(context, None, {}, {})  # noqa: SLF001 - its loop would wait for the interval


def _answer(context: WorkspaceProcessContext, query: str, name: str, variables: dict[str, Any]) -> int:
    """Bytes of the answer to one query of the UI."""
    asked = SCHEMA.execute_async(
        query, context_value=context.create_request_context(), variable_values=variables, operation_name=name
    )
    result = asyncio.run(asked)
    # Dagster 1.13.27 answers an error for the statuses of a check's partitions, if one of their dimensions is dynamic.
    if result.data is None:
        raise RuntimeError(f"{name}: {result.errors}")
    return len(json.dumps(result.data))


def _children_cpu() -> float:
    """CPU time of the processes that were started from here and live: Dagster's code server."""
    times = [one.cpu_times() for one in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)
