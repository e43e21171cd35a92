"""Hostile texts at the border: shown as they are, on one line, and obeyed by neither terminal nor page."""

from __future__ import annotations

import io
import logging
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table as Grid

from cm4ai_assets.cli.terminal import PlainConsole
from cm4ai_assets.defs import checks, pages
from cm4ai_assets.defs.loggers import _Line
from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.findings import Finding
from cm4ai_assets.plain import for_markdown, for_terminal, from_markdown, size_in_words

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])  # what GitHub adds inside a line and around it
HOSTILE = {
    "an escape sequence": "a\x1b[2Jb",
    "a C1 control": "a\x9b31mb",
    "a bell and a backspace": "a\a\bb",
    "a right-to-left override": "a\u202egpj.exe",
    "an isolate": "a\u2066b",
    "a zero-width space": "a\u200bb",
    "a zero-width joiner": "a\u200db",
    "a byte order mark": "a\ufeffb",
    "a soft hyphen": "a\u00adb",
    "a variation selector": "a\ufe0fb",
    "a Hangul filler": "a\u3164b",
    "a tag character": "a\U000e0041b",
    "half a character": "a\ud800b",
    "a private character": "a\ue000b",
}
MARKUP = [
    "[x](javascript:alert(1))", "![x](http://e.org/p.png)", "<img src=x>", "**bold**", "`code`", "a | b", "~~gone~~",
    "__init__", "_x_", "&lt;b&gt;", "\\[x\\]", "$x$", "<http://e.org>", "a\\",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_acts_on_a_terminal_or_cannot_be_seen_is_replaced(text: str) -> None:
    shown = for_terminal(text)
    assert "\N{REPLACEMENT CHARACTER}" in shown
    assert shown.isprintable()
    assert shown.startswith("a")


def test_blanks_of_all_kinds_are_blanks_and_letters_stay_what_they_are() -> None:
    assert for_terminal("a\tb\r\nc\u2028d\u00a0e\u3000f") == "a b  c d e f"
    assert for_terminal("Zürich 東京 β→λ é [x] 😀") == "Zürich 東京 β→λ é [x] 😀"


@given(st.text())
def test_every_text_is_one_printable_line_and_stays_that(text: str) -> None:
    shown = for_terminal(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert for_terminal(shown) == shown


@pytest.mark.parametrize("text", MARKUP)
def test_markdown_shows_the_text_itself(text: str) -> None:
    (paragraph,) = [token for token in MARKDOWN.parse(f"x {for_markdown(text)}") if token.type == "inline"]
    kinds = {token.type for token in paragraph.children or ()}
    assert kinds <= {"text", "text_special"}
    assert "".join(token.content for token in paragraph.children or ()) == f"x {text}"


@pytest.mark.parametrize("text", [*MARKUP, "a\nb"])
def test_a_cell_stays_in_its_table(text: str) -> None:
    page = str(rows(pl.DataFrame({"one": [text], text: ["two"]})).value)
    tokens = MARKDOWN.parse(page)
    cells = [after.content for before, after in pairwise(tokens) if before.type == "td_open"]
    assert len(cells) == 2
    assert [token.type for token in tokens].count("tr_open") == 2


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1.00 kB"), (4_067_695_317, "4.07 GB"), (10**18, "1000.00 PB")],
)
def test_sizes_in_words(number: int, words: str) -> None:
    assert size_in_words(number) == words
    page = str(
        rows(pl.DataFrame({"size": [number, None], "previous_size": [None, number], "rows": [number] * 2})).value
    )
    assert page.splitlines()[2] == f"| {words} |  | {number} |"


def test_file_names_look_the_same_in_the_source_of_a_page() -> None:
    assert for_markdown("cm4ai_ifimages_MDA-MB-468_paclitaxel.zip") == "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"


def test_the_text_of_a_picture_cannot_leave_it() -> None:
    page = str(picture(b"", alt="a](javascript:x) [b", mime="image/png").value)
    (paragraph,) = [token for token in MARKDOWN.parse(page) if token.type == "inline"]
    assert [token.type for token in paragraph.children or ()] == ["image"]


@pytest.mark.parametrize("text", ["[/x]", "[red]not red[/red]", "a\x1b[31mb", ":smile:", "\u202etxt"])
def test_the_console_prints_texts_and_tables_as_they_are(text: str) -> None:
    console = PlainConsole()
    console.file = io.StringIO()
    console.print(f"{text}\nnext")
    grid = Grid("title", box=None)
    grid.add_row(text)
    console.print(grid)
    shown = console.file.getvalue()
    assert shown.count(for_terminal(text)) == 2
    assert "\x1b" not in shown
    assert "\nnext\n" in shown


def test_a_line_of_the_log_is_one_line() -> None:
    record = logging.LogRecord("cm4ai", logging.INFO, "", 0, "title \x1b[31m\nsecond", None, None)
    assert _Line().format(record) == "title \N{REPLACEMENT CHARACTER}[31m second"


@given(st.text())
def test_what_was_escaped_for_markdown_is_read_back(text: str) -> None:
    assert from_markdown(for_markdown(text)) == for_terminal(text)


def test_what_a_check_without_partitions_found_is_numbers_and_plain_text() -> None:
    found = Finding("late", passed=False, summary="[x](http://evil.example/)", counts={"too late": 3})
    shown = checks.evaluation("collection", found)
    assert shown.description == r"\[x\](http://evil.example/)"
    assert shown.metadata["too_late"].value == 3  # which Dagster plots over time


def test_failures_and_metadata_act_on_nothing() -> None:
    assert (
        pages.failure("a\x1b[31mb\n\u202ec").description == "a\N{REPLACEMENT CHARACTER}[31mb \N{REPLACEMENT CHARACTER}c"
    )
    assert pages.texts({"label": "a\x1bb\nc", "rows": 3}) == {"label": "a\N{REPLACEMENT CHARACTER}b\nc", "rows": 3}
