"""deploy/Caddyfile in front of a real UI on loopback, with its code location apart as in deploy/compose.yaml."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from cm4ai_assets.settings import PROJECT
from cm4ai_assets_tests.processes import end_group, free_port

DEPLOY = PROJECT / "deploy"
NAME = "cm4ai.example.org"
LOGIN = "Basic " + base64.b64encode(b"operator:correct horse").decode()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed (Debian: apt-get install caddy)"),
]


@dataclass(frozen=True)
class Site:
    """A proxy that is served as `NAME`, and the UI behind it."""

    proxy: int
    ui: int

    @property
    def origin(self) -> str:
        return f"http://{NAME}:{self.proxy}"

    def ask(self, path: str, data: object = None, *, port: int | None = None, **headers: str) -> tuple[int, str]:
        """Status and body, asked for as a browser that found `NAME` at this machine."""
        body = None if data is None else json.dumps(data).encode()
        named = {"Host": f"{NAME}:{self.proxy}", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.proxy}{path}", body, named)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def started(words: list[str], environ: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("w") as shown:
        process = subprocess.Popen(words, env=dict(environ), stdout=shown, stderr=shown, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        finally:
            end_group(process)


def answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a port of the loopback is open."""
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.25)
    pytest.fail(log.read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    code, ui, proxy = free_port(), free_port(), free_port()
    hashed = subprocess.run(
        ["caddy", "hash-password", "--plaintext", "correct horse"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environ = {
        **os.environ, "HOME": str(folder), "CM4AI_STORAGE": str(folder / "storage"),
        "CM4AI_SCRATCH": str(folder / "scratch"), "DAGSTER_HOME": str(folder / "home"), "CM4AI_UI_HOSTS": NAME,
        "CM4AI_SITE": f"http://{NAME}:{proxy}", "CM4AI_LOGIN": "operator", "CM4AI_LOGIN_HASH": hashed,
        "CM4AI_UI": f"127.0.0.1:{ui}", "CM4AI_PROXY_BIND": "127.0.0.1",
    }  # fmt: skip
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    swapped = {"0.0.0.0": "127.0.0.1", "4000": str(code), "3000": str(ui), "python": sys.executable,
               "dagster": str(Path(sys.executable).with_name("dagster")),
               "/opt/cm4ai/workspace.yaml": str(folder / "workspace.yaml")}  # fmt: skip
    text = (DEPLOY / "workspace.yaml").read_text()
    (folder / "workspace.yaml").write_text(text.replace("host: code", "host: 127.0.0.1").replace("4000", str(code)))
    serving, showing = ([swapped.get(word, word) for word in composed[name]["command"]] for name in ("code", "ui"))
    caddy = ["caddy", "run", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"]
    with (
        started(serving, environ, folder / "code.log") as location,
        started(caddy, environ, folder / "caddy.log") as server,
        started([*showing, "--read-only"], environ, folder / "ui.log") as shown,
    ):
        answers(proxy, server, folder / "caddy.log")
        answers(code, location, folder / "code.log")
        answers(ui, shown, folder / "ui.log")
        made = Site(proxy, ui)
        while made.ask("/healthz")[0] != 200:
            assert shown.poll() is None, (folder / "ui.log").read_text()
            time.sleep(0.25)
        yield made


def test_nobody_comes_in_without_the_login(site: Site) -> None:
    wrong = "Basic " + base64.b64encode(b"operator:wrong").decode()
    for path in (
        "/",
        "/graphql",
        "/documents/datasheet_report/2026-06-v2.0/",
        "/healthz/",
        "/server_info",
        "/readyz/x",
    ):
        assert site.ask(path)[0] == 401, path
        assert site.ask(path, Authorization=wrong)[0] == 401, path
    with pytest.raises(InvalidStatus) as refused, _socket(site):
        pytest.fail("a socket without a login")
    assert refused.value.response.status_code == 401


def test_who_has_it_gets_the_page_and_what_the_code_location_serves(site: Site) -> None:
    status, page = site.ask("/", Authorization=LOGIN)
    assert status == 200
    assert "__NEXT_DATA__" in page, "Dagster's page"
    asked = {"query": "{ assetNodes { assetKey { path } } permissions { permission value } }"}
    for _ in range(240):  # the UI looks for its code location by itself
        status, text = site.ask("/graphql", asked, Authorization=LOGIN, Origin=site.origin)
        assert status == 200, text
        if found := json.loads(text)["data"]["assetNodes"]:
            break
        time.sleep(0.25)
    assert ["release_files"] in [one["assetKey"]["path"] for one in found]
    permissions = {one["permission"]: one["value"] for one in json.loads(text)["data"]["permissions"]}
    assert permissions["launch_pipeline_execution"] is False, "a UI to look only"


def test_another_site_and_another_name_are_refused_behind_the_login(site: Site) -> None:
    asked = {"query": "{ version }"}
    assert site.ask("/graphql", asked, Authorization=LOGIN, Origin="https://evil.example")[0] == 403
    with pytest.raises(InvalidStatus) as refused, _socket(site, Authorization=LOGIN, origin="https://evil.example"):
        pytest.fail("a foreign page got a socket")
    assert refused.value.response.status_code == 403
    assert site.ask("/", port=site.ui, Host="evil.example")[0] == 421
    assert "Dagster" not in site.ask("/", Authorization=LOGIN, Host="evil.example")[1]


def test_subscriptions_pass(site: Site) -> None:
    with _socket(site, Authorization=LOGIN, origin=site.origin) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(timeout=30))["type"] == "connection_ack"


def test_monitors_need_no_login_and_learn_nothing(site: Site) -> None:
    assert site.ask("/healthz") == (200, "ok\n")
    assert site.ask("/readyz") == (200, "database ok\nstorage ok\n")
    assert site.ask("/readyz", port=site.ui, Host="10.0.0.7:3000")[0] == 200, "a probe that knows an address only"


def test_the_ui_itself_and_the_proxy_are_open_on_the_loopback_address_only(site: Site) -> None:
    for port in (site.ui, site.proxy):
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.2", port))  # answers where a server listens on all addresses


@contextmanager
def _socket(site: Site, origin: str | None = None, **headers: str) -> Iterator[object]:
    address = f"ws://{NAME}:{site.proxy}/graphql"
    with (
        socket.create_connection(("127.0.0.1", site.proxy), timeout=30) as here,
        connect(address, sock=here, additional_headers=headers, origin=origin, proxy=None,  # type: ignore[arg-type]
                subprotocols=[Subprotocol("graphql-ws")]) as opened,
    ):  # fmt: skip
        yield opened
