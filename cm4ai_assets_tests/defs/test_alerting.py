"""The sensor that sends messages: what a tick of the daemon does with it, over an instance and a storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.alerts import memory
from cm4ai_assets.defs.alerting import alerts
from cm4ai_assets.platform import Platform
from cm4ai_assets.settings import Settings
from cm4ai_assets_tests.servers.receivers import webhook


@dg.asset
def counts() -> None:
    """An asset."""


DEFS = dg.Definitions(assets=[counts], sensors=[alerts], resources={"platform": Platform()})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def look(instance: dg.DagsterInstance, settings: Settings, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        definitions=DEFS,
        resources={"platform": Platform(settings)},
    )
    result = alerts(context)
    assert isinstance(result, dg.SensorResult)
    return result


def run_failed(instance: dg.DagsterInstance) -> None:
    job = DEFS.resolve_implicit_global_asset_job_def()
    run = instance.create_run_for_job(job, asset_selection=frozenset([dg.AssetKey("counts")]))
    instance.report_run_failed(run, "The process of this run has died.")


def test_without_a_channel_nothing_is_looked_at(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cm4ai_assets.defs.alerting.open_incidents", lambda *_: pytest.fail("It looked."))
    result = look(instance, Settings(storage=str(tmp_path / "storage"), scratch=tmp_path), "kept")
    assert str(result.skip_reason) == "CM4AI_ALERTS is not set: nothing is sent." or "not set" in str(
        result.skip_reason
    )
    assert result.cursor == "kept"


def test_ticks_send_one_message_and_a_channel_that_is_away_is_an_incident_for_the_other(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run_failed(instance)
    with webhook() as hook:
        good, away = f"json://{hook.address}/hook", "json://127.0.0.1:1/away"
        settings = Settings(storage=str(tmp_path / "storage"), scratch=tmp_path, alerts=(good, away))
        first = look(instance, settings)
        assert [post["title"] for post in hook.posts] == ["[CM4AI] Failure: Run failed: __ASSET_JOB"]
        assert "channel 2 (json): 1 tries in a row failed" in str(first.skip_reason)
        second = look(instance, settings, first.cursor)
        assert len(hook.posts) == 1
    known = memory.read(second.cursor)
    assert sorted(one.failures for one in known.values()) == [0, 1]
    assert not second.run_requests


def test_a_fault_of_the_storage_is_said_and_fails_nothing(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(storage="nothing://here", scratch=tmp_path, alerts=("json://127.0.0.1:1/away",))
    result = look(instance, settings, "kept")
    assert result.cursor == "kept"
    assert "nothing" in str(result.skip_reason)
