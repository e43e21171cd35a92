"""mkdocs.yml for its successor (decision 47): only what both have, and our own look where it looks less closely."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from cm4ai_assets.settings import PROJECT

DOCS = PROJECT / "docs"
# What Zensical 0.0.73 reads of it. It passes over `validation` and `not_in_nav`; the tests here do that work.
UNDERSTOOD = {
    "docs_dir", "extra_css", "markdown_extensions", "nav", "not_in_nav", "plugins", "site_description", "site_dir",
    "site_name", "strict", "theme", "use_directory_urls", "validation",
}  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Of mkdocs.yml, whose functions are not called here."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def configured() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((PROJECT / "mkdocs.yml").read_text(), _Loader)
    return found


def _named(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for inner in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _named(inner)


def test_nothing_is_used_that_the_successor_lacks(configured: dict[str, Any]) -> None:
    assert set(configured) <= UNDERSTOOD
    assert {name if isinstance(name, str) else next(iter(name)) for name in configured["plugins"]} == {
        "search", "mkdocstrings",
    }  # fmt: skip
    assert "custom_dir" not in configured["theme"]
    assert configured["strict"] is True, "a link that leads nowhere fails the build of both"


def test_every_entry_of_the_navigation_is_a_page_and_every_page_is_an_entry(configured: dict[str, Any]) -> None:
    """The successor says nothing of either."""
    named = list(_named(configured["nav"]))
    assert len(named) == len(set(named))
    assert [name for name in named if not (DOCS / name).is_file()] == []
    left_out = [line.lstrip("/") for line in configured["not_in_nav"].split()]
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert {page for page in pages - set(named) if not any(fnmatch(page, one) for one in left_out)} == set()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("zensical") is None, reason="Zensical is not installed (pip install zensical)")
def test_the_successor_builds_the_same_site(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    for name in ("mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / "cm4ai_assets").symlink_to(PROJECT / "cm4ai_assets")
    words = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "site").rglob("index.html"))) == len(list(DOCS.rglob("*.md")))
