"""Self-contained pages: one HTML file of typed blocks that needs no network, no script and no other file.

Belongs here: how blocks become HTML5. Does not belong here: the blocks (`blocks`), what a page says (`report`,
`readiness`), how it looks (`page.css`), drawing its pictures.

A page is a tree of elements, never text put together: what an archive says can only become text or an attribute's
value. Why no template engine: docs/decisions/0034.

>>> page = Page("A release", (Section("Files", (Text("Two files."),)),), summary="What is in it.")
>>> render(page).startswith(b"<!DOCTYPE html>")
True
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from cm4ai_assets.heavy import Image
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.publication.blocks import (
    ABSENT,
    Badge,
    Block,
    Bullets,
    Code,
    Content,
    Definitions,
    Facts,
    Figure,
    Inline,
    Link,
    Mono,
    Note,
    Page,
    Section,
    Strong,
    Table,
    Text,
    Value,
)

_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
_EMPTY: Final = "(empty)"
_SHORT: Final = 14
_SCHEMES: Final = frozenset({"http", "https", "mailto"})
_VOID: Final = frozenset({"meta", "link", "img"})
_SEPARATE: Final = frozenset({"p", "li", "tr", "table", "div", "figure", "section", "dd", "ul", "ol", "dl", "h2", "h3"})


def render(page: Page) -> bytes:
    """A page as HTML5 in UTF-8; the same bytes for the same page.

    Raises:
        ValueError: A link leads to a section that is not there, a picture has no description, or a row of a table has
            not as many cells as there are columns.
    """
    return _Writer().page(page)


class _Writer:
    """Writes one page. It knows the ids that are taken, and the sections that links lead to."""

    def __init__(self) -> None:
        self._ids: set[str] = {"content", "contents"}
        self._wanted: set[str] = set()

    def page(self, page: Page) -> bytes:
        sections = [self._section(section, 2) for section in page.sections]
        heads = [(section[0].get("id", ""), one.title) for section, one in zip(sections, page.sections, strict=True)]
        summary = [_element("p", page.summary, attributes={"class": "summary"})] if page.summary else []
        footer = _element("footer", _element("p", *self._content(page.footer)))
        body = _element(
            "body",
            _element("a", "Skip to the content", attributes={"class": "skip", "href": "#content"}),
            _element("header", _element("h1", page.title), *summary),
            _contents(heads),
            _element("main", *sections, attributes={"id": "content", "tabindex": "-1"}),
            *([footer] if page.footer else []),
        )
        missing = sorted(self._wanted - self._ids)
        if missing:
            raise ValueError(f"links lead to sections that are not there: {', '.join(missing)}")
        html = _element("html", _head(page), body, attributes={"lang": "en"})
        return f"<!DOCTYPE html>\n{''.join(_written(html))}\n".encode()

    def _section(self, section: Section, level: int) -> Element:
        heading = _element(f"h{level}", section.title, attributes={"id": self._id(section.title)})
        return _element("section", heading, *self._blocks(section.blocks, level))

    def _blocks(self, blocks: Iterable[Block], level: int) -> Iterator[Element]:
        for block in blocks:
            yield self._section(block, level + 1) if isinstance(block, Section) else self._block(block)

    def _block(self, block: Block) -> Element:
        match block:
            case Text(content):
                made = _element("p", *self._content(content))
            case Note(content):
                made = _element("p", *self._content(content), attributes={"class": "note"})
            case Bullets(items, ordered):
                listed = [_element("li", *self._content(item)) for item in items]
                made = _element("ol" if ordered else "ul", *listed)
            case Definitions(pairs):
                made = _element("dl", *self._pairs(pairs))
            case Facts(pairs):
                boxes = [_element("div", *self._pairs([pair])) for pair in pairs]
                made = _element("dl", *boxes, attributes={"class": "facts"})
            case Table():
                made = self._table(block)
            case Figure():
                made = self._figure(block)
            case Code(text, label):
                made = _scrolling(_element("pre", _element("code", text, lines=True)), label=_shown(label))
            case Section():
                made = self._section(block, 3)
        return made

    def _pairs(self, pairs: Iterable[tuple[str, Content]]) -> Iterator[Element]:
        for name, content in pairs:
            yield _element("dt", name)
            yield _element("dd", *self._content(content))

    def _table(self, table: Table) -> Element:
        if any(len(row) != len(table.columns) for row in table.rows):
            raise ValueError(f"a row of {table.caption!r} has not {len(table.columns)} cells")
        kinds = [_kind([row[at] for row in table.rows]) for at in range(len(table.columns))]
        heads = [_element("th", name, attributes={"scope": "col", **kind})
                 for name, kind in zip(table.columns, kinds, strict=True)]  # fmt: skip
        body = [_element("tr", *self._cells(row, kinds, table.absent)) for row in table.rows]
        caption = self._id(table.caption)
        whole = _element(
            "table",
            _element("caption", _element("span", table.caption, attributes={"id": caption})),
            _element("thead", _element("tr", *heads)),
            _element("tbody", *body),
        )
        return _scrolling(whole, labelled_by=caption)

    def _cells(self, row: Sequence[Content], kinds: Sequence[dict[str, str]], absent: str) -> Iterator[Element]:
        for at, (content, kind) in enumerate(zip(row, kinds, strict=True)):
            # An empty head of a row would say nothing to who hears the table.
            pieces = list(self._content(None, _EMPTY) if content == "" else self._content(content, absent))
            head = {"scope": "row", **kind}
            yield _element("td", *pieces, attributes=kind) if at else _element("th", *pieces, attributes=head)

    def _figure(self, figure: Figure) -> Element:
        if not figure.alt.strip():
            raise ValueError("a picture has no description")
        with Image.open(io.BytesIO(figure.data)) as picture:
            width, height = picture.size
        source = f"data:{figure.mime};base64,{base64.b64encode(figure.data).decode()}"
        size = {"width": str(width), "height": str(height)}
        image = _element("img", attributes={"src": source, "alt": _shown(figure.alt), **size})
        return _element("figure", image, _element("figcaption", *self._content(figure.caption)))

    def _content(self, content: Content, absent: str = ABSENT) -> Iterator[Element | str]:
        pieces = content if isinstance(content, Sequence) and not isinstance(content, str) else [content]
        for piece in pieces:
            yield self._inline(piece, absent)

    def _inline(self, piece: Inline, absent: str) -> Element | str:
        match piece:
            case None:
                return _element("span", absent, attributes={"class": "absent"})
            case Link(text, to):
                return self._link(text, to)
            case Strong(text):
                return _element("strong", text)
            case Mono(text):
                return _element("code", text)
            case Badge(text, kind):
                return _element("span", text, attributes={"class": f"badge {kind}"})
            case _:
                return _in_words(piece)

    def _link(self, text: str, to: str) -> Element | str:
        if to.startswith("#"):
            self._wanted.add(to[1:])
        return _element("a", text, attributes={"href": to}) if _may_lead_to(to) else text

    def _id(self, text: str) -> str:
        """An id that is taken by nothing else on the page: the words of the text."""
        words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        base = words if words[:1].isalpha() else f"part-{words}".rstrip("-")
        one, number = base, 2
        while one in self._ids:
            one, number = f"{base}-{number}", number + 1
        self._ids.add(one)
        return one


def _head(page: Page) -> Element:
    style = Element("style")
    style.text = files("cm4ai_assets.publication").joinpath("page.css").read_text("utf-8")
    return _element(
        "head",
        Element("meta", {"charset": "utf-8"}),
        _element("title", page.title),
        Element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        Element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        Element("meta", {"name": "color-scheme", "content": "light dark"}),
        *([Element("meta", {"name": "description", "content": _shown(page.summary)})] if page.summary else []),
        Element("link", {"rel": "icon", "href": "data:,"}),  # else browsers ask for one
        style,
    )


def _contents(heads: Sequence[tuple[str, str]]) -> Element:
    items = [_element("li", _element("a", title, attributes={"href": f"#{one}"})) for one, title in heads]
    title = _element("h2", "Contents", attributes={"id": "contents"})
    return _element("nav", title, _element("ol", *items), attributes={"aria-labelledby": "contents"})


def _scrolling(inner: Element, *, labelled_by: str = "", label: str = "") -> Element:
    """What may be wider than the page, in a region of its own that the keyboard reaches and scrolls."""
    name = {"aria-labelledby": labelled_by} if labelled_by else {"aria-label": label}
    return _element("div", inner, attributes={"class": "scroll", "role": "group", "tabindex": "0", **name})


def _element(
    tag: str, *children: Element | str, attributes: dict[str, str] | None = None, lines: bool = False
) -> Element:
    """An element. Texts pass the border here: nothing in them acts, nothing is invisible; `lines` stay lines."""
    made, last = Element(tag, attributes or {}), None
    for child in children:
        if isinstance(child, str):
            text = "\n".join(map(_shown, child.split("\n"))) if lines else _shown(child)
            if last is None:
                made.text = (made.text or "") + text
            else:
                last.tail = (last.tail or "") + text
        else:
            made.append(child)
            last = child
            last.tail = "\n" if child.tag in _SEPARATE else None
    return made


def _written(element: Element) -> Iterator[str]:
    """The text of an element. Not by the standard library, whose HTML leaves `<` in attributes."""
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.items())
    yield f"<{element.tag}{attributes}>"
    if element.tag not in _VOID:
        text = element.text or ""
        yield text if element.tag == "style" else escape(text, quote=False)
        for child in element:
            yield from _written(child)
        yield f"</{element.tag}>"
    yield escape(element.tail or "", quote=False)


def _shown(text: str) -> str:
    return for_terminal(text)


def _may_lead_to(address: str) -> bool:
    """An address that a page may link to: of a known scheme, within the page, or a file beside it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if not address.isprintable() or " " in address:
        return False
    return parts.scheme in _SCHEMES or (not parts.scheme and not parts.netloc and not address.startswith("/"))


def _kind(cells: Sequence[Content]) -> dict[str, str]:
    """How a column is set: numbers to the right, and short values in no more room than they take."""
    if _is_numeric(cells):
        return {"class": "number"}
    return {"class": "short"} if all(map(_is_short, cells)) else {}


def _is_short(cell: Content) -> bool:
    """One piece of so few letters that in one line it needs no more room than any column has."""
    match cell:
        case None:
            return True
        case Link(text) | Strong(text) | Mono(text) | Badge(text):
            return len(_shown(text)) <= _SHORT
        case str() | int() | float() | date():
            return len(_shown(_in_words(cell))) <= _SHORT
        case _:
            return False


def _is_numeric(cells: Sequence[Content]) -> bool:
    stated = [cell for cell in cells if cell is not None]
    return bool(stated) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in stated)


def _in_words(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
