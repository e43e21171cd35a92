"""The daemon really running: a release appears in the archive and arrives, with nobody touching anything."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState

from cm4ai_assets.access import open_release
from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import service_variables
from cm4ai_assets_tests.updates.archives import released

PROJECT = Path(__file__).parents[2]
BEFORE, KEY = "2024-05-v1.0", "2025-03-v1.0"
WORKSPACE = f"""
load_from:
  - python_module:
      module_name: cm4ai_assets_tests.updates.fast_location
      location_name: cm4ai_assets
      working_directory: {PROJECT}
"""


@contextmanager
def daemon(home: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    (home / "workspace.yaml").write_text(WORKSPACE)
    (home / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(home / "workspace.yaml")]
    with (home / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log, cwd=home)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(what: str, holds: Callable[[], bool], seconds: float, home: Path) -> float:
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if holds():
            return time.monotonic() - started
        time.sleep(0.5)
    tail = (home / "daemon.log").read_text(errors="replace")[-3000:]
    raise AssertionError(f"not within {seconds:.0f} s: {what}\n{tail}")


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the other test that has a daemon may go first
@pytest.mark.usefixtures("only_daemon")
def test_a_release_arrives_by_itself(
    sandbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with SandboxServer(sandbox) as server:
        environment = {
            "DAGSTER_HOME": str(home), **service_variables(server.url),
            "CM4AI_STORAGE": str(tmp_path / "storage"), "CM4AI_SCRATCH": str(tmp_path / "scratch"),
            "CM4AI_POLL_SECONDS": "4", "CM4AI_TENSOR_SIZE": "256",
        }  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        server.publish_until(released(sandbox, "B3SBXX", "1.0") - timedelta(days=1))
        with daemon(home, environment), dg.DagsterInstance.from_config(str(home)) as instance:

            def made(asset: str) -> set[str]:
                return set(instance.get_materialized_partitions(dg.AssetKey(asset)))

            scored = {f"untreated|{BEFORE}"}
            first = wait_for("what is there", lambda: made("apms_interactions") == scored, 120, home)
            server.clear_log()
            appeared = time.monotonic()
            server.publish_until(released(sandbox, "B3SBXX", "1.0") + timedelta(minutes=1))
            keys = {f"{condition}|{KEY}" for condition in ("untreated", "paclitaxel", "vorinostat")}
            partition = wait_for("partition", lambda: KEY in instance.get_dynamic_partitions(RELEASE), 40, home)
            lock = partition + wait_for("lock", lambda: KEY in made("release_changes"), 60, home)
            whole = lock + wait_for("tensors", lambda: made("if_tensors") == keys, 150, home)
            wait_for("the runs end", lambda: not [r for r in instance.get_runs() if not r.is_finished], 60, home)
            polls = [record for record in server.log if record.path.endswith("/contents")]
            questions = [record for record in server.log if not record.path.startswith("/access/")]
            with capsys.disabled():
                print(  # noqa: T201 - the measured times are what this test shows
                    f"\n  first release {first:.0f} s after the daemon's start; of the next one the partition after "
                    f"{partition:.1f} s, the lock after {lock:.1f} s, all tensors after {whole:.1f} s; "
                    f"{len(polls)} looks, {len(questions)} questions in all, "
                    f"{sum(record.sent for record in questions):,} bytes"
                )  # fmt: skip
            runs = [run for run in instance.get_runs() if run.job_name != "status"]  # the page, made after each of them
            ended = {(run.job_name, run.tags["dagster/partition"]): run.status.value for run in runs}
            works = [(run.job_name, run.tags["dagster/partition"], run.asset_selection) for run in runs]
            assert len(works) == len(set(works)), "one run for each partition, job and selection"
            assert set(ended.values()) == {"SUCCESS"}
            assert ended.keys() >= {
                ("release_lock", BEFORE), ("apms", f"untreated|{BEFORE}"), ("release_lock", KEY),
                *(("images", key) for key in keys),
            }  # fmt: skip
            assert len(polls) <= (time.monotonic() - appeared) / 4 + 2, "a look every four seconds, not at every tick"
            collection = dg.AssetKey("dataverse_collection")
            fresh = instance.get_freshness_state_records([collection])[collection]
            assert fresh.freshness_state is FreshnessState.PASS
    release = open_release(KEY, storage=str(tmp_path / "storage"))
    assert len(release.conditions) == 3
    assert release.table("release_changes").collect().height > 0
    assert release.tensors("paclitaxel").shape[0] > 0
