"""The command as a process of its own: interrupted, killed, without its instance, with a full disk."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets_tests.operate.conftest import Operator

RELEASE = "2026-06-v2.0"
ARCHIVES = ("materialize", "--release", RELEASE, "--select", "if_archive")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Stalled:
    """A fault that lets no byte of a file through until it is lifted, and says when one is asked for."""

    def __init__(self) -> None:
        self.asked, self.lifted = threading.Event(), threading.Event()

    def __call__(self, request: Request) -> Answer | None:
        if "/access/datafile/" in request.path and not self.lifted.is_set():
            self.asked.set()
            self.lifted.wait(120)
        return None


@pytest.fixture
def stalled(archive: SandboxServer) -> Iterator[Stalled]:
    fault = Stalled()
    archive.faults.append(fault)
    yield fault
    fault.lifted.set()
    archive.faults.remove(fault)


def test_one_ctrl_c_stops_a_download_and_starts_no_other(operator: Operator, stalled: Stalled) -> None:
    process = operator.start(*ARCHIVES)
    assert stalled.asked.wait(120)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"untreated|{RELEASE}" in out
    assert "paclitaxel|" not in out
    assert "1 materializations in 2 runs, 1 failed" in out
    assert err.rstrip().endswith("run the same command again to go on.")
    assert "Traceback" not in err


def test_the_sandbox_is_interrupted_as_everything_is(operator: Operator, sandbox: Path) -> None:
    process = operator.start("sandbox", "serve", str(sandbox), "--port", "0")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_an_instance_that_is_gone_is_made_again_from_the_storage(operator: Operator) -> None:
    made = operator.run(*ARCHIVES, "--condition", "untreated")
    assert made.returncode == 0, made.stderr
    shutil.rmtree(operator.home)
    again = operator.run("rebuild")
    assert again.returncode == 0, again.stderr
    assert "2 tables recorded" in again.stdout
    with dg.DagsterInstance.from_config(str(operator.home)) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("if_archive")) == {f"untreated|{RELEASE}"}
        assert instance.get_materialized_partitions(dg.AssetKey("release_files")) == {RELEASE}
        assert RELEASE in instance.get_dynamic_partitions("release")
        for check in ("zip_safe", "crate_claims"):  # recorded from its publication; evaluated again
            key = dg.AssetCheckKey(dg.AssetKey("if_archive"), check)
            (record,) = instance.event_log_storage.get_asset_check_partition_info([key])
            assert record.partition_key == f"untreated|{RELEASE}"
        checks = instance.get_latest_asset_check_evaluation_record(
            dg.AssetCheckKey(dg.AssetKey("if_archive"), "zip_safe")
        )
        assert "not read again" in str(checks.event)
    assert "0 tables recorded" in operator.run("rebuild").stdout


def test_a_storage_that_cannot_be_written_is_one_line_with_the_cause(operator: Operator) -> None:
    assert operator.run("releases", "--register").returncode == 0
    (operator.storage / "tables").write_text("a file where a folder has to be")
    failed = operator.run("materialize", "--release", RELEASE, "--select", "release_files")
    assert failed.returncode == 1
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("cm4ai: ")]
    assert str(operator.storage / "tables") in line
    assert "executing op" not in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (operator.storage / "tables").is_file()
