"""A tick against everything an archive may answer: it is skipped with a reason, on time, and no release is lost."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cm4ai_assets import platform as resources
from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox.exchange import Answer, CutConnection, Fault, Request, json_answer
from cm4ai_assets.settings import Settings
from cm4ai_assets.transfer.http import Timeouts
from cm4ai_assets.updates import watch
from cm4ai_assets.updates.cursor import Cursor
from cm4ai_assets_tests.fixtures import protocol
from cm4ai_assets_tests.updates.conftest import Daemon, daemon_over

HTML, JSON = {"Content-Type": "text/html; charset=iso-8859-1"}, {"Content-Type": "application/json"}
F3 = "doi:10.5072/FK2/F3SBX5"

# The refusals of the protocol reference, 3.4 to 3.7: status, headers, body or its name, and what is said.
REFUSALS: dict[str, tuple[int, dict[str, str], str, str]] = {
    "not authorized": (403, JSON, "error_403_file_access.json", "Access is not permitted"),
    "bad token": (401, JSON, "error_401_bad_api_key.json", "refuses the API token"),
    "not permitted": (401, JSON, "error_401_not_permitted.json", "Access is not permitted"),
    "unknown": (404, JSON, "error_404_datafile_unknown.json", "does not have it"),
    "no such collection": (404, JSON, "error_404_dataset.json", "does not have it"),
    "cannot presign": (503, JSON, "error_503_service.json", "cannot answer now, HTTP 503"),
    "endpoint blocked": (503, JSON, "error_503_blocked_endpoint.json", "closed this endpoint"),
    "internal error": (500, JSON, "error_500_incident.json", "cannot answer now, HTTP 500 (incident"),
    "guestbook": (400, JSON, "error_400_guestbook_required_6.10.json", "guestbook"),
    "malformed": (400, JSON, "error_400_invalid_order.json", "calls the request malformed"),
    "method": (405, JSON, "error_405_method.json", "Unexpected answer HTTP 405"),
    "range": (416, JSON, "error_416_range.json", "cannot send the piece"),
    "rate limited": (429, JSON, "error_429_rate_limited.json", "Too many requests"),
    "rate limited, stated": (429, {**JSON, "Retry-After": "120"}, "error_429_rate_limited.json", "Too many requests"),
    "front server's no": (403, HTML, "error_403_apache_ua_block.html", "firewall"),
    "challenge": (202, {"x-amzn-waf-action": "challenge"}, "", "firewall"),
    "captcha": (405, {**HTML, "x-amzn-waf-action": "captcha"}, "", "firewall"),
    "proxy": (502, HTML, "error_502_proxy.html", "cannot answer now, HTTP 502"),
    "maintenance": (503, HTML, "error_503_maintenance.html", "cannot answer now, HTTP 503"),
    "gateway timeout": (504, HTML, "", "cannot answer now, HTTP 504"),
    "sign-in page": (200, HTML, "error_200_html_masquerade.html", "is not JSON"),
    "empty": (200, JSON, "", "is not JSON"),
    "cut": (200, JSON, '{"status":"OK","data":[{"id":', "is not JSON"),
    "error with 200": (200, JSON, '{"status":"ERROR","message":"internal"}', "answered with an error"),
    "lower-case error": (200, JSON, '{"status":"error","message":"closed"}', "answered with an error"),
    "no data": (200, JSON, '{"status":"OK"}', "has no data"),
    "another shape": (200, JSON, '{"status":"OK","data":{"items":[]}}', "not a list"),
    "numbers": (200, JSON, '{"status":"OK","data":[1,2]}', "another shape"),
    "another type": (200, JSON, '{"status":"OK","data":[{"id":{"a":1},"type":"dataset"}]}', "another shape"),
    "nameless dataset": (200, JSON, '{"status":"OK","data":[{"id":1,"type":"dataset"}]}', "has no persistent id"),
    "not unicode": (200, JSON, "\udcff\udcfe{", "is not JSON"),
    "compressed unasked": (200, {**JSON, "Content-Encoding": "gzip"}, "{}", "has no data"),
    "redirect to http": (302, {"Location": "http://169.254.169.254/latest"}, "", "redirect was refused"),
    "redirect in a circle": (302, {"Location": "/api/dataverses/CM4AI/contents"}, "", "redirect was refused"),
}


def _body(name: str) -> bytes:
    return protocol.answer(name) if name.startswith("error_") else name.encode("utf-8", "surrogateescape")


def answering(path: str, answer: Answer) -> Fault:
    def fault(asked: Request) -> Answer | None:
        return answer if asked.path.endswith(path) else None

    return fault


@pytest.fixture
def daemon(sandbox: Path, tmp_path: Path, spare_instance: dg.DagsterInstance) -> Iterator[Daemon]:
    yield from daemon_over(sandbox, tmp_path, instance=spare_instance)
    for key in spare_instance.get_dynamic_partitions(RELEASE):
        spare_instance.delete_dynamic_partition(RELEASE, key)


@pytest.fixture
def known(daemon: Daemon) -> Daemon:
    """A daemon that has seen everything before."""
    daemon.tick()
    return daemon


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        resources.watch, "RETRIES", watch.RetryPolicy(tries=1, first=0.01, stall_window=5.0, stall_floor=256)
    )


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_a_skipped_tick_with_a_reason(name: str, daemon: Daemon) -> None:
    status, headers, told, reason = REFUSALS[name]
    body = _body(told)
    daemon.server.faults.append(answering("/contents", Answer(HTTPStatus(status), headers, (body,), len(body))))
    said = daemon.said()
    assert reason in said
    assert daemon.partitions == set()
    asked = len(daemon.server.log)
    assert asked <= 7  # a garbled answer is asked for once more; a circle is followed five times
    said = daemon.said()
    assert reason in said
    assert "is asked again after" in said
    assert len(daemon.server.log) == asked, "an archive that struggles is left alone"
    daemon.server.faults.clear()
    daemon.late = timedelta(hours=1)
    assert len(daemon.tick().run_requests or ()) == 10, "nothing was lost"
    cursor = Cursor.model_validate_json(daemon.cursor or "")
    assert (cursor.failures, cursor.trouble) == (0, "")


def test_an_archive_that_is_down_starts_no_runs_and_forgets_nothing(known: Daemon) -> None:
    before = Cursor.model_validate_json(known.cursor or "")
    known.server.close()
    known.late = timedelta(hours=1)
    assert "The connection failed" in known.said()
    after = Cursor.model_validate_json(known.cursor or "")
    assert after.versions == before.versions
    assert after.last_success == before.last_success
    assert "Last success 60 min ago" in known.said()


def test_one_dataset_that_cannot_be_read_does_not_hide_the_others(daemon: Daemon) -> None:
    page = Answer(HTTPStatus.OK, HTML, (b"<html>",), 6)
    daemon.server.faults.append(lambda asked: page if asked.query.get("persistentId") == F3 else None)
    result = daemon.tick()
    assert {key for key in daemon.partitions if key.startswith("2025-06")} == set()
    assert len(daemon.partitions) == 7
    assert len(result.run_requests or ()) == 7
    cursor = Cursor.model_validate_json(daemon.cursor or "")
    assert cursor.trouble.startswith(f"{F3}: The answer to ")
    assert cursor.last_success is None
    daemon.server.faults.clear()
    daemon.tick()
    assert len(daemon.partitions) == 10


def test_a_server_that_was_half_upgraded_is_read_as_far_as_it_goes(daemon: Daemon) -> None:
    def upgraded(asked: Request) -> Answer | None:
        if not asked.path.endswith("/versions"):
            return None
        answer: dict[str, Any] = json.loads(b"".join(daemon.server.answer(asked).body))
        for version in answer["data"]:
            version |= {
                "guestbookId": 7,
                "brandNew": {"a": [1]},
                "versionMinorNumber": str(version["versionMinorNumber"]),
            }
            version.pop("license")
            if asked.query["persistentId"] == F3:
                version["versionNumber"] = "two"
        return json_answer(HTTPStatus.OK, answer)

    daemon.server.faults.append(upgraded)
    daemon.tick()
    assert len(daemon.partitions) == 7
    assert "sent a version of another shape" in Cursor.model_validate_json(daemon.cursor or "").trouble


def test_an_empty_collection_takes_nothing_back(known: Daemon) -> None:
    known.server.faults.append(answering("/contents", json_answer(HTTPStatus.OK, {"status": "OK", "data": []})))
    known.tick()
    assert len(known.partitions) == 10
    assert Cursor.model_validate_json(known.cursor or "").withdrawn == frozenset()


def test_a_stated_wait_is_kept_within_reason(known: Daemon) -> None:
    for stated, minutes in (("120", 2), ("864000", 30), ("soon", 0.5), ("Wed, 21 Oct 2065 07:28:00 GMT", 30)):
        limited = Answer(HTTPStatus.TOO_MANY_REQUESTS, {**JSON, "Retry-After": stated}, (b"{}",), 2)
        known.server.faults[:] = [answering("/contents", limited)]
        cursor = Cursor.model_validate_json(known.cursor or "")
        known.cursor = cursor.model_copy(update={"not_before": None, "failures": 0}).text()
        known.said()
        cursor = Cursor.model_validate_json(known.cursor or "")
        assert cursor.not_before is not None
        assert cursor.last_look is not None
        assert (cursor.not_before - cursor.last_look).total_seconds() == pytest.approx(60 * minutes, abs=2)


def test_waits_double_up_to_half_an_hour(known: Daemon) -> None:
    known.server.faults.append(answering("/contents", Answer(HTTPStatus.BAD_GATEWAY, HTML, (), 0)))
    waits = []
    for _ in range(9):
        known.said()
        cursor = Cursor.model_validate_json(known.cursor or "")
        assert cursor.not_before is not None
        assert cursor.last_look is not None
        waits.append((cursor.not_before - cursor.last_look).total_seconds())
        known.late += timedelta(seconds=waits[-1] + 1)
    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]


def test_a_connection_that_is_cut(daemon: Daemon) -> None:
    def cut() -> Iterator[bytes]:
        yield b'{"status":'
        raise CutConnection

    daemon.server.faults.append(
        lambda asked: Answer(HTTPStatus.OK, dict(JSON), cut(), 5000) if asked.path.endswith("/contents") else None
    )
    assert "The connection failed" in daemon.said()


def test_an_archive_that_never_answers_costs_a_read_timeout(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "TIMEOUTS", Timeouts(connect=0.5, read=0.5))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(
            dataverse_url=f"http://127.0.0.1:{silent.getsockname()[1]}", storage=daemon.platform.settings.storage,
            scratch=daemon.platform.settings.scratch,
        )  # fmt: skip
        daemon.platform = Platform(settings)
        started = time.monotonic()
        assert "The connection failed" in daemon.said()
        assert time.monotonic() - started < 3


def test_an_archive_that_drips_is_not_waited_for(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, the whole does not: no timeout of a read ends that, the budget of the look does."""
    ended = threading.Event()

    def drip() -> Iterator[bytes]:
        while not ended.is_set():
            yield b" "
            time.sleep(0.02)

    daemon.server.faults.append(
        lambda asked: Answer(HTTPStatus.OK, dict(JSON), drip(), None) if F3 in asked.query.values() else None
    )
    monkeypatch.setattr("cm4ai_assets.updates.watch.observe.__kwdefaults__", {"budget": 1.0})
    started = time.monotonic()
    daemon.tick()
    assert time.monotonic() - started < 3
    ended.set()
    assert len(daemon.partitions) in {3, 7}, "what was read before counts"
    assert "did not answer everything within 1 s" in Cursor.model_validate_json(daemon.cursor or "").trouble


def test_a_tick_ends_long_before_dagster_ends_it() -> None:
    assert watch.BUDGET + 10 < 60


def test_a_storage_that_is_not_for_this_archive_is_told_and_left_alone(known: Daemon) -> None:
    def real(asked: Request) -> Answer | None:
        answer = known.server.answer(asked)
        if asked.path.endswith("/contents"):
            body = b"".join(answer.body).replace(b"10.5072", b"10.18130")
            return Answer(answer.status, answer.headers, (body,), len(body))
        doi = asked.query.get("persistentId", "")
        if "10.18130" not in doi:
            return None
        query = {**asked.query, "persistentId": doi.replace("18130", "5072")}
        own = Request(asked.method, asked.target, asked.path, query, asked.headers)
        body = b"".join(known.server.answer(own).body).replace(b"10.5072", b"10.18130")
        return Answer(HTTPStatus.OK, dict(JSON), (body,), len(body))

    known.server.faults.append(real)
    known.late = timedelta(hours=1)
    said = known.said()
    assert "would hold synthetic releases (doi:10.5072/) beside real ones" in said
    assert "CM4AI_STORAGE" in said
    assert len(known.partitions) == 10


def test_a_look_that_fails_for_a_fault_of_ours_is_not_taken_for_the_archives(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_questions", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        daemon.tick()
    assert isinstance(daemon.instance, dg.DagsterInstance)
