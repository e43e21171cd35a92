"""The UI as an operator sees it: `make ui` started, pages opened in headless Chromium, a run launched by clicks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import service_variables
from cm4ai_assets_tests.browser.pictures import MAX_BYTES, PICTURES, Picture, folder_of, take
from cm4ai_assets_tests.browser.quiet import asleep
from cm4ai_assets_tests.processes import end_group
from cm4ai_assets_tests.validators.node import CHROMIUM, NO_CHROMIUM

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
PROJECT = Path(__file__).resolve().parents[2]
RELEASE = "2026-06-v2.0"
# What the pages show that are opened here. A picture in the documentation shows a release that is whole.
OPENED = (
    ("--condition", "paclitaxel", "--select",
     "group:images or key:release_files or key:datasheet_report or key:platform_status"),
)  # fmt: skip
WHOLE = (("--condition", "paclitaxel"), ("--select", "platform_status"))

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM),
]


@dataclass
class Served:
    url: str
    environ: dict[str, str]
    screenshots: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sandbox: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("ui")
    screenshots = Path(os.environ.get("CM4AI_SCREENSHOTS") or folder / "screenshots")
    screenshots.mkdir(parents=True, exist_ok=True)
    with SandboxServer(sandbox) as archive:
        environ = {
            **os.environ,
            **service_variables(archive.url),
            "CM4AI_STORAGE": str(folder / "storage"),
            "CM4AI_SCRATCH": str(folder / "scratch"),
            "DAGSTER_HOME": str(folder / "home"),
        }
        for what in WHOLE if os.environ.get("CM4AI_PICTURES") else OPENED:
            words = [sys.executable, "-m", "cm4ai_assets.cli", "materialize", "--release", RELEASE, *what]
            subprocess.run(words, env=environ, check=True, capture_output=True, cwd=PROJECT)
        if not os.environ.get("CM4AI_PICTURES"):  # a picture shows an archive that answers
            archive.faults.append(asleep)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "cm4ai_assets.ui", "--port", str(port)],
            env=environ, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url)
            yield Served(url, environ, screenshots)
        finally:
            process.terminate()
            process.wait(timeout=60)
            end_group(process)


def _wait_for(url: str) -> None:
    for _ in range(120):
        try:
            if httpx2.get(f"{url}/server_info").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.5)
    pytest.fail(f"{url} did not come up")


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(served: Served, browser: playwright.Browser, request: pytest.FixtureRequest) -> Iterator[playwright.Page]:
    """A page of its own context: nothing of another test is remembered."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000}, base_url=served.url)
    page.set_default_timeout(30_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.screenshot(path=served.screenshots / f"{request.node.name}.png")
    page.close()
    assert errors == []


def _open_partition(page: playwright.Page, asset: str) -> None:
    page.goto(f"/assets/{asset}?view=partitions&partition=paclitaxel%7C{RELEASE}")
    page.get_by_text("Latest materialization").wait_for()


def _picture(page: playwright.Page, label: str) -> tuple[int, int]:
    """Open the metadata entry of that label and measure the picture in it."""
    row = page.get_by_role("row").filter(has_text=label).filter(has_text="[Show Markdown]").last
    row.get_by_text("[Show Markdown]").click()
    picture = page.locator("img[src^='data:image/']").last
    picture.wait_for()
    return tuple(picture.evaluate("img => [img.naturalWidth, img.naturalHeight]"))


def test_the_lineage_shows_the_path_with_its_checks(page: playwright.Page) -> None:
    page.set_viewport_size({"width": 3200, "height": 2000})  # Dagster leaves checks out of a graph that it makes small
    page.goto("/locations/cm4ai_assets/asset-groups/images/lineage")
    for asset in ("if_archive", "if_images", "if_antibodies", "if_fields", "if_tensors", "if_quality", "if_cells"):
        page.get_by_text(asset, exact=True).first.wait_for()
    page.get_by_text("Asset checks").first.wait_for()


def test_the_page_of_the_fields_shows_a_contact_sheet(page: playwright.Page) -> None:
    _open_partition(page, "if_fields")
    page.get_by_text("dagster/row_count").wait_for()
    width, height = _picture(page, "contact_sheet")
    assert width > 300
    assert height > 100


def test_the_page_of_the_quality_shows_intensities(page: playwright.Page) -> None:
    _open_partition(page, "if_quality")
    width, _ = _picture(page, "intensities")
    assert width > 500


def test_the_page_of_the_archive_shows_where_the_bytes_come_from(page: playwright.Page) -> None:
    _open_partition(page, "if_archive")
    for text in ("doi:10.5072/", "published MD5", "sha256", "CC BY-NC-SA 4.0"):
        page.get_by_text(text).first.wait_for()


def test_a_warning_check_lists_rows_and_shows_them(page: playwright.Page) -> None:
    page.goto("/assets/if_images?view=checks&checkDetail=images_of_this_condition")
    page.get_by_text("No image of another treatment lies in the ZIP").wait_for()
    # Not the latest execution: the daemon may be at work on another condition.
    page.get_by_text("Execution history", exact=True).click()
    row = page.get_by_role("row").filter(has_text="paclitaxel").filter(has_text="other_condition 5")
    row.last.get_by_role("button").last.click()
    dialogue = page.get_by_role("dialog")
    dialogue.get_by_text("offending").first.wait_for()
    dialogue.get_by_text("[Show Markdown]").click()
    page.get_by_text("untreated_C2_R3_z02_red.jpg").first.wait_for()


def test_the_columns_tab_explains_the_table(page: playwright.Page) -> None:
    page.goto("/assets/if_fields?view=overview")
    page.get_by_text("Row of this field in the tensor").first.wait_for()


def test_a_partition_is_materialized_by_clicks(page: playwright.Page, served: Served) -> None:
    page.goto(f"/assets/if_archive?view=partitions&partition=untreated%7C{RELEASE}")
    page.get_by_role("button", name="Materialize").first.click()
    dialogue = page.get_by_role("dialog")
    dialogue.wait_for()
    page.screenshot(path=served.screenshots / "launch_dialogue.png")
    dialogue.get_by_role("button", name="Launch").last.click()
    stored = Path(served.environ["CM4AI_STORAGE"])
    target = stored / "tables" / "if_archive" / f"release={RELEASE}" / "condition=untreated" / "data.parquet"
    for _ in range(180):
        if target.exists():
            break
        time.sleep(0.5)
    assert target.exists()
    page.goto("/runs")
    page.get_by_text("Success").first.wait_for(timeout=60_000)


def test_the_page_of_the_report_leads_to_the_report(page: playwright.Page) -> None:
    page.goto(f"/assets/datasheet_report?view=partitions&partition={RELEASE}")
    page.get_by_role("link", name="index.html").click()
    page.wait_for_url(f"**/documents/datasheet_report/{RELEASE}/")
    page.get_by_role("heading", name="Contact sheets").wait_for()
    page.get_by_role("link", name="CITATION.cff").first.click()
    page.get_by_text("cff-version: 1.2.0").wait_for()


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_page_shows_what_the_caption_of_its_picture_names(
    page: playwright.Page, served: Served, picture: Picture
) -> None:
    assert take(page, picture, folder_of(served.screenshots)).stat().st_size <= MAX_BYTES
