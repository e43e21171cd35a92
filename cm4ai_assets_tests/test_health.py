"""`/healthz` and `/readyz`: asked by whom it may be, cheap, and without a word too many."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cm4ai_assets import ui
from cm4ai_assets.defs.incidents.automation import automation_incidents
from cm4ai_assets.defs.status.asking import Checks, recorded
from cm4ai_assets.defs.status.bare import bare_repository
from cm4ai_assets.guard import Guard
from cm4ai_assets.health import Health, Probe
from cm4ai_assets.incidents import Kind
from cm4ai_assets.settings import PACKAGE, Settings
from cm4ai_assets.storage.identity import ensure_storage_id
from cm4ai_assets.storage.store import Store

SECRET = "postgresql://cm4ai:hunter2@database"


@contextmanager
def asked(**parts: Probe) -> Iterator[TestClient]:
    app = Health(Guard(Starlette()), parts, kept=0.0, patience=0.5)
    with TestClient(app, base_url="http://10.0.0.7:3000") as client:
        yield client


def test_any_name_is_answered_where_the_ui_itself_refuses_it() -> None:
    with asked(database=lambda: True) as client:
        assert (client.get("/healthz").status_code, client.get("/healthz").text) == (200, "ok\n")
        assert (client.get("/readyz").status_code, client.get("/readyz").text) == (200, "database ok\n")
        assert client.head("/readyz").status_code == 200
        assert client.post("/readyz").status_code == 405
        assert client.get("/").status_code == 421
        assert client.get("/healthz/x").status_code == 421


def test_what_does_not_work_is_named_and_why_is_not() -> None:
    def broken() -> bool:
        raise OSError(SECRET)

    with asked(database=broken, storage=lambda: False, daemon=lambda: True) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.text == "database unavailable\nstorage unavailable\ndaemon ok\n"
        assert client.get("/healthz").status_code == 200
        assert SECRET not in str(answer.headers)
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_part_that_hangs_holds_one_thread_and_every_answer_comes() -> None:
    release, asked_for = threading.Event(), []

    def hangs() -> bool:
        asked_for.append(1)
        return release.wait(30)

    with asked(storage=hangs) as client:
        answers = [client.get("/readyz") for _ in range(3)]
        assert [(one.status_code, one.text) for one in answers] == [(503, "no answer within 0.5 s\n")] * 3
        assert len(asked_for) == 1
        release.set()
        assert client.get("/readyz").status_code == 200


def test_who_asks_often_makes_no_work() -> None:
    count: list[int] = []
    app = Health(Starlette(), {"database": lambda: not count.append(1)}, kept=60.0)
    with TestClient(app) as client:
        assert {client.get("/readyz").status_code for _ in range(5)} == {200}
    assert len(count) == 1


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(PACKAGE / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def _beats(instance: dg.DagsterInstance, *, ago: float, missing: str | None = None) -> None:
    for kind in instance.get_required_daemon_types():
        if kind != missing:
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - ago, kind, "one", errors=[]))


def test_the_daemon_lives_while_each_of_its_parts_says_so_whoever_asks(
    instance: dg.DagsterInstance, store: Store
) -> None:
    def lives() -> set[bool | None]:
        """What each of those says that ask: the rule is one."""
        now = datetime.now(UTC)
        probe = ui._parts(instance, store, read_only=False)["daemon"]
        shown = recorded(instance, Settings(), now, Checks({}, ())).daemon
        missed = {one.kind for one in automation_incidents(instance, bare_repository(instance, ()), now)}
        return {probe(), bool(shown), Kind.DAEMON_STOPPED not in missed}

    assert lives() == {False}
    _beats(instance, ago=10, missing="SENSOR")
    assert lives() == {False}
    _beats(instance, ago=10)
    assert lives() == {True}
    _beats(instance, ago=270)
    assert lives() == {True}
    _beats(instance, ago=330)
    assert lives() == {False}


def test_the_ui_asks_the_database_the_storage_and_a_daemon_that_is_needed(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states(*, read_only: bool) -> dict[str, bool]:
        return {name: probe() for name, probe in ui._parts(instance, store, read_only=read_only).items()}

    assert states(read_only=True) == {"database": True, "storage": False}
    ensure_storage_id(store)
    assert states(read_only=False) == {"database": True, "storage": True, "daemon": False}
    _beats(instance, ago=1)
    assert states(read_only=False)["daemon"]
