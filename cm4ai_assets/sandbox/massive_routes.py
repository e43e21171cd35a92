"""What the sandbox answers where MassIVE and the dataset cache would: PROXI, the listing, and the files that exist.

Belongs here: paths and parameters (protocol reference, section 4). Does not belong here: deposits and the shape of the
answers (`massive`).
"""

from __future__ import annotations

import json
from http import HTTPStatus

from cm4ai_assets.sandbox import massive
from cm4ai_assets.sandbox.exchange import Answer, Request, body_answer


def answer(request: Request) -> Answer | None:
    """The answer to a request for MassIVE; None for any other."""
    parts = [part for part in request.path.split("/") if part]
    match parts:
        case ["outside", "ProteoSAFe", "proxi", "v0.1", "datasets", accession]:
            return _proxi(accession)
        case ["outside", "datasette", "database", "filename.csv"]:
            listing = massive.cache_csv(request.query.get("dataset__exact", ""))
            return body_answer(HTTPStatus.OK, listing, "text/csv; charset=utf-8")
        case ["outside", "ProteoSAFe", "DownloadResultFile"]:
            return _file(request.query.get("file", ""))
    return None


def _proxi(accession: str) -> Answer:
    if accession not in massive.DEPOSITS:
        problem = {"status": 404, "title": "Not Found", "detail": f"Dataset {accession} was not found."}
        return body_answer(HTTPStatus.NOT_FOUND, json.dumps(problem).encode(), "application/problem+json")
    return body_answer(HTTPStatus.OK, massive.proxi(accession), "application/json")


def _file(name: str) -> Answer:
    accession, _, path = name.removeprefix("f.").partition("/")
    content = massive.content(accession, path) if accession in massive.DEPOSITS else None
    if content is None:
        return body_answer(HTTPStatus.NOT_FOUND, b"<html><body>File not found</body></html>", "text/html")
    return body_answer(HTTPStatus.OK, content, "application/octet-stream")
