"""The runbook on the address of the UI, `/runbook`: one self-contained page, without network, script or other files.

Belongs here: rendering docs/runbook.md, which stands in the package as `runbook/page.md`, and serving it, read only.
Does not belong here: its text, which sections there are (`runbook`), and who may ask (`guard`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cm4ai_assets.runbook import PATH, slug
from cm4ai_assets.showing import HEADERS

_METHODS: Final = ("GET", "HEAD")
_LOOKS: Final = (
    "main { max-width: 52rem; } pre { overflow-x: auto; min-width: 0; } :target { background: var(--band); }"
)
_FRAME: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Runbook</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><main>{body}</main></body></html>
"""


class Runbook:
    """Answers for the runbook, and hands every other request on.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != PATH:
            await self._app(scope, receive, send)
        elif scope["method"] not in _METHODS:
            refusal = PlainTextResponse("The runbook is only read.", 405, {"Allow": ", ".join(_METHODS)})
            await refusal(scope, receive, send)
        else:
            await HTMLResponse(page(), headers=dict(HEADERS))(scope, receive, send)


def text() -> str:
    """The runbook as it is written, in Markdown."""
    return (files("cm4ai_assets.runbook") / "page.md").read_text(encoding="utf-8")


@cache
def page() -> str:
    """The runbook as HTML. Each heading has its anchor; what the page is not alone with is named, and no link."""
    markdown = MarkdownIt("commonmark", {"html": False})
    tokens = markdown.parse(text())
    _name_headings(tokens)
    _unlink_files(tokens)
    style = (files("cm4ai_assets.publication") / "page.css").read_text(encoding="utf-8") + _LOOKS
    contents = "".join(
        f'<li><a href="#{token.attrs["id"]}">{tokens[number + 1].content}</a></li>'
        for number, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h3"
    )
    head, rest = markdown.renderer.render(tokens, markdown.options, {}).split("<h2", 1)
    return _FRAME.format(style=style, body=f"{head}<nav><h2>Contents</h2><ol>{contents}</ol></nav><h2{rest}")


def _name_headings(tokens: list[Token]) -> None:
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(tokens[number + 1].content))


def _unlink_files(tokens: list[Token]) -> None:
    """Other pages of the documentation are not served here: their names stand behind the words."""
    for inline in tokens:
        opened = ""
        for token in inline.children or []:
            target = str(token.attrs.get("href", ""))
            if token.type == "link_open" and not target.startswith("#"):
                opened, token.tag, token.attrs = urlsplit(target).path, "span", {}
            elif token.type == "link_close" and opened:
                token.type, token.tag, token.content, token.nesting = "text", "", f" (docs/{opened})", 0
                opened = ""
        _close_spans(inline)


def _close_spans(inline: Token) -> None:
    if inline.children:
        inline.children = [one for one in inline.children if one.tag != "span"]
