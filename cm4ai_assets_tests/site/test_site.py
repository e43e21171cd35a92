"""The site as a reader gets it: built once, read as files, and opened in headless Chromium on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import pytest

from cm4ai_assets.settings import PROJECT
from cm4ai_assets.tables import ALL
from cm4ai_assets_tests.validators.node import CHROMIUM, axe_violations

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZES = ((1440, 900), (390, 844))
OF_THE_THEME = ("aria-dialog-name ", "landmark-unique ")  # its markup; templates are not overridden (decision 47)
JUDGED = ("", "tutorial/")
READ = ("", "tutorial/", "concepts/", "data-dictionary/", "api/", "add-a-condition/")
PUBLIC = (
    "access.open_release",
    "access.Release.fields",
    "access.Release.loader",
    "cells.crops.Cells",
    "peeking.peek_version",
    "loading.labels.Labels",
    "settings.Settings",
    "errors.NotMaterializedError",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed (the extra docs)"),
]
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None, reason="Chromium or playwright is not installed"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` builds it: a warning is a failure."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PROJECT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - optional

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    """A page that fails the test where a script fails, or where it asks another host for anything."""
    page = browser.new_page(base_url=url)
    page.set_default_timeout(30_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda asked: errors.append(asked.url) if not asked.url.startswith((url, "data:")) else None)
    page.on("response", lambda got: errors.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    yield page
    page.close()
    assert errors == []


def _pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_of_the_docs_is_on_the_site(site: Path) -> None:
    docs = PROJECT / "docs"
    for source in docs.rglob("*.md"):
        name = source.relative_to(docs).with_suffix("")
        folder = name.parent if name.name in {"index", "README"} else name
        assert (site / folder / "index.html").is_file(), source


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    loaded = re.compile(
        r"<(?:script|img|iframe|source|video|audio|object|embed)\b[^>]*?\b(?:src|srcset|data)\s*=\s*[\"']?(?:https?:)?//"
        r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon|prefetch))[^>]*?\bhref=[\"']?(?:https?:)?//"
        r"|url\(\s*[\"']?(?:https?:)?//|@import\s+[\"']?(?:https?:)?//",
        re.IGNORECASE,
    )
    files = [*_pages(site), *site.rglob("*.css"), *site.rglob("*.svg")]
    assert len(files) > 40
    assert [(file.name, hit[0]) for file in files if (hit := loaded.search(file.read_text()))] == []
    assert loaded.search('<link href="https://fonts.example/a.css" rel="stylesheet">')
    assert loaded.search('<script async src="//cdn.example/a.js">')


def test_links_of_the_built_pages_lead_to_pages_and_anchors(site: Path) -> None:
    """Also those that no Markdown page has: of the navigation, and between the parts of the API."""
    texts = {file: file.read_text() for file in _pages(site) if file.name != "404.html"}
    ids = {file: set(re.findall(r'\bid="([^"]+)"', text)) for file, text in texts.items()}
    broken = []
    for file, text in texts.items():
        base = "http://site/" + str(file.relative_to(site))
        for link in set(re.findall(r'<a\b[^>]*?\bhref="([^"]+)"', text)):
            parts = urlsplit(urljoin(base, link.replace("&amp;", "&")))
            if parts.netloc != "site":
                continue
            target = site / parts.path.lstrip("/")
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (parts.fragment and parts.fragment not in ids.get(target, set())):
                broken.append((str(file.relative_to(site)), link))
    assert broken == []


def test_each_column_is_in_the_index_of_the_search(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    dictionary = {entry["location"]: entry["text"] for entry in entries if "data-dictionary/" in entry["location"]}
    for table in ALL:
        text = dictionary[f"data-dictionary/#{table.name}"]
        assert [column.name for column in table.columns if column.name not in text] == [], table.name


def test_the_api_has_what_is_public(site: Path) -> None:
    text = (site / "api" / "index.html").read_text()
    for name in PUBLIC:
        assert f'id="cm4ai_assets.{name}"' in text, name
    assert "Raises:" in text


@in_a_browser
@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
def test_pages_are_readable_on_a_wide_and_on_a_narrow_window(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    screenshots = os.environ.get("CM4AI_SCREENSHOTS")
    for path in READ:
        page.goto(path or "./")
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
        seen = "[...document.images].filter(i => i.complete && !i.naturalWidth && i.loading != 'lazy').map(i => i.src)"
        assert page.evaluate(seen) == [], path
        assert page.evaluate("[...document.images].filter(i => !i.alt).map(i => i.src)") == [], path
        if screenshots:
            page.screenshot(path=Path(screenshots) / f"site-{path.strip('/') or 'home'}-{size[0]}.png")


@in_a_browser
@pytest.mark.browser
def test_a_search_for_a_column_finds_its_table(page: Page) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("./")
    page.get_by_placeholder("Search").click()
    page.get_by_text("Type to start searching").wait_for()
    page.get_by_placeholder("Search").press_sequentially("knockdown_low")  # it looks at keys, not at what is filled in
    hit = page.locator(".md-search-result__link").first
    hit.wait_for()
    assert "perturb_targets" in page.locator(".md-search-result__list").inner_text()
    hit.click()
    page.wait_for_url("**/data-dictionary/**")


@in_a_browser
@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "palette"), [("light", "default"), ("dark", "slate")])
def test_pages_follow_the_reader_s_colours_and_are_accessible(
    browser: Any, url: str, scheme: str, palette: str
) -> None:
    page = browser.new_page(base_url=url, color_scheme=scheme)
    for path in JUDGED:
        page.goto(path or "./")
        assert page.locator("body").get_attribute("data-md-color-scheme") == palette
        found = [one for one in axe_violations(page) if not one.startswith(OF_THE_THEME)]
        assert found == [], path
    page.close()
