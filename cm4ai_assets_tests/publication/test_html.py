"""Pages: hostile texts stay texts, the form is sound for validators and readers, nothing beside the page is asked."""

from __future__ import annotations

import io
import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from cm4ai_assets.publication.blocks import (
    Badge,
    Bullets,
    Code,
    Definitions,
    Facts,
    Figure,
    Link,
    Mono,
    Note,
    Page,
    Section,
    Strong,
    Table,
    Text,
    table_of,
)
from cm4ai_assets.publication.html import render
from cm4ai_assets_tests.validators import node

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\u202egpj.exe\x1b[31m\x00 & \"quoted\" 'single'"


def picture(width: int = 40) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, 20), "#2a5fd0").save(target, "PNG")
    return target.getvalue()


def everything(text: str) -> Page:
    """A page with each block and piece, and the same text wherever a text can stand."""
    inner = Section(f"Inner {text}", (Text(text), Section(f"Innermost {text}", (Text(text),))))
    cells = [[text, Mono(text), 1_234, 0.5, None], [Link(text, "https://doi.org/10.5072/x"), text, 7, 2.0, True]]
    blocks = (
        Text([text, Strong(text), Mono(text), Badge(text, "warning"), Link(text, "#second")]),
        Text(Link(text, f"javascript:{text}")),
        Note(text),
        Bullets([text, [Link(text, "https://doi.org/10.5072/x"), " and ", text]]),
        Bullets([text], ordered=True),
        Definitions([(text, text)]),
        Facts([(text, 12_859), (f"{text} 2", Badge("Warning", "bad"))]),
        Table(f"Files {text}", ["name", "code", "number", "share", "more"], cells),
        Table(f"Wide {text}", [f"column {n}" for n in range(30)], [[text] * 30] * 3),
        Figure(picture(3000), "image/png", text, [text, Mono(text)]),
        Code(f"first = 1\n{text}\n" + "x" * 400, f"Code {text}"),
    )
    return Page(f"Title {text}", (Section("First", (*blocks, inner)), Section("Second", ())), text, [text])


def test_hostile_texts_stay_texts() -> None:
    html = render(everything(HOSTILE)).decode()
    for alive in ("<script", "<img src=x", "onerror=alert(1)>", "\u202e", "\x1b", "\x00", 'href="javascript:'):
        assert alive not in html
    assert html.count("</title>") == 1
    assert "&lt;script&gt;" in html
    assert "\N{REPLACEMENT CHARACTER}gpj.exe" in html


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//evil.example/x", "/etc/passwd",
                                     "https://a b", "http://[::1", "vbscript:x", "java\nscript:x"])  # fmt: skip
def test_an_address_of_another_kind_is_no_link(address: str) -> None:
    html = render(Page("t", (Section("s", (Text(Link("here", address)),)),))).decode()
    assert "<p>here</p>" in html


def test_the_same_page_gives_the_same_bytes() -> None:
    assert render(everything("x")) == render(everything("x"))


def test_ids_are_unique_and_links_within_the_page_arrive() -> None:
    twice = Page("t", (Section("Files", (Text(Link("there", "#files-2")),)), Section("Files", ())))
    html = render(twice).decode()
    assert 'id="files"' in html
    assert 'id="files-2"' in html
    with pytest.raises(ValueError, match="links lead to sections that are not there: nowhere"):
        render(Page("t", (Section("Files", (Text(Link("there", "#nowhere")),)),)))


def test_a_picture_without_a_description_and_a_row_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="no description"):
        render(Page("t", (Section("s", (Figure(picture(), "image/png", " ", "c"),)),)))
    with pytest.raises(ValueError, match="has not 2 cells"):
        render(Page("t", (Section("s", (Table("c", ["a", "b"], [["1"]]),)),)))


def test_a_frame_says_how_many_rows_are_not_shown() -> None:
    frame = pl.DataFrame({"file_name": [f"f{n}" for n in range(30)], "flags": [["a", "b"]] * 30})
    table = table_of(frame, "Files", shown=2)
    assert table.caption == "Files (2 of 30 rows)"
    assert table.columns == ["file name", "flags"]
    assert table.rows == [["f0", "a, b"], ["f1", "a, b"]]


def test_what_is_short_stands_in_one_line_and_numbers_to_the_right() -> None:
    rows = [
        [Link("2026-06-v2.0", "a.html"), Badge("registered"), date(2026, 6, 17), [Badge("shared"), " so"], 7, "x" * 15],
        ["f", None, date(2026, 6, 18), None, 1_043, "x"],
    ]
    html = render(Page("A page", (Section("One", [Table("All", list("abcdef"), rows)]),))).decode()
    assert re.findall(r'<th scope="col"(?: class="(\w+)")?>(\w)', html) == [
        ("short", "a"), ("short", "b"), ("short", "c"), ("", "d"), ("number", "e"), ("", "f"),
    ]  # fmt: skip
    assert html.count('class="short"') == 3 + 2 * 3
    assert html.count('class="number"') == 1 + 2


def test_the_form_is_sound(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_bytes(render(everything(HOSTILE)))
    assert node.html_errors(page) == []


def test_html_validate_finds_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_bytes(render(everything("x")).replace(b"<tbody>", b"<tbody><td>stray</td>"))
    assert node.html_errors(page) != []


@pytest.mark.browser
def test_readers_of_any_kind_can_use_it(tmp_path: Path) -> None:
    node.require_accessible(page := tmp_path / "index.html", render(everything(HOSTILE)))
    with node.opened(page, width=390) as shown:
        shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.textContent") == "Skip to the content"
        shown.keyboard.press("Enter")
        assert shown.evaluate("document.activeElement.id") == "content"
        focused = set()
        for _ in range(40):
            shown.keyboard.press("Tab")
            focused.add(shown.evaluate("document.activeElement.className"))
        assert "scroll" in focused  # what is wider than the page is reached and scrolled by keys


@pytest.mark.browser
def test_axe_finds_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_bytes(render(everything("x")).replace(b"--faint: #4f5963", b"--faint: #c0c0c0"))
    with node.opened(page, width=1440) as shown:
        assert any(one.startswith("color-contrast") for one in node.axe_violations(shown))
