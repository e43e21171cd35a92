"""What the sandbox answers where Figshare and its object store would.

Belongs here: paths and parameters of the API, the challenge before its other address, and signed links. Does not belong
here: what the article holds (`figshare`).
"""

from __future__ import annotations

from http import HTTPStatus

from cm4ai_assets.sandbox import figshare
from cm4ai_assets.sandbox.exchange import Answer, Request, body_answer, json_answer, piece

_SIGNATURE = "X-Amz-Signature"


def answer(request: Request, base: str) -> Answer | None:
    """The answer to a request for Figshare; None for any other."""
    parts = [part for part in request.path.split("/") if part]
    match parts:
        case ["outside", "v2", "articles", number, *rest] if number.isdecimal():
            return _article(int(number), rest, request, base)
        case ["outside", "v2", "file", "download", number] if number.isdecimal():
            return _redirect(int(number), base)
        case ["outside", "ndownloader", "files", _]:
            # A browser challenge, which no program passes (reported in public since 2026).
            return Answer(HTTPStatus.ACCEPTED, {"x-amzn-waf-action": "challenge", "Content-Type": "text/html"})
        case ["outside", "figshare-store", number] if number.isdecimal():
            return _object(int(number), request)
    return None


def _article(number: int, rest: list[str], request: Request, base: str) -> Answer:
    match rest:
        case _ if number != figshare.ARTICLE:
            return _absent("article")
        case []:
            return json_answer(HTTPStatus.OK, figshare.article_json(max(figshare.VERSIONS), base))
        case ["versions"]:
            url = f"{base}/v2/articles/{number}/versions"
            return json_answer(HTTPStatus.OK, [{"version": v, "url": f"{url}/{v}"} for v in figshare.VERSIONS])
        case ["versions", version, *files] if version.isdecimal() and int(version) in figshare.VERSIONS:
            if not files:
                return json_answer(HTTPStatus.OK, figshare.article_json(int(version), base))
            size, page = int(request.query.get("page_size", 10)), int(request.query.get("page", 1))
            listed = figshare.files_json(int(version), base)[(page - 1) * size : page * size]
            return json_answer(HTTPStatus.OK, listed)
    return _absent("article version")


def _absent(what: str) -> Answer:
    return json_answer(HTTPStatus.NOT_FOUND, {"message": f"Entity not found: {what}", "code": "EntityNotFound"})


def _redirect(number: int, base: str) -> Answer:
    if figshare.content(number) is None:
        return _absent("file")
    link = f"{base}/figshare-store/{number}?X-Amz-Expires=10&{_SIGNATURE}=synthetic"
    return Answer(HTTPStatus.FOUND, {"Location": link})


def _object(number: int, request: Request) -> Answer:
    """A file of the object store: ranges and an entity tag, and nothing without a signature."""
    content = figshare.content(number)
    if content is None or _SIGNATURE not in request.query:
        body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        return body_answer(HTTPStatus.FORBIDDEN, body, "application/xml")
    headers = {"Content-Type": "application/octet-stream", "ETag": f'"{figshare.md5(number)}"'}
    return piece(content, request.headers.get("range"), headers)
