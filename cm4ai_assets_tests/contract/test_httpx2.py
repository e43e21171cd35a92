"""What we rely on of the HTTP library, so that an upgrade that changes it fails here and not in a download."""

from __future__ import annotations

from typing import Any

import httpcore2
import httpx2
import pytest

from cm4ai_assets.transfer import connections
from cm4ai_assets.transfer.connections import READ_BYTES, Transport
from cm4ai_assets_tests.transfer.server import body, serving


@pytest.mark.parametrize("proxied", [False, True])
def test_every_connection_is_opened_by_our_backend_and_read_in_large_pieces(
    monkeypatch: pytest.MonkeyPatch, *, proxied: bool
) -> None:
    asked: list[int] = []
    connect = httpcore2.SyncBackend.connect_tcp

    def watched(self: Any, *args: Any, **more: Any) -> httpcore2.NetworkStream:
        stream = connect(self, *args, **more)
        read = stream.read

        def reading(max_bytes: int, timeout: float | None = None) -> bytes:
            asked.append(max_bytes)
            return read(max_bytes, timeout)

        monkeypatch.setattr(stream, "read", reading)
        return stream

    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", watched)
    with serving() as server:
        server.on("/x", body(200, b"x" * 100))
        monkeypatch.setattr(connections, "proxy_of", lambda _: server.url if proxied else None)
        host = "http://archive.example" if proxied else server.url
        with httpx2.Client(transport=Transport()) as client:
            assert client.get(f"{host}/x").content == b"x" * 100
    assert asked
    assert set(asked) == {READ_BYTES}


def test_nothing_of_the_library_itself_is_changed() -> None:
    assert httpcore2.HTTP11Connection.READ_NUM_BYTES == 64 * 1024  # type: ignore[attr-defined]
