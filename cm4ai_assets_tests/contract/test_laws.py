"""The laws hold in the package, and each law sees a violation that is planted in a temporary tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import cm4ai_assets
from cm4ai_assets_tests.contract import laws

ROOT = Path(cm4ai_assets.__file__).parent

Law = Callable[[Path], list[str]]

# A law, a module that breaks it, and what the law says of it. `storage/store.py` and `defs/x/inputs.py` stand by.
PLANTED: list[tuple[Law, str, str, str]] = [
    (laws.upward_imports, "tables/bad.py", "from cm4ai_assets.storage import store", "tables.bad imports storage."),
    (laws.upward_imports, "images/bad.py", "def f():\n    from cm4ai_assets.updates import watch", "imports updates"),
    (laws.upward_imports, "cellar/bad.py", "", "cellar has no place in the order of the rooms"),
    (laws.circles, "storage/layout.py", "from cm4ai_assets.storage import store", "storage.layout imports"),
    (laws.dagster_below_defs, "images/bad.py", "import dagster as dg", "images.bad imports dagster"),
    (laws.dagster_below_defs, "platform.py", "from dagster_shared import x", "platform imports dagster_shared"),
    (laws.defs_without_dagster, "defs/bad.py", "X = 1", "defs.bad has nothing of Dagster in it"),
    (laws.network_imports, "images/bad.py", "def f():\n    import socket", "images.bad imports socket"),
    (laws.network_imports, "crates/bad.py", "import http.client", "crates.bad imports http.client"),
    (laws.network_imports, "updates/bad.py", "from urllib import request", "updates.bad imports urllib"),
    (laws.network_imports, "defs/bad.py", "from httpx2 import Client", "defs.bad imports httpx2"),
    (laws.storage_paths, "images/bad.py", "f'{self.store.root}/x'", "images.bad, line 1: reads a store's root"),
    (laws.storage_paths, "access.py", "path = store.root + '/x'", "access, line 1: reads a store's root"),
    (laws.storage_paths, "defs/bad.py", "f'tables/{name}/x'", "defs.bad, line 1: builds a path below tables/"),
    (laws.checks_on_the_network, "defs/x/checks.py",
     "from cm4ai_assets.defs.x import inputs\ndef check(platform):\n    inputs.read(platform)",
     "defs.x.checks.check reaches massive"),
    (laws.checks_on_the_network, "defs/x/pages.py",
     "from cm4ai_assets.defs.x.inputs import read\ndef page(platform):\n    return lambda: read(platform)",
     "defs.x.pages.page reaches massive"),
    (laws.texts_past_the_border, "defs/bad.py", "raise dg.Failure(str(error))", "defs.bad, line 1: makes a Failure"),
    (laws.texts_past_the_border, "defs/bad.py", "dg.AssetObservation('a', description=reason)", "not described"),
    (laws.texts_past_the_border, "defs/bad.py", "AssetCheckResult(description=f'{name}')", "not described"),
]  # fmt: skip
GOOD = {
    "__init__.py": "",
    "storage/store.py": "from cm4ai_assets.storage.layout import path\nPATH = f'{store.root}/tables/x'",
    "storage/layout.py": "",
    "crates/reader.py": "",
    "transfer/http.py": "import socket",
    "defs/x/inputs.py": "import dagster\ndef read(platform):\n    with platform.massive() as c:\n        pass",
}


def tree(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.mark.parametrize(("law", "path", "text", "said"), PLANTED, ids=lambda v: getattr(v, "__name__", None))
def test_a_planted_violation_is_seen(law: Law, path: str, text: str, said: str, tmp_path: Path) -> None:
    assert law(tree(tmp_path, GOOD)) == []
    assert any(said in found for found in law(tree(tmp_path, {path: text})))


def test_rooms_import_downward_only() -> None:
    assert laws.upward_imports(ROOT) == []


def test_there_is_no_circle() -> None:
    assert laws.circles(ROOT) == []


def test_texts_of_archives_reach_no_page_as_markup() -> None:
    assert laws.texts_past_the_border(ROOT) == []


def test_nothing_below_defs_knows_dagster() -> None:
    assert laws.dagster_below_defs(ROOT) == []


def test_defs_is_dagster_only() -> None:
    assert laws.defs_without_dagster(ROOT) == []


def test_only_transfer_and_archives_open_connections() -> None:
    assert laws.network_imports(ROOT) == []


def test_only_storage_builds_paths() -> None:
    assert laws.storage_paths(ROOT) == []


def test_no_check_and_no_page_touches_the_network() -> None:
    # `still_published` asks whether the archive still offers what is locked: that question is the check.
    assert laws.checks_on_the_network(ROOT) == ["defs.release.checks.still_published reaches archive"]


# What is imported from Dagster's internals, and why nothing public does. Whoever adds to it says why.
GRAPH = "dagster._core.definitions.assets.graph.base_asset_graph.BaseAssetGraph"
INTERNALS = {
    # The type of what a storage is configured by, in the signature that Dagster calls.
    "defs.database": {"dagster._serdes.ConfigurableClassData"},
    # An executor that can be seen to live: Dagster offers to make one, but not to extend the one it has.
    "defs.executor": {
        "dagster._core.events.DagsterEvent",
        "dagster._core.execution.context.system.PlanOrchestrationContext",
        "dagster._core.execution.plan.plan.ExecutionPlan",
        "dagster._core.execution.retries.RetryMode",
        "dagster._core.executor.in_process.InProcessExecutor",
    },
    # Which checks fail now, by one question instead of one for each check: see `failing_checks`.
    "defs.incidents.evaluations": {
        "dagster._core.storage.asset_check_execution_record.AssetCheckExecutionRecordStatus",
        "dagster._core.storage.event_log.schema.AssetCheckExecutionsTable",
        "dagster._core.storage.event_log.sql_event_log.SqlEventLogStorage",
    },
    # What the instance says of sensors, schedules and their ticks: nothing public names it.
    "defs.incidents.automation": {
        "dagster._core.scheduler.instigation.InstigatorState",
        "dagster._core.scheduler.instigation.InstigatorTick",
        "dagster._core.scheduler.instigation.SensorInstigatorData",
        "dagster._core.scheduler.instigation.TickStatus",
    },
    # The event log with SQLite that keeps its connections open: it stands in for Dagster's own.
    "defs.kept_events": {
        "dagster._core.storage.event_log.sqlite.sqlite_event_log.SqliteEventLogStorage",
        "dagster._core.storage.sqlite.SQLITE_BUSY_TIMEOUT_SECONDS",
    },
    # Runs without a daemon or a webserver: an id before the run exists, and the type of what a run reports.
    "defs.launching": {"dagster._core.events.DagsterEvent", "dagster._core.utils.make_new_run_id"},
    # What a sensor remembers: the instance gives it, and nothing public names it.
    "defs.moving": {
        "dagster._core.definitions.sensor_definition.SensorType",
        "dagster._core.scheduler.instigation.InstigatorState",
        "dagster._core.scheduler.instigation.SensorInstigatorData",
    },
    # By which tags Dagster knows code versions and inputs: what is recorded again has them too, or all of it is stale.
    "defs.rebuilding": {
        f"dagster._core.definitions.data_version.{name}"
        for name in (
            "CODE_VERSION_TAG",
            "DATA_VERSION_TAG",
            "DEFAULT_DATA_VERSION",
            "NULL_EVENT_POINTER",
            "extract_data_version_from_entry",
            "get_input_data_version_tag",
            "get_input_event_pointer_tag",
        )
    },
    # The type that `Definitions.resolve_asset_graph` returns, which nothing public names.
    "defs.selection": {GRAPH},
    "defs.updates.schedules": {
        GRAPH,
        # The name under which runs of assets without a job are recorded: the UI shows it, nothing public states it.
        "dagster._core.definitions.assets.job.asset_job.IMPLICIT_ASSET_JOB_NAME",
    },
    # What the instance says of checks, sensors, schedules, ticks, the queue and backfills, without loading definitions.
    "defs.status.asking": {
        "dagster._core.scheduler.instigation.InstigatorState",
        "dagster._core.scheduler.instigation.SensorInstigatorData",
        "dagster._core.scheduler.instigation.TickStatus",
        "dagster._core.storage.asset_check_execution_record.AssetCheckExecutionRecordStatus",
        "dagster._core.storage.event_log.schema.AssetCheckExecutionsTable",
        "dagster._core.storage.event_log.sql_event_log.SqlEventLogStorage",
    },
    "defs.status.bare": {
        "dagster._core.scheduler.instigation.InstigatorState",
        "dagster._core.scheduler.instigation.ScheduleInstigatorData",
        "dagster._core.scheduler.instigation.SensorInstigatorData",
    },
    "defs.status.requests": {
        "dagster._core.execution.backfill.BulkActionStatus",
        "dagster._core.execution.backfill.BulkActionsFilter",
        "dagster._core.execution.backfill.PartitionBackfill",
    },
    # Which backfills are under way: the instance gives them only by these two.
    "defs.updates.requests": {
        "dagster._core.execution.backfill.BulkActionStatus",
        "dagster._core.execution.backfill.BulkActionsFilter",
    },
    # A launcher that knows where runs are: Dagster calls every launcher by these types.
    "defs.workers": {
        "dagster._core.launcher.CheckRunHealthResult",
        "dagster._core.launcher.LaunchRunContext",
        "dagster._core.launcher.WorkerStatus",
        "dagster._serdes.ConfigurableClassData",
    },
    # The webserver's own entry makes this context; it is made here to put a guard in front of the application.
    "ui": {
        "dagster._core.workspace.context.WorkspaceProcessContext",
        "dagster._core.workspace.load_target.WorkspaceFileTarget",
    },
}


def test_each_import_of_dagsters_internals_is_listed_with_its_reason() -> None:
    assert laws.private_dagster(ROOT) == INTERNALS


# Words that readers stumble over, and what the field says instead.
BANNED = {
    "told": "message, reason, summary, or a sentence with its subject first", "be had": "available",
    "pacing": "retries", "standing": "upstream status", "arrivals": "needs",
}  # fmt: skip


def test_no_banned_word_stands_in_the_package() -> None:
    assert laws.words(ROOT, BANNED) == {}, BANNED


def test_a_banned_word_is_seen_in_names_and_prose(tmp_path: Path) -> None:
    text = "def pacing_of(told):  # what can be had\n    understanding = folded(notstanding, standing_)"
    assert laws.words(tree(tmp_path, {"images/bad.py": text}), BANNED) == {
        "told": 1, "be had": 1, "pacing": 1, "standing": 1,
    }  # fmt: skip
