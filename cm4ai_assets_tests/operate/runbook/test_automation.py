"""What should run by itself: sensors that were switched off or fail, and messages that do not arrive."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import pytest

from cm4ai_assets import cli
from cm4ai_assets.defs import alerting
from cm4ai_assets_tests.operate.runbook.daemon import Daemon
from cm4ai_assets_tests.operate.runbook.operating import Operator

receivers = pytest.importorskip("cm4ai_assets_tests.servers.receivers", reason="aiosmtpd is not installed (extra: dev)")


@pytest.mark.mends("sensor-stopped")
def test_sensor_stopped(operator: Operator, daemon: Daemon) -> None:
    daemon.switches("release_sensor", on=False)
    one = operator.incident("release_sensor is switched off")
    operator.section.sees(one.title, "is switched off")
    operator.section.does("Automation")
    daemon.switches("release_sensor", on=True)
    daemon.tick("release_sensor")
    assert operator.is_over(one)


@pytest.mark.mends("ticks-fail")
def test_ticks_fail(operator: Operator, daemon: Daemon) -> None:
    """Something lies where the storage has its records: the tick's line names it."""
    records = operator.storage / "registry"
    daemon.switches("release_sensor", on=True)
    records.rename(operator.folder / "records")
    records.write_text("")
    said = {daemon.tick("release_sensor") for _ in range(3)}
    assert all(str(records) in line for line in said)
    records.unlink()
    (operator.folder / "records").rename(records)
    one = operator.incident("The sensor release_sensor fails")
    operator.section.sees(one.title, "The sensor … fails")
    daemon.tick("release_sensor")
    assert operator.is_over(one)


@pytest.fixture
def _directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is asked directly, whatever the machine's proxy is."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


class Later(datetime):
    """A clock that is set ahead: what was not taken is tried again less and less often."""

    by = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + cls.by


@pytest.mark.mends("messages-do-not-arrive")
@pytest.mark.usefixtures("_directly")
def test_messages_do_not_arrive(operator: Operator, daemon: Daemon) -> None:
    pytest.importorskip("apprise", reason="apprise is not installed (extra: alerts)")
    operator.patch.setattr(alerting, "datetime", Later)
    operator.patch.setattr(Later, "by", timedelta())
    operator.patch.setenv("CM4AI_ALERTS", "json://127.0.0.1:1/")
    daemon.switches("alerts", on=True)
    said = []
    for _ in range(3):
        said.append(daemon.tick("alerts"))
        Later.by += timedelta(hours=2)
    one = operator.incident("Messages do not arrive")
    operator.section.sees(one.title, "Messages do not arrive")
    assert "json" in said[0]
    (command,) = operator.section.commands
    assert operator.types(command) == cli.FAILED
    assert "Connection refused" in operator.printed()
    with receivers.webhook() as hook:
        operator.sets("CM4AI_ALERTS", f"json://{hook.address}/")
        operator.follows()
        Later.by += timedelta(hours=2)
        assert [post["title"] for post in hook.posts] == ["[CM4AI] Test message"]
        daemon.tick("alerts")
        assert operator.is_over(one)
