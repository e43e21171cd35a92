from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from cm4ai_assets.ui import Guard


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


@pytest.mark.parametrize("host", ["evil.example:3000", "127.0.0.1.evil.example", ""])
def test_a_rebound_name_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421
