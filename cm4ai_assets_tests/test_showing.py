"""Published documents on the address of the UI: those and no other file, sandboxed, and only as they were published."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from cm4ai_assets.guard import Guard
from cm4ai_assets.showing import Documents, address_of
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.publication import DATASHEET_REPORT
from cm4ai_assets.tables.status import PLATFORM_STATUS

KEY = "2026-06-v2.0"
AT = address_of(DATASHEET_REPORT, Partition(KEY))
PAGE = b"<!DOCTYPE html><html><script>alert(1)</script></html>"


async def _dagster(request: Request) -> PlainTextResponse:
    return PlainTextResponse("the UI")


@pytest.fixture
def client(store: Store) -> TestClient:
    files = {"index.html": PAGE, "CITATION.cff": b"cff-version: 1.2.0\n", "group/a.json": b"{}"}
    with store.stage_document(DATASHEET_REPORT, Partition(KEY), files) as staged:
        store.publish_document(staged)
    app = Starlette(routes=[Route("/{path:path}", _dagster, methods=["GET", "POST"])])
    return TestClient(Guard(Documents(app, store)), base_url="http://127.0.0.1:3000", follow_redirects=False)


def test_a_document_is_shown_with_its_files(client: TestClient) -> None:
    assert client.get(AT).content == PAGE
    assert client.get(AT).headers["Content-Type"] == "text/html; charset=utf-8"
    assert client.get(f"{AT}index.html").content == PAGE
    assert client.get(f"{AT}CITATION.cff").headers["Content-Type"] == "text/plain; charset=utf-8"
    assert client.get(f"{AT}group/a.json").headers["Content-Type"] == "application/json"
    assert client.head(AT).status_code == 200
    assert client.get(AT.rstrip("/")).headers["Location"] == AT


def test_a_document_that_belongs_to_no_release_is_shown_too(client: TestClient, store: Store) -> None:
    assert client.get("/documents/platform_status/").status_code == 404
    with store.stage_document(PLATFORM_STATUS, Partition(), {"index.html": PAGE, "status.json": b"{}"}) as staged:
        store.publish_document(staged)
    assert address_of(PLATFORM_STATUS, Partition()) == "/documents/platform_status/"
    assert client.get("/documents/platform_status/").content == PAGE
    assert client.get("/documents/platform_status/status.json").content == b"{}"
    assert client.get("/documents/platform_status").headers["Location"] == "/documents/platform_status/"
    for path in ("CURRENT", f"{KEY}/", "..%2f..%2fregistry"):
        assert client.get(f"/documents/platform_status/{path}").status_code == 404


def test_nothing_in_it_runs_or_is_loaded_or_reaches_the_ui(client: TestClient) -> None:
    for answer in (client.get(AT), client.get(f"{AT}none"), client.get("/documents/none/x/"), client.get(AT[:-1])):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox allow-popups allow-downloads; default-src 'none';")
        assert "allow-scripts" not in policy
        assert "allow-same-origin" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", [
    f"{AT}../../../registry/releases/{KEY}.json", f"{AT}..%2f..%2fCURRENT", f"{AT}%2e%2e/CURRENT", f"{AT}CURRENT",
    f"{AT}/etc/passwd", f"{AT}%2fetc%2fpasswd", f"{AT}group", f"{AT}index.html%00", "/documents/tables/2026-06-v2.0/",
    "/documents/datasheet_report/..%2f..%2ftables/", "/documents/datasheet_report/2025-06-v2.1/", "/documents/",
    "/documents/croissant/2026-06-v2.0/",
])  # fmt: skip
def test_no_path_leads_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 or answer.text == "the UI"  # a client may resolve `..` before it asks


def test_documents_are_only_read_and_the_rest_is_handed_on(client: TestClient) -> None:
    assert client.post(AT).status_code == 405
    assert client.get("/assets/datasheet_report").text == "the UI"
    assert client.post("/graphql").text == "the UI"
    assert client.get(AT, headers={"Host": "evil.example"}).status_code == 421


def test_what_was_altered_is_not_shown(client: TestClient, store: Store) -> None:
    published = store.document(DATASHEET_REPORT, Partition(KEY))
    Path(store.address(published.entry)).write_bytes(PAGE.replace(b"1", b"2"))
    answer = client.get(AT)
    assert answer.status_code == 500
    assert answer.text == "index.html was altered after it was published. Materialize datasheet_report again."
    Path(store.address(published.entry)).unlink()
    assert client.get(AT).status_code == 500
