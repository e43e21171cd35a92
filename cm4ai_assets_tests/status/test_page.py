"""The page of the state: every part says something, texts stay texts, links lead into the UI, any reader can use it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cm4ai_assets.publication.html import render
from cm4ai_assets.settings import Settings
from cm4ai_assets.status import state_of
from cm4ai_assets.status.page import BESIDE, PICTURES, page_of, ui_of
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.publication.test_html import HOSTILE
from cm4ai_assets_tests.status.statuses import KEY, NOW, full, recorded, several
from cm4ai_assets_tests.validators import node


def test_every_part_says_something_and_says_when(store: Store) -> None:
    html = render(page_of(full(store))).decode()
    for text in (
        "As it was read at 2026-11-27 02:00 UTC", "1 failure, 1 warning", "Not everything could be read.",
        "2026-12-24", "The archive does not answer", "Last look 2026-11-27 01:56 UTC (4 min ago)",
        "if_quality.in_focus", f"untreated|{KEY} and 1 more", "2 runs.", "The daemon is not running", "nightly_scrub",
    ):  # fmt: skip
        assert text in html, text
    assert (
        html.count('src="data:image/png;base64,') == 4
    )  # disk, releases over time, runs by day, and that of the check


def test_links_lead_into_the_ui_from_where_the_ui_shows_the_page(store: Store) -> None:
    html = render(page_of(full(store))).decode()
    assert 'href="../../runs/x"' in html
    assert 'href="../../assets/if_archive?view=checks&amp;checkDetail=zip_safe"' in html
    assert 'href="../../runbook#a-run-failed"' in html
    of_one = 'href="../../assets/release_files?view=partitions&amp;partition=2025-09-v1.1"'
    assert render(page_of(several(store))).decode().count(of_one) == 1 + 5, "its own, and where it is shared"
    absolute = render(page_of(full(store), ui="https://cm4ai.example.org/")).decode()
    assert 'href="https://cm4ai.example.org/runs/x"' in absolute
    assert "../../" not in absolute
    assert ui_of(Settings()) == BESIDE
    assert ui_of(Settings(ui_url="http://127.0.0.1:3001", ui_port=3001)) == BESIDE
    assert ui_of(Settings(ui_url="https://cm4ai.example.org")) == "https://cm4ai.example.org"


def test_an_empty_platform_has_a_page_that_says_what_is_not_known(store: Store, tmp_path: Path) -> None:
    status = state_of(store, Settings(scratch=tmp_path / "scratch"), NOW, unknown=["There is no Dagster instance yet."])
    html = render(page_of(status)).decode()
    assert html.count("not known") >= 4
    assert "There is no Dagster instance yet." in html
    assert "None is registered." in html


def test_a_page_has_no_more_pictures_than_it_can_hold(store: Store) -> None:
    status = full(store)
    (check, *_) = recorded().checks
    checks = tuple(
        replace(check, check=f"check_{number}", since=NOW - timedelta(hours=number)) for number in range(PICTURES + 5)
    )
    html = render(page_of(replace(status, recorded=replace(recorded(), checks=checks)))).decode()
    assert html.count('src="data:image/png;base64,') == PICTURES + 3
    assert "5 more pictures stand on the checks" in html


def test_hostile_texts_stay_texts_and_the_form_is_sound(store: Store, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_bytes(render(page_of(full(store, HOSTILE))))
    html = page.read_text()
    for alive in ("<script", "<img src=x", "\u202e", "\x1b", 'href="javascript:'):
        assert alive not in html
    assert node.html_errors(page) == []


@pytest.mark.browser
def test_readers_of_any_kind_can_use_it(store: Store, tmp_path: Path) -> None:
    node.require_accessible(tmp_path / "index.html", render(page_of(full(store))))


@pytest.mark.browser
def test_on_a_desk_no_table_has_to_be_scrolled_and_no_release_is_broken(store: Store, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_bytes(render(page_of(several(store))))
    with node.opened(page, width=1440) as shown:
        for width in (1440, 1320):
            shown.set_viewport_size({"width": width, "height": 900})
            assert node.scrolled(shown) == [], width
        for width in (1440, 390):
            shown.set_viewport_size({"width": width, "height": 900})
            links = "[...document.querySelectorAll('#releases ~ .scroll a')]"
            lines = shown.evaluate(f"{links}.map(e => [e.textContent, e.getClientRects().length])")
            assert len(lines) == 5 + 5 + 1
            assert [text for text, count in lines if count != 1] == [], width
        assert node.scrolled(shown), "a table that is wider than a telephone is not found"
