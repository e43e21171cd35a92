"""A page is the same in the repository and on the site, and its links lead somewhere in both. No site is built here."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from markdown_it import MarkdownIt

from cm4ai_assets.settings import PROJECT

markdown = pytest.importorskip("markdown", reason="mkdocs is not installed")
slugs = pytest.importorskip("pymdownx.slugs", reason="mkdocs-material is not installed")

DOCS = PROJECT / "docs"
PAGES = tuple(sorted(DOCS.rglob("*.md")))
OTHERS = (*sorted(PROJECT.glob("*.md")), PROJECT / "benchmarks" / "README.md")
COUNTED = ("h1", "h2", "h3", "h4", "li", "tr", "td", "pre", "img")
_SLUG = slugs.slugify(case="lower")


class _Page(HTMLParser):
    """What a rendered page consists of: tags, links, ids, and the text of headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.headings: list[str] = []
        self._in: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        found = dict(attrs)
        self.links += [str(found[name]) for name in ("href", "src") if name in found]
        if re.fullmatch(r"h[1-6]", tag):
            self._in = tag
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = None if tag == self._in else self._in

    def handle_data(self, data: str) -> None:
        if self._in:
            self.headings[-1] += data


def _text(page: Path) -> str:
    """Without what only the site's plugins fill in."""
    return re.sub(r"^(:::|--8<--).*(\n    .*)*$", "", page.read_text(), flags=re.MULTILINE)


def _on_a_forge(text: str) -> _Page:
    return _Page(MarkdownIt("commonmark").enable("table").render(text))


def _on_the_site(text: str) -> _Page:
    class Loader(yaml.SafeLoader):
        """Of mkdocs.yml, whose functions are not called here."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    configured = yaml.load((PROJECT / "mkdocs.yml").read_text(), Loader)["markdown_extensions"]
    names = {name if isinstance(name, str) else next(iter(name)) for name in configured}
    return _Page(markdown.markdown(text, extensions=sorted(names - {"toc", "pymdownx.snippets"})))


def _anchors(page: Path) -> set[str]:
    """As a forge makes them: of headings that are alike, the second gets a number."""
    found: Counter[str] = Counter()
    anchors = set()
    for heading in _on_a_forge(_text(page)).headings:
        slug = _SLUG(heading, "-")
        anchors.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_has_the_same_parts_in_the_repository_and_on_the_site(page: Path) -> None:
    text = _text(page)
    forge, site = _on_a_forge(text), _on_the_site(text)
    assert {tag: site.tags[tag] for tag in COUNTED} == {tag: forge.tags[tag] for tag in COUNTED}


def test_a_list_that_only_a_forge_sees_is_noticed() -> None:
    text = "Rules:\n- one\n- two\n"
    assert (_on_a_forge(text).tags["li"], _on_the_site(text).tags["li"]) == (2, 0)


def _broken(page: Path, link: str) -> str | None:
    """Why a link leads nowhere; None if it does not. Other hosts are only read, not asked."""
    parts = urlsplit(link)
    if parts.scheme in {"http", "https"}:
        return None if re.fullmatch(r"[\w.-]+\.[a-z]{2,}(:\d+)?", parts.netloc) else "no host"
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        return "neither a web address nor a file beside the page"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.exists():
        return "no such file"
    if page.is_relative_to(DOCS) and not target.is_relative_to(DOCS):
        return "outside docs/, where the site does not see it"
    if parts.fragment and target.suffix == ".md" and parts.fragment not in _anchors(target):
        return f"no such heading: {parts.fragment}"
    return None


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    found = _on_a_forge(_text(page)).links
    assert {link: why for link in found if (why := _broken(page, link))} == {}


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("loading.md#exports", None),
        ("loading.md#exportz", "no such heading: exportz"),
        ("nowhere.md", "no such file"),
        ("../README.md", "outside docs/, where the site does not see it"),
        ("/loading.md", "neither a web address nor a file beside the page"),
        ("https://dagster.io", None),
        ("https://dagster", "no host"),
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(link: str, why: str | None) -> None:
    assert _broken(DOCS / "index.md", link) == why
