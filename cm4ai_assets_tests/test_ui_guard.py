from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from cm4ai_assets.guard import Guard


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ran")


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("open")
    await websocket.close()


APP = Starlette(
    routes=[
        Route("/graphql", _answer, methods=["GET", "POST"]),
        Route("/", _answer),
        WebSocketRoute("/graphql", _socket),
    ]
)
HERE = "http://127.0.0.1:3000"


@pytest.fixture
def client() -> TestClient:
    return TestClient(Guard(APP), base_url=HERE)


def test_a_page_of_this_server_may_do_what_it_does(client: TestClient) -> None:
    assert client.get("/").text == "ran"
    assert client.get("/graphql").text == "ran"  # the GraphQL console itself
    assert client.post("/graphql", json={"query": "{version}"}, headers={"Origin": HERE}).text == "ran"
    with client.websocket_connect("/graphql", headers={"Origin": HERE, "Host": "127.0.0.1:3000"}) as socket:
        assert socket.receive_text() == "open"


def test_a_mutation_by_get_is_refused(client: TestClient) -> None:
    assert client.get("/graphql?query=mutation{wipe}").status_code == 405


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:8000", "null"])
def test_another_site_is_refused(client: TestClient, origin: str) -> None:
    assert client.post("/graphql", json={}, headers={"Origin": origin}).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/graphql", headers={"Origin": origin}):
        pytest.fail("a foreign page got a socket")


@pytest.mark.parametrize("host", ["evil.example:3000", "127.0.0.1.evil.example", "", "[::1", "[", "cm4ai.example.org"])
def test_a_rebound_name_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421


def test_no_other_site_may_show_it_in_a_frame(client: TestClient) -> None:
    for answer in (client.get("/"), client.get("/", headers={"Host": "evil.example"})):
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.fixture
def proxied() -> TestClient:
    return TestClient(Guard(APP, ["CM4AI.example.org"]), base_url=HERE)


@pytest.mark.parametrize(
    "host", ["cm4ai.example.org", "127.0.0.1:3000"]
)  # a proxy passes the name on, or its own target
def test_behind_a_proxy_the_names_of_the_settings_are_answered(proxied: TestClient, host: str) -> None:
    headers = {"Host": host, "Origin": "https://cm4ai.example.org"}
    assert proxied.post("/graphql", json={}, headers=headers).text == "ran"
    with proxied.websocket_connect("/graphql", headers=headers) as socket:
        assert socket.receive_text() == "open"


def test_behind_a_proxy_other_sites_are_refused_all_the_same(proxied: TestClient) -> None:
    own = {"Host": "cm4ai.example.org"}
    for origin in ("https://evil.example", "https://cm4ai.example.org.evil.example", "null", "http://[::1"):
        assert proxied.post("/graphql", json={}, headers={**own, "Origin": origin}).status_code == 403
    assert proxied.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert proxied.get("/graphql?query=mutation{wipe}", headers=own).status_code == 405
