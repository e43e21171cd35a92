"""The day of an operator: a run fails on corrupt bytes, an alert comes, the runbook says what to do, and it is done."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.settings import PROJECT, service_variables
from cm4ai_assets_tests.browser.quiet import asleep
from cm4ai_assets_tests.operate.sections import commands
from cm4ai_assets_tests.processes import end_group
from cm4ai_assets_tests.validators.node import CHROMIUM, NO_CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("apprise", reason="apprise is not installed (extra: alerts)")
receivers = pytest.importorskip("cm4ai_assets_tests.servers.receivers", reason="aiosmtpd is not installed (extra: dev)")
RELEASE = "2026-06-v2.0"
SECRET = "planted-4b1d-secret"  # to be found nowhere
PARTITION = f"/assets/if_archive?view=partitions&partition=paclitaxel%7C{RELEASE}"
STATE = "/documents/platform_status/"
OPEN = "digest_and_size"  # the page names what does not pass
CHECK = "/assets/if_archive?view=checks&checkDetail=digest_and_size"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.usefixtures("only_daemon"),
    pytest.mark.timeout(1200),  # the other test that has a daemon may go first
    pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM),
]


@dataclass
class Day:
    url: str
    environ: dict[str, str]
    archive: SandboxServer
    messages: list[dict[str, str]]
    folder: Path

    def types(self, command: str) -> str:
        """A command of the runbook, of the one condition that this day is about."""
        words = [sys.executable, "-m", "cm4ai_assets.cli", *command.split()[1:]]
        done = subprocess.run(words, env=self.environ, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def state(self) -> str:
        """The page of the state of everything, as the UI serves it now; the daemon makes it again after runs."""
        answer = httpx2.get(f"{self.url}{STATE}")
        assert answer.status_code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}
        return answer.text


@pytest.fixture
def day(tmp_path: Path, sandbox: Path) -> Iterator[Day]:
    with SandboxServer(sandbox, token=SECRET) as archive, receivers.webhook() as hook, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        url = f"http://127.0.0.1:{port}"
        environ = {
            **os.environ,
            **service_variables(archive.url),
            "CM4AI_STORAGE": str(tmp_path / "storage"),
            "CM4AI_SCRATCH": str(tmp_path / "scratch"),
            "DAGSTER_HOME": str(tmp_path / "home"),
            "DATAVERSE_API_TOKEN": SECRET,
            "CM4AI_ALERTS": f"json://operator:{SECRET}@{hook.address}/alerts",
            "CM4AI_UI_URL": url,
        }
        day = Day(url, environ, archive, hook.posts, tmp_path)
        day.types(f"cm4ai materialize --release {RELEASE} --condition paclitaxel --select release_files")
        archive.faults.append(asleep)
        with (tmp_path / "ui.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cm4ai_assets.ui", "--port", str(port)],
                env=environ, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            _until(lambda: _answers(url))
            yield day
        finally:
            process.terminate()
            process.wait(timeout=60)
            end_group(process)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/server_info").status_code == 200
    except httpx2.TransportError:
        return False


def _until(holds: Callable[[], object], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.5)


def _corrupt(request: Request, archive: SandboxServer) -> Answer | None:
    """The bytes of a file, one of them another."""
    if not request.path.startswith("/access/datafile"):
        return None
    answer = archive.answer(request)
    body = b"".join(answer.body)
    answer.body = [body[:-1] + bytes([body[-1] ^ 1])] if body else []
    return answer


def _materialize(page: Page) -> None:
    page.goto(PARTITION)
    page.get_by_role("button", name="Materialize").first.click()
    dialogue = page.get_by_role("dialog")
    dialogue.get_by_role("button", name="Launch").last.click()
    dialogue.wait_for(state="hidden")


def _hold_no_secret(day: Day, texts: list[str]) -> None:
    logs = [path.read_text(errors="replace") for path in day.folder.rglob("*") if path.is_file()]
    assert not [text for text in [*texts, *map(str, day.messages), *logs] if SECRET in text]


def test_the_day_of_an_operator(day: Day) -> None:
    texts: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=day.url)
        page.set_default_timeout(60_000)

        def seen(name: str) -> None:
            for width in (1440, 390):
                page.set_viewport_size({"width": width, "height": 900})
                page.screenshot(path=_shots(day) / f"{name}-{width}.png")
            page.set_viewport_size({"width": 1440, "height": 900})
            texts.append(page.content())

        def corrupt(request: Request) -> Answer | None:
            return _corrupt(request, day.archive)

        day.archive.faults.append(corrupt)
        _materialize(page)
        page.goto("/runs")
        page.get_by_text("Failure").first.wait_for(timeout=120_000)
        seen("run")
        _until(lambda: any("digest_and_size" in str(one) for one in day.messages))
        (alert,) = [one for one in day.messages if "digest_and_size" in one["title"]]
        assert f"{day.url}/runbook#wrong-bytes" in alert["message"]
        page.goto(CHECK)
        page.get_by_text("/runbook#wrong-bytes").first.wait_for()
        seen("check")
        page.goto(f"{day.url}/runbook#wrong-bytes")
        section = page.locator("#wrong-bytes")
        section.wait_for()
        shown = page.locator("#wrong-bytes ~ pre").first.inner_text().split("\n")
        seen("runbook")

        _until(lambda: OPEN in day.state())
        page.goto(STATE)
        page.get_by_text(OPEN).first.wait_for()
        seen("state-open")

        day.archive.faults.clear()
        (command,) = commands("wrong-bytes")
        assert command in shown
        texts.append(day.types(f"{command} --condition paclitaxel --select if_archive"))
        day.archive.faults.append(asleep)
        page.goto(CHECK)
        page.get_by_text("Passed").first.wait_for()
        seen("mended")
        # That it is over is a message of its own, up to ten minutes later: alerts.test_memory.
        _until(lambda: OPEN not in day.state())
        page.goto(STATE)
        page.get_by_text(RELEASE).first.wait_for()
        seen("state-mended")
        browser.close()
    _hold_no_secret(day, texts)


def _shots(day: Day) -> Path:
    folder = Path(os.environ.get("CM4AI_SCREENSHOTS") or day.folder / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
