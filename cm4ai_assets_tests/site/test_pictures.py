"""Each picture is there, small, used, and captioned by the words that the suite holds against its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from cm4ai_assets.settings import PROJECT
from cm4ai_assets_tests.browser.pictures import FOLDER, MAX_BYTES, PICTURES, Picture

DRAWN = {"way-of-data.svg", "mark.svg"}  # by the code and by hand; the first is compared where `make docs` is
_MARKDOWN = re.compile(r"!\[([^\]]*)\]\((?:docs/)?pictures/([\w.-]+)\)")
_HTML = re.compile(r'<img\s[^>]*src="(?:docs/)?pictures/([\w.-]+)"[^>]*alt="([^"]*)"')


def _uses() -> list[tuple[Path, str, str]]:
    """Page, picture and caption of every use."""
    found = []
    for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))):
        text = page.read_text()
        found += [(page, name, caption) for caption, name in _MARKDOWN.findall(text)]
        found += [(page, name, caption) for name, caption in _HTML.findall(text)]
    return found


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_there_small_and_used_with_its_caption(picture: Picture) -> None:
    assert picture.path.is_file(), "run `make pictures`"
    assert picture.path.stat().st_size <= MAX_BYTES
    assert Image.open(picture.path).format == "WEBP"
    captions = {caption for _, name, caption in _uses() if name == picture.path.name}
    assert captions == {picture.caption}


def test_no_picture_is_left_over_and_none_is_missing() -> None:
    there = {path.name for path in FOLDER.iterdir()}
    assert there == {picture.path.name for picture in PICTURES} | DRAWN
    assert {name for _, name, _ in _uses()} <= there


def test_names_and_captions_say_what_is_seen() -> None:
    assert len({picture.name for picture in PICTURES}) == len(PICTURES)
    for picture in PICTURES:
        assert picture.shows, picture.name
        assert 30 <= len(picture.caption) <= 160, picture.name
