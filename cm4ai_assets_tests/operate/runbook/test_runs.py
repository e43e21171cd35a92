"""Runs that fail, die, wait, or rightly make nothing."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dagster as dg
import pytest

from cm4ai_assets import open_release
from cm4ai_assets.defs import acquisition, dead_runs
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.transfer.acquire import Acquired
from cm4ai_assets_tests.operate.runbook.operating import MAKE, PARTITION, RELEASE, Operator, job


@pytest.mark.mends("a-run-failed")
def test_a_run_failed(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step needs a file of the machine that is not there: the line names it."""
    needed, acquire = operator.folder / "needed", acquisition.acquire

    def with_file(*args: Any, **kwargs: Any) -> Acquired:
        needed.read_bytes()
        return acquire(*args, **kwargs)

    monkeypatch.setattr(acquisition, "acquire", with_file)
    message = operator.fails()
    operator.section.sees(message, "cm4ai:")
    assert str(needed) in message
    one = operator.incident("Run failed")
    operator.section.sees(one.title, "Run failed")
    needed.touch()
    assert operator.repeats("Re-execute → From failure", one)
    assert operator.is_over(one)
    needed.unlink()
    operator.fails()
    needed.touch()
    operator.follows()
    assert operator.is_over(one)


class Half:
    """A fault that lets half of a file through and then nothing until it is over."""

    def __init__(self, operator: Operator) -> None:
        self.operator, self.reached, self.over = operator, threading.Event(), threading.Event()

    def __call__(self, request: Request) -> Answer | None:
        if "/access/datafile/" not in request.path or self.over.is_set():
            return None
        answer = self.operator.archive.answer(request)
        answer.body = self._halves(b"".join(answer.body))
        return answer

    def _halves(self, body: bytes) -> Iterator[bytes]:
        yield body[: len(body) // 2]
        self.reached.set()
        self.over.wait(120)
        yield body[len(body) // 2 :]


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.mark.mends("run-killed")
def test_run_killed(operator: Operator) -> None:
    shutil.rmtree(operator.storage / "blobs")
    half = Half(operator)
    operator.archive.faults.append(half)
    process = operator.starts(MAKE)
    assert half.reached.wait(120)
    until(lambda: any(path.stat().st_size > 1_000_000 for path in operator.scratch.rglob("*") if path.is_file()))
    process.kill()
    process.communicate(timeout=60)
    half.over.set()
    operator.archive.clear_log()
    printed = operator.follows()
    assert "Ended the records of 1 runs whose process had died" in printed
    with operator.instance() as instance:
        failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        said = [record.message for run in failed for record in instance.all_logs(run.run_id)]
        assert not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    operator.section.sees(" ".join(said), "The process of this run has died")
    asked = [record.headers.get("range") for record in operator.archive.log if "/access/datafile/" in record.path]
    assert len(asked) == 1
    assert asked[0], "downloads go on where they stopped"
    assert list(operator.storage.rglob(".staging/*")) == []


@pytest.mark.mends("run-waits")
def test_run_waits(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the daemon uses the archive's pool until somebody cancels it."""
    monkeypatch.setattr(dead_runs, "Waiting", partial(dead_runs.Waiting, every=0.1))
    with operator.instance() as instance:
        run = instance.create_run_for_job(job(), asset_selection=frozenset([dg.AssetKey("if_archive")]))
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", run.job_name), run.run_id)
        instance.event_log_storage.claim_concurrency_slot("dataverse", run.run_id, "if_archive")
        with dead_runs.alive(instance, run.run_id):
            cancelling = threading.Timer(3, lambda: instance.report_run_canceled(run))
            cancelling.start()
            printed = operator.succeeds(MAKE)
    operator.section.sees(printed, "Waiting at most … for another run to end")
    operator.section.does("Runs → Terminate")
    assert run.run_id in printed


@pytest.mark.mends("not-made")
def test_not_made(operator: Operator) -> None:
    operator.makes = "if_images"
    with pytest.raises(NotMaterializedError) as raised:
        open_release(RELEASE).table("if_images")
    operator.section.sees(type(raised.value).__name__, "NotMaterializedError")
    assert raised.value.runbook == operator.section.anchor
    operator.follows()
    assert open_release(RELEASE).table("if_images").collect().height
    with operator.instance() as instance:
        assert PARTITION in instance.get_materialized_partitions(dg.AssetKey("if_images"))
    operator.makes = "secms_profiles"
    printed = operator.succeeds(MAKE)
    operator.section.sees(printed, "not made")
    assert "This release has no SEC-MS tables" in printed
