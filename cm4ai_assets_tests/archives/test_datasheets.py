from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import fsspec
import pytest

from cm4ai_assets.archives.datasheets import LARGEST, added_datasheet
from cm4ai_assets.errors import ArchiveError, ConfigurationError
from cm4ai_assets.transfer.errors import ProtocolError

RELEASE = "2025-06-v2.1"
SHEET = b"id: x\n"
PAGES = {
    f"/sheets/{RELEASE}.yaml": (200, SHEET),
    "/sheets/2025-06-v2.0.yaml": (200, b"\n<!DOCTYPE html><html>sign in</html>"),
    "/sheets/2025-06-v1.0.yaml": (403, b"no"),
    "/sheets/2025-03-v1.0.yaml": (200, b"x" * (LARGEST + 1)),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = PAGES.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    httpd = HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}/sheets"
    httpd.shutdown()
    httpd.server_close()


def test_a_folder_an_object_store_and_a_server_are_read_alike(tmp_path: Path, server: str) -> None:
    (tmp_path / f"{RELEASE}.yaml").write_bytes(SHEET)
    fsspec.filesystem("memory").pipe(f"/added/{RELEASE}.yaml", SHEET)
    for folder in (str(tmp_path), f"{tmp_path}/", tmp_path.as_uri(), "memory://added", server, f"{server}/"):
        assert added_datasheet(folder, RELEASE) == SHEET
        assert added_datasheet(folder, "2026-06-v2.0") is None


def test_a_folder_that_cannot_be_read_is_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    for folder in (str(tmp_path / "missing"), "nosuch://x"):
        with pytest.raises(ConfigurationError, match="CM4AI_DATASHEETS="):
            added_datasheet(folder, RELEASE)


def test_what_is_no_datasheet_is_refused(tmp_path: Path, server: str) -> None:
    (tmp_path / f"{RELEASE}.yaml").write_bytes(b"x" * (LARGEST + 1))
    for folder, release in ((str(tmp_path), RELEASE), (server, "2025-03-v1.0")):
        with pytest.raises(ArchiveError, match="more than 500,000 bytes"):
            added_datasheet(folder, release)
    with pytest.raises(ProtocolError, match="web page"):
        added_datasheet(server, "2025-06-v2.0")
    with pytest.raises(ArchiveError, match="HTTP 403"):
        added_datasheet(server, "2025-06-v1.0")
