"""What the pages list of each other is complete."""

from __future__ import annotations

import re

from cm4ai_assets.settings import PROJECT

DOCS = PROJECT / "docs"


def test_decisions_are_listed_with_their_titles() -> None:
    rows = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+) \|$", (DOCS / "decisions/README.md").read_text(), re.MULTILINE)
    files = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md")
    assert [(path, f"# {number}. {title}") for number, path, title in rows] == [
        (path.name, path.read_text().splitlines()[0]) for path in files
    ]


def test_the_first_page_leads_to_pages_that_are_there() -> None:
    linked = set(re.findall(r"\]\(((?:docs|benchmarks)/[^)#]+\.md)[)#]", (PROJECT / "README.md").read_text()))
    assert linked
    assert [page for page in linked if not (PROJECT / page).is_file()] == []


def test_the_site_leads_to_every_page() -> None:
    navigation = (PROJECT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    pages = {path.name for path in DOCS.glob("*.md")} | {"decisions/README.md"}
    assert set(re.findall(r"(\S+\.md)$", navigation, re.MULTILINE)) == pages
